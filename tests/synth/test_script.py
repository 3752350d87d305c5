from __future__ import annotations

import numpy as np
import pytest

from flipdetect.synth import SynthConfig, frame_truth
from flipdetect.synth.scene import sample_source
from flipdetect.synth.script import MOVED, RAISED, displacements, frame_numbers, sample_clip

CONFIG = SynthConfig(seed=11, sources=15, clips_per_source=8, frames_per_clip=3)


def clips(label: str) -> list[int]:
    return [index for index in range(CONFIG.clips) if sample_clip(CONFIG, index).label == label]


def test_every_source_has_as_many_flips_as_others() -> None:
    for source in range(CONFIG.sources):
        own = [sample_clip(CONFIG, index) for index in range(CONFIG.clips) if index // 8 == source]
        assert {clip.source for clip in own} == {source}
        assert sum(clip.is_flip for clip in own) == 4


def test_frames_of_flips_show_a_sheet_off_both_rests() -> None:
    for index in clips("flip")[:30]:
        clip = sample_clip(CONFIG, index)
        source = sample_source(CONFIG, clip.source)
        for frame in range(CONFIG.frames_per_clip):
            truth = frame_truth(CONFIG, index, frame)
            progress = np.array([clip.progress((truth.frame - 1) / 30)])
            assert truth.label == "flip"
            assert 0 < truth.phase < 1
            assert truth.displacement > MOVED
            assert displacements(source, clip.camera, clip.style, progress).min() > MOVED


def test_other_clips_never_move_their_sheet() -> None:
    for index in clips("notflip")[:30]:
        clip = sample_clip(CONFIG, index)
        truths = [frame_truth(CONFIG, index, frame) for frame in range(CONFIG.frames_per_clip)]
        assert len({clip.progress(time) for time in np.linspace(0, clip.duration, 9)}) == 1
        assert {truth.label for truth in truths} == {"notflip"}
        assert all(truth.displacement <= RAISED and np.isnan(truth.phase) for truth in truths)


def test_pages_that_do_not_lie_flat_occur_in_both_classes() -> None:
    for label in ("flip", "notflip"):
        raised = [sample_clip(CONFIG, index).raised > 0 for index in clips(label)]
        assert 0.15 < np.mean(raised) < 0.7


def traits(index: int) -> dict[str, float]:
    clip = sample_clip(CONFIG, index)
    hands = clip.hands
    return {
        "hands": len(hands) / 2,
        "follow": any(hand.plan == "follow" for hand in hands),
        "sweep": any(hand.plan == "sweep" for hand in hands),
        "pinch": any(hand.pose == "pinch" for hand in hands),
        "flat": any(hand.pose == "flat" for hand in hands),
        "left": any(hand.left for hand in hands),
        "shaken": bool(np.any(clip.shake[:, :2])),
        "nudged": any(clip.nudge),
        "to_left": clip.to_left,
    }


def test_all_but_the_sheet_is_as_frequent_in_both_classes() -> None:
    shares = {}
    for label in ("flip", "notflip"):
        found = [traits(index) for index in clips(label)]
        shares[label] = {trait: float(np.mean([one[trait] for one in found])) for trait in found[0]}
    # Three standard errors of a difference of shares of 60 clips each are 0.27 at most.
    assert shares["flip"] == pytest.approx(shares["notflip"], abs=0.27)
    assert all(0.02 < share < 0.98 for share in shares["notflip"].values())


def test_frames_of_a_clip_are_distinct_and_ordered() -> None:
    config = SynthConfig(sources=3, clips_per_source=4, frames_per_clip=6)
    for index in range(config.clips):
        numbers = frame_numbers(config, index)
        assert len(numbers) == 6
        assert list(numbers) == sorted(set(numbers))
        assert numbers[0] >= 1
