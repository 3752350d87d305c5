"""Books of a known surface, drawn flat-shaded, and a network that knows where they are."""

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.pages.surface import SIDES, USUAL, SpreadSurface

Image = NDArray[np.uint8]


def surface(size: tuple[int, int] = (640, 480), **changes: float) -> SpreadSurface:
    parameters = USUAL.copy()
    parameters[5] = 1.3
    parameters[8:16] = [0.6, -0.1, 0.15, 0, 0.4, -0.05, 0.1, 0]
    for name, value in changes.items():
        parameters[["roll", "pitch", "yaw", "x", "y", "depth"].index(name)] = value
    return SpreadSurface(parameters, size)


def picture(book: SpreadSurface, lines: int = 24) -> Image:
    """White pages on a dark desk, with words along lines of text."""
    image = np.full((book.size[1], book.size[0], 3), 60, np.uint8)
    for side in SIDES:
        cv2.fillPoly(image, [np.round(book.outline(side)).astype(np.int32)], (235, 235, 230))
        rng = np.random.default_rng(0)
        for down in np.linspace(0.1, 0.9, lines):
            for start in np.arange(0.12, 0.85, 0.018):
                if rng.random() < 0.8:
                    ends = book.project(side, np.array([start, start + 0.011]), np.array([down, down]))
                    first, last = (tuple(np.round(end * 16).astype(int).tolist()) for end in ends)
                    cv2.line(image, first, last, (30, 30, 30), max(2, book.size[0] // 250), cv2.LINE_AA, 4)
    return image


class KnownMaps:
    """Takes the place of the network."""

    def __init__(self, book: SpreadSurface | None, sure: float = 12.0) -> None:
        self.book, self.sure = book, sure

    def maps(self, picture: Image) -> NDArray[np.float32]:
        height, width = picture.shape[:2]
        drawn = np.zeros((2, height, width), np.uint8)
        if self.book is not None:
            for side in SIDES:
                cv2.fillPoly(drawn[0], [np.round(self.book.outline(side)).astype(np.int32)], 1)
            ends = (tuple(np.round(end).astype(int).tolist()) for end in self.book.spine(2))
            cv2.line(drawn[1], *ends, 1, max(2, width // 40))
        small = [cv2.resize(part.astype(np.float32), (64, 48), interpolation=cv2.INTER_AREA) for part in drawn]
        return (np.stack(small) - 0.5) * self.sure
