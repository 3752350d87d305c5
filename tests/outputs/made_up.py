"""A made-up recording for tests of what is written and drawn: results, scores and pictures that fit together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flipdetect.records import FlipEvent, FrameQuality, FrameScore, Still, VideoResult


def made_up_result(video: str = "book", turns: int = 3, seconds: float = 20.0, **changes: object) -> VideoResult:
    """Turns evenly spread, a spread before, between and after them; spread 2 is flawed, 3 repeats 1."""
    step = seconds / (turns + 1)
    events = []
    for number in range(1, turns + 1):
        start, peak, end = step * number - 0.4, step * number, step * number + 0.4
        events.append(FlipEvent(number, start, peak, end, round(start * 10), round(peak * 10), round(end * 10),
                                0.75, 0.98, video))  # fmt: skip
    stills = []
    for spread in range(1, turns + 2):
        begin = events[spread - 2].end_s if spread > 1 else 0.0
        end = events[spread - 1].start_s if spread <= turns else seconds
        middle = (begin + end) / 2
        measured = FrameQuality(120.5, 0.97, 0.1, 0.002, f"{spread:016x}")
        stills.append(
            Still(spread, video, begin, end, middle, round(middle * 10), 0.4 if spread == 2 else 0.92,
                  "a hand covers the page" if spread == 2 else "", 1 if spread == 3 else None, measured)
        )  # fmt: skip
    fields: dict[str, object] = {
        "video": video, "source": f"films/{video}.mp4", "duration_s": seconds, "frames": round(seconds * 10) + 1,
        "events": tuple(events), "stills": tuple(stills), "model": "tiny_cnn", "threshold": 0.5,
    }  # fmt: skip
    return VideoResult(**(fields | changes))  # type: ignore[arg-type]


def made_up_scores(result: VideoResult, fps: float = 10.0) -> list[FrameScore]:
    """A score per frame: high in the turns, low between them."""
    scores = []
    for number in range(round(result.duration_s * fps) + 1):
        time = number / fps
        inside = any(event.start_s <= time <= event.end_s for event in result.events)
        probability = 0.95 if inside else 0.03
        scores.append(
            FrameScore(f"{number}.jpg", result.video, number, probability, "flip" if inside else "notflip", "", time)
        )
    return scores


def made_up_picture(colour: tuple[int, int, int], height: int = 90, width: int = 160) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 of one colour."""
    return np.full((height, width, 3), colour, dtype=np.uint8)
