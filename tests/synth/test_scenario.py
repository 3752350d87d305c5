from __future__ import annotations

import numpy as np
import pytest

from flipdetect.synth import SynthConfig, frame_truth
from flipdetect.synth.clip import MOVED, RAISED, sheet_displacements
from flipdetect.synth.config import PARTS
from flipdetect.synth.scenario import frame_numbers, sample_clip
from flipdetect.synth.scene.scene import paint_source, sample_source
from flipdetect.synth.turn import BEHAVIOURS

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
        for frame in range(CONFIG.frames_per_clip):
            truth = frame_truth(CONFIG, index, frame)
            away = sheet_displacements(CONFIG, clip, (truth.frame - 1) / 30)
            assert (truth.label, truth.event) == ("flip", 1)
            assert 0 < truth.phase < 1
            assert truth.displacement > MOVED
            assert away.min(axis=1).max() > MOVED


def test_other_clips_never_move_their_sheet() -> None:
    for index in clips("notflip")[:30]:
        clip = sample_clip(CONFIG, index)
        truths = [frame_truth(CONFIG, index, frame) for frame in range(CONFIG.frames_per_clip)]
        assert len({clip.progress(time) for time in np.linspace(0, clip.duration, 9)}) == 1
        assert {truth.label for truth in truths} == {"notflip"}
        assert all(truth.displacement <= RAISED and np.isnan(truth.phase) for truth in truths)
        assert {truth.event for truth in truths} == {0}


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
        "shaken": bool(np.any(clip.capture.shake[:, :2])),
        "moved": bool(clip.capture.moves),
        "drifting": clip.capture.drift[0] > 0,
        "refocusing": bool(clip.capture.refocus),
        "nudged": bool(clip.pushes),
        "to_left": clip.to_left,
        "clutter": clip.clutter is not None,
        "about to grasp": any(hand.linger > 0 or hand.plan == "visit" for hand in hands),
        "smoothing": any(hand.plan == "smooth" for hand in hands),
        **{behaviour: clip.turn.behaviour == behaviour for behaviour in ("several", "fall_back", "slow")},
    }


def test_all_but_the_sheet_is_as_frequent_in_both_classes() -> None:
    shares = {}
    for label in ("flip", "notflip"):
        found = [traits(index) for index in clips(label)]
        shares[label] = {trait: float(np.mean([one[trait] for one in found])) for trait in found[0]}
    # Three standard errors of a difference of shares of 60 clips each are 0.27 at most.
    assert shares["flip"] == pytest.approx(shares["notflip"], abs=0.27)
    assert all(0 < share < 1 for share in shares["notflip"].values())


def test_a_flip_has_a_twin_in_which_only_the_sheet_lies_still() -> None:
    for index in clips("flip"):
        flip, still = sample_clip(CONFIG, index), sample_clip(CONFIG, index + 1)
        assert (flip.hands, flip.turn, flip.style, flip.pushes) == (still.hands, still.turn, still.style, still.pushes)
        assert (flip.clutter, flip.under, flip.duration) == (still.clutter, still.under, still.duration)
        assert np.array_equal(flip.capture.shake, still.capture.shake)
        for time in np.linspace(0, flip.duration, 5):
            assert flip.imagined_progress(time) == still.imagined_progress(time)


def test_one_clip_in_four_is_no_simple_turn() -> None:
    config = SynthConfig(seed=1, sources=16, clips_per_source=24, frames_per_clip=1, height=96)
    found = [sample_clip(config, index).turn.behaviour for index in range(0, config.clips, 2)]
    shares = {name: found.count(name) / len(found) for name in BEHAVIOURS}
    assert 0.18 < 1 - shares["simple"] < 0.32
    assert all(share > 0.01 for share in shares.values())


def test_frames_of_a_clip_are_distinct_and_ordered() -> None:
    config = SynthConfig(sources=3, clips_per_source=4, frames_per_clip=6)
    for index in range(config.clips):
        numbers = frame_numbers(config, index)
        assert len(numbers) == 6
        assert list(numbers) == sorted(set(numbers))
        assert numbers[0] >= 1


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_left_out_is_gone_and_no_other(part: str) -> None:
    full, without = (
        SynthConfig(seed=2, sources=12, clips_per_source=2, frames_per_clip=1, without=name) for name in ("", part)
    )
    told = {
        "exposure": lambda config: max(sample_source(config, i).phone.exposure for i in range(12)) > 1.08,
        "print": lambda config: min(sample_source(config, i).style.weight for i in range(12)) < 1,
        "bow": lambda config: max(sample_source(config, i).book.right.bow for i in range(12)) > 0.2,
        "standing": lambda config: any(sample_clip(config, i).rest not in (0.0, 1.0) for i in range(24)),
        "behaviours": lambda config: any(sample_clip(config, i).turn.behaviour != "simple" for i in range(24)),
        "hands": lambda config: any(sample_clip(config, i).hands for i in range(24)),
        "sun": lambda config: (
            max(np.abs(np.diff(paint_source(config, i).light, axis=0)).max() for i in range(6)) > 0.05
        ),
    }
    assert all(shown(full) for shown in told.values())
    assert [name for name, shown in told.items() if not shown(without)] == [part]
