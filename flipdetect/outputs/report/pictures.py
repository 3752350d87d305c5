"""Stills, small enough to be put into a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.outputs.still_files import check_picture

Pictures = Mapping[tuple[str, int], NDArray[np.uint8]] | Callable[[str, int], NDArray[np.uint8] | None]
"""(video, spread) -> (H, W, 3) uint8 RGB; a callable returns None where there is no picture."""

# So many pictures in a page, and the width and JPEG quality that keep it at some 10 MB at most.
SIZES = ((150, 480, 80), (500, 360, 75), (2000, 240, 70))
SMALLEST = (160, 60)
TALLEST = 1.34  # height of a picture in widths of the box


@dataclass(frozen=True)
class EmbeddedPicture:
    """A JPEG as a `data:` address, and its size in pixels."""

    address: str
    width: int
    height: int


class PictureBox:
    """Scales and compresses pictures for a page.

    Args:
        pictures: where they come from.
        count: how many there will be; the more, the smaller they are.
    """

    def __init__(self, pictures: Pictures | None, count: int) -> None:
        self._pictures = pictures
        self.width, self._quality = next(
            ((width, quality) for most, width, quality in SIZES if count <= most), SMALLEST
        )

    def embed(self, video: str, spread: int) -> EmbeddedPicture | None:
        """The picture of a spread; None if there is none.

        Raises:
            ValueError: if it is no (H, W, 3) uint8 array.
        """
        image = self._find(video, spread)
        if image is None:
            return None
        check_picture(image)
        small = Image.fromarray(np.ascontiguousarray(image))
        small.thumbnail((self.width, round(self.width * TALLEST)), Image.Resampling.LANCZOS, reducing_gap=3.0)
        file = io.BytesIO()
        small.save(file, format="JPEG", quality=self._quality, optimize=True)
        return EmbeddedPicture(
            "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii"), *small.size
        )

    def _find(self, video: str, spread: int) -> NDArray[np.uint8] | None:
        if self._pictures is None:
            return None
        if callable(self._pictures):
            return self._pictures(video, spread)
        return self._pictures.get((video, spread))
