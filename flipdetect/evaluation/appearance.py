"""How bright and how sharp frames are, to judge a model by. No torch."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from flipdetect.errors import FrameError
from flipdetect.progress import progress_bar
from flipdetect.sources.image import decode_frame, probe_frame

SIDE = 384
"""Pixels of the long side at which frames are measured: what is finer no model of this package sees."""
SHORT_SIDE = SIDE * 9 // 16
COARSE = 1.0
"""Standard deviation in pixels of the blur that takes fine detail away."""


@dataclass(frozen=True)
class Appearance:
    """What is measured of a frame.

    Attributes:
        brightness: mean luma, 0 to 1.
        sharpness: contrast of fine detail as a share of all contrast, 0 to 1 (a comparison with a blurred copy, as in
            Crete et al., SPIE 6492, 2007). It grows with print on the page, too.
        height, width: of the frame in pixels, upright.
    """

    brightness: float
    sharpness: float
    height: int
    width: int


def appearance(frame: npt.NDArray[np.uint8], size: tuple[int, int] | None = None) -> Appearance:
    """Measure a frame.

    Args:
        frame: (H, W, 3) uint8 RGB.
        size: height and width before it was scaled down while it was decoded; None if it was not.
    """
    height, width = frame.shape[:2]
    grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.float32)
    ratio = SIDE / max(height, width)
    scaled = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    grey = np.asarray(cv2.resize(grey, scaled, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR))
    fine = grey - cv2.GaussianBlur(grey, (0, 0), COARSE)
    contrast = float(grey.std())
    return Appearance(
        brightness=float(grey.mean()) / 255,
        sharpness=min(float(fine.std()) / contrast, 1.0) if contrast > 0 else 0.0,
        height=size[0] if size else height,
        width=size[1] if size else width,
    )


def measure_files(paths: Sequence[Path]) -> list[Appearance | None]:
    """Measure files in threads; None for those that cannot be read."""

    def measure(path: Path) -> Appearance | None:
        try:
            header = probe_frame(path)
            frame = decode_frame(path, min_size=(SHORT_SIDE, SHORT_SIDE))
            sides = sorted((header.height, header.width), reverse=frame.shape[0] > frame.shape[1])
            return appearance(frame, (sides[0], sides[1]))
        except FrameError:
            return None

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = pool.map(measure, paths)
        return list(progress_bar(found, total=len(paths), desc="measuring", unit="frame", delay=2, leave=False))


def texts(each: Appearance | None) -> tuple[str, str, str, str]:
    """Cells of a table: brightness, sharpness, height, width; empty where nothing is known."""
    if each is None or math.isnan(each.brightness):
        return ("", "", "", "")
    return (f"{each.brightness:.4f}", f"{each.sharpness:.4f}", str(each.height), str(each.width))
