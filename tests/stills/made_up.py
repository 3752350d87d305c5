"""Made-up frames of films: measured pages of print, resting and turning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from flipdetect.records import FlipEvent, FrameQuality, FrameScore
from flipdetect.stills.fingerprint import GRID, encode_print


def printed(spread: int, noise: float = 0.0, seed: int = 0) -> str:
    """The fingerprint of a page of print; equal numbers have equal print, 0 is blank."""
    slopes = np.full((GRID, GRID), 0.01)
    if spread:
        slopes = slopes + np.random.default_rng(spread).uniform(0, 0.3, (GRID, GRID))
    slopes = slopes + np.random.default_rng(seed).normal(0, noise, slopes.shape)
    return encode_print(slopes.astype(np.float32), np.ones((GRID, GRID), np.float32))


GOOD = FrameQuality(sharpness=1.0, exposure=1.0, coverage=0.0, motion=0.0, fingerprint=printed(1))


def frame(time_s: float, probability: float | None = 0.01, **quality: Any) -> FrameScore:
    return FrameScore(
        path="",
        video="v",
        frame=round(time_s * 10),
        probability=probability,
        time_s=time_s,
        quality=replace(GOOD, **quality),
    )


def turn(number: int, start_s: float, end_s: float) -> FlipEvent:
    return FlipEvent(number, start_s, (start_s + end_s) / 2, end_s, None, None, None, 0.9, 0.99)


def recording(spreads: list[int], **quality: Any) -> tuple[list[FrameScore], list[FlipEvent]]:
    """Three seconds of each spread, a second of turning between them, ten frames a second."""
    frames, events = [], []
    for place, spread in enumerate(spreads):
        start = 4.0 * place
        for step in range(30):
            marks = {"fingerprint": printed(spread, 0.005, 100 * place + step), **quality}
            frames.append(frame(start + step / 10, **marks))
        if place + 1 < len(spreads):
            frames += [frame(start + 3 + step / 10, 0.95, motion=0.1, fingerprint=printed(0)) for step in range(10)]
            events.append(turn(place + 1, start + 3.0, start + 3.9))
    return frames, events
