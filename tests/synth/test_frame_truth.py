from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np

from flipdetect.synth import SynthConfig
from flipdetect.synth.camera import Move
from flipdetect.synth.clip import Clip
from flipdetect.synth.render.renderer import expose_clip
from flipdetect.synth.scenario import sample_clip
from flipdetect.synth.truth.frame_truth import FrameTruth, clip_truth, truth_table

CONFIG = SynthConfig(seed=8, sources=30, clips_per_source=2, height=192)


def still(clip: Clip) -> Clip:
    """The clip with nothing that makes two of its pictures differ but what a test changes."""
    return replace(clip, capture=replace(clip.capture, shake=np.zeros((4, 4)), moves=(), shutter=1e-4), pushes=())


def truth(clip: Clip, time: float = 0.6) -> FrameTruth:
    return clip_truth(CONFIG, clip, time, 1)


def inside(boxes: list[tuple[int, int, int, int]], shape: tuple[int, ...], margin: int = 2) -> np.ndarray:
    mask = np.zeros(shape[:2], bool)
    for x0, y0, x1, y1 in boxes:
        mask[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin] = True
    return mask


def test_boxes_lie_in_the_frame_and_are_not_empty() -> None:
    for index in range(CONFIG.clips):
        known = truth(sample_clip(CONFIG, index))
        for box in (known.book, known.page, *known.hands):
            assert box is not None
            assert 0 <= box[0] < box[2] <= CONFIG.width
            assert 0 <= box[1] < box[3] <= CONFIG.height


def test_hands_are_where_their_boxes_say() -> None:
    checked = 0
    for index in range(1, 24, 2):
        clip = still(sample_clip(CONFIG, index))
        known = truth(clip)
        if not known.hands:
            continue
        with_hands, _ = expose_clip(CONFIG, clip, 0.6)
        without, _ = expose_clip(CONFIG, replace(clip, hands=()), 0.6)
        difference = np.abs(with_hands.astype(int) - without).max(axis=2)
        changed = difference > 60
        box = inside(list(known.hands), changed.shape)
        if changed.sum() > 100:
            # Hard shadows may lie outside.
            assert (changed & box).sum() > 0.75 * changed.sum()
            assert (difference[box] > 20).mean() > 0.12  # a lean arm across its box
            checked += 1
    assert checked >= 4


def test_the_turning_sheet_is_in_its_box() -> None:
    checked = 0
    for index in range(0, 10, 2):
        clip = replace(still(sample_clip(CONFIG, index)), hands=())
        times = [time for time in np.arange(0, clip.duration, 0.1) if truth(clip, time).label == "flip"]
        middle = times[len(times) // 2]
        known, before = truth(clip, middle), expose_clip(CONFIG, clip, 0.0)[0]
        changed = np.abs(expose_clip(CONFIG, clip, middle)[0].astype(int) - before).max(axis=2) > 90
        boxes = [known.page, truth(clip, 0.0).page]
        # White paper over white paper changes little.
        if changed.sum() > 50:
            assert (changed & inside([box for box in boxes if box], changed.shape)).sum() > 0.9 * changed.sum()
            checked += 1
    assert checked >= 3


def test_what_is_out_of_view_has_no_box() -> None:
    clip = sample_clip(CONFIG, 1)
    away = Move(-2.0, -1.0, 5000.0, 0.0, 0.0)
    known = truth(replace(clip, capture=replace(clip.capture, moves=(away,))))
    assert (known.book, known.page, known.hands, known.occlusion) == (None, None, (), 0.0)
    row = next(csv.DictReader(io.StringIO(truth_table([known]))))
    assert (row["book_box"], row["page_box"], row["hand_boxes"]) == ("", "", "")


def test_blur_makes_a_frame_less_sharp() -> None:
    clip = sample_clip(CONFIG, 0)
    middle = next(time for time in np.arange(0, clip.duration, 0.02) if truth(clip, time).label == "flip")

    def sharpness(shutter: float, refocus: tuple[tuple[float, float, float], ...] = ()) -> float:
        capture = replace(clip.capture, shutter=shutter, refocus=refocus)
        return truth(replace(clip, capture=capture), middle).sharpness

    found = [sharpness(shutter) for shutter in (1e-5, 0.005, 0.02, 0.04)]
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < found[0] <= 1
    assert sharpness(0.005, ((middle, 2.0, 0.2),)) < found[1]
