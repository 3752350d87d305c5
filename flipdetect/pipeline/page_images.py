"""The images of the chosen frames, decoded once: kept as files until all outputs are written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

from flipdetect.errors import FlipdetectError, FrameError
from flipdetect.outputs.still_files import encode_still
from flipdetect.records import Still
from flipdetect.sources.streams import FrameStream, Image

COMPARE_SIZE = (960, 540)
"""Height and width that images still cover when repeats are confirmed: print is legible, and they are small."""
THUMBNAIL = 480
"""Longer side of thumbnails in pixels."""


class PageImages:
    """Images of the stills of one film, in a temporary folder.

    Attributes:
        failures: what could not be read, for the user.

    Args:
        stream: the film.
        folder: where the files go; unique names, so that several films can share one.
        full: whether images in full size are wanted, or reduced ones only.
    """

    def __init__(self, stream: FrameStream, folder: Path, *, full: bool) -> None:
        self._stream = stream
        self._folder = folder
        self._full = full
        self._key = hashlib.sha256(stream.video.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.failures: list[str] = []

    def load(self, stills: list[Still]) -> None:
        """Read the images of all stills, in order of time; one that cannot be read is a failure, the rest goes on."""
        left = sorted((still.time_s, still.spread) for still in stills if still.time_s is not None)
        while left:
            frames = self._stream.fetch([time for time, _ in left], None if self._full else COMPARE_SIZE)
            try:
                for image in frames:
                    self._keep(left.pop(0)[1], image)
                return
            except FlipdetectError as error:
                _, number = left.pop(0)
                self.failures.append(f"{self._stream.video}, spread {number}: {error}")

    def _keep(self, number: int, image: Image) -> None:
        if self._full:
            self._path(number, ".jpg").write_bytes(encode_still(image))
        covering = max(COMPARE_SIZE[0] / image.shape[0], COMPARE_SIZE[1] / image.shape[1])
        np.save(self._path(number, ".npy"), _shrink(image, covering))
        small = _shrink(image, THUMBNAIL / max(image.shape[:2]))
        PillowImage.fromarray(small).save(self._path(number, ".small.jpg"), quality=88)

    def reduced(self, still: Still) -> Image:
        """The image, reduced to cover `COMPARE_SIZE`; raises FrameError if it could not be read."""
        path = self._path(still.spread, ".npy")
        if not path.is_file():
            raise FrameError(f"spread {still.spread} of {self._stream.video} could not be read")
        return np.asarray(np.load(path))

    def full_size(self, still: Still) -> Path | None:
        """The JPEG file of the image in full size; None if it could not be read."""
        path = self._path(still.spread, ".jpg")
        return path if path.is_file() else None

    def thumbnail(self, number: int) -> Image | None:
        """The image of a spread by number, small; None if there is none."""
        path = self._path(number, ".small.jpg")
        return np.asarray(PillowImage.open(path)) if path.is_file() else None

    def drop_reduced(self) -> None:
        """Delete what only `reduced` needs, once repeats are confirmed."""
        for path in self._folder.glob(f"{self._key}-*.npy"):
            path.unlink()

    def _path(self, number: int, suffix: str) -> Path:
        return self._folder / f"{self._key}-{number}{suffix}"


def _shrink(image: Image, ratio: float) -> Image:
    """An image (H, W, 3) uint8 at a share of its size; unchanged if that is not smaller."""
    if ratio >= 1:
        return image
    size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
