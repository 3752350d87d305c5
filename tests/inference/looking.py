"""A stand-in for a trained model, and films it can tell: a page is in the air where a frame is red."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.records import ClassNames

RATE = 20


class DrawnPages:
    """Stands for the network that finds pages, which knows photographs: in drawn films, what has much green is page."""

    def maps(self, picture: np.ndarray) -> np.ndarray:
        small = cv2.resize(picture[..., 1], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        small = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))  # print is page as well
        return np.stack([np.where(small > 150, 5.0, -5.0)] * 2).astype(np.float32)


@dataclass
class RednessModel:
    """The probability is how much redder than blue the input is; hands cover the upper half of every map."""

    preprocess: PreprocessSpec = field(
        default_factory=lambda: PreprocessSpec(height=32, width=18, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    )
    classes: ClassNames = field(default_factory=ClassNames)
    threshold: float = 0.5
    naming: None = None
    path: Path = Path("red.onnx")
    runs_on: str = "tests"
    hands: float | None = 1.0
    is_single_threaded: bool = False
    batches: list[int] = field(default_factory=list)

    def predict_with_maps(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        self.batches.append(len(frames))
        redness = (frames[:, 0] - frames[:, 2]).mean(axis=(1, 2)).clip(0.0, 1.0).astype(np.float64)
        if self.hands is None:
            return redness, None
        hands = np.zeros((len(frames), 4, 2), np.float32)
        hands[:, :2] = self.hands
        return redness, hands


def flat(redness: float, height: int = 64, width: int = 36) -> np.ndarray:
    """A frame (height, width, 3) uint8 of one red."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[:, :, 0] = round(255 * redness)
    return frame


def page(number: int, height: int = 384, width: int = 216) -> np.ndarray:
    """A white page on a dark desk, (height, width, 3) uint8: lines of words that differ from number to number."""
    rng = np.random.default_rng(number)
    frame = np.full((height, width, 3), 60, np.uint8)
    top, bottom, left, right = height // 10, height * 9 // 10, width // 10, width * 9 // 10
    frame[top:bottom, left:right] = 225
    for line in range(top + 14, bottom - 12, 9):
        across = left + 8
        while across < right - 24:
            word = int(rng.integers(4, 22))
            if rng.random() < 0.8:
                frame[line : line + 4, across : across + word] = 50
            across += word + 4
    return frame


def film(numbers: Sequence[int], rest_s: float = 2.0, turn_s: float = 0.8, rate: int = RATE) -> Iterator[np.ndarray]:
    """Pages shown one after the other, with a red frame in place of each turn."""
    rng = np.random.default_rng(0)
    for place, number in enumerate(numbers):
        if place:
            turning = page(number)
            turning[:, :, 2] = 0
            turning[:, :, 0] = 250
            for _ in range(round(turn_s * rate)):
                yield turning
        still = page(number).astype(np.int16)
        for _ in range(round(rest_s * rate)):
            yield (still + rng.integers(-3, 4, still.shape)).clip(0, 255).astype(np.uint8)
