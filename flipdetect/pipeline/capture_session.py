"""A camera's frames as they come: scored, measured, and the pictures that `LiveCapture` keeps written to files."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.inference.model import Model, prepare_frame
from flipdetect.inference.settings import EventSettings
from flipdetect.outputs.still_files import encode_still
from flipdetect.pipeline.live import CaptureParameters, LiveCapture, LiveEvent, LiveFrame
from flipdetect.stills.page_finder import PAGES_SIDE, scaled
from flipdetect.stills.quality import COARSE, SIDE, FrameMeter

DARKEST_PAPER, LEAST_GREY = 80, 0.65
"""Paper's darkest colour channel is at least so bright, of 255, and has such a share of its brightest one."""
LEAST_ENERGY = 0.5
"""Added to gradient energy, so that a frame without any print or edge is not sharp."""


class Seen(NamedTuple):
    """What came of a frame: what was measured of it, and the events that followed."""

    frame: LiveFrame
    events: list[LiveEvent]


class CaptureSession:
    """The scan of one book by a camera.

    Attributes:
        turns: number of pages turned so far.
        pages: JPEG file of each captured spread, in order.

    Args:
        folder: an empty folder for the pictures.
    """

    def __init__(
        self, model: Model, settings: EventSettings, folder: Path, parameters: CaptureParameters | None = None
    ) -> None:
        self._model = model
        self._folder = folder
        self._meter = FrameMeter()
        self._capture = LiveCapture(settings.live(), settings.asked_threshold, parameters)
        self._latest: Path | None = None
        self.turns = 0
        self.pages: list[Path] = []

    def push(self, time_s: float, image: NDArray[np.uint8]) -> Seen:
        """Take in a frame.

        Args:
            time_s: seconds on any clock that does not go back.
            image: (H, W, 3) uint8 RGB.

        Raises:
            FrameError: if the image is something else.
            DataError: if the time goes back.
            OSError: if a picture cannot be written.
        """
        frame = self._measure(time_s, image)
        events = self._capture.push(frame)
        for event in events:
            if event.kind == "turn":
                self.turns += 1
            elif event.kind in ("capture", "replace"):
                self._write(image, replace=event.kind == "replace")
        return Seen(frame, events)

    def remove(self, position: int) -> None:
        """Delete the picture at a position in `pages`."""
        self.pages.pop(position).unlink(missing_ok=True)

    def _write(self, image: NDArray[np.uint8], *, replace: bool) -> None:
        before, number = self._latest, 1 if self._latest is None else int(self._latest.stem) + 1
        self._latest = self._folder / f"{number:04d}.jpg"  # never a name again: no reader shows what was there before
        self._latest.write_bytes(encode_still(image))
        if replace and before in self.pages:
            self.remove(self.pages.index(before))
        self.pages.append(self._latest)

    def _measure(self, time_s: float, image: NDArray[np.uint8]) -> LiveFrame:
        spec = self._model.preprocess
        probabilities, maps = self._model.predict_with_maps(prepare_frame(spec, image)[np.newaxis])
        hands = None if maps is None else spec.unplace(maps[0], *image.shape[:2])
        quality = self._meter(image, hands)
        small = scaled(image, PAGES_SIDE)
        darkest, brightest = small.min(axis=2), small.max(axis=2)
        paper = float(((darkest >= DARKEST_PAPER) & (darkest >= LEAST_GREY * brightest)).mean())
        # Gradient energy over that of the blurred picture, less 1. That of the sharpest print, as `FrameMeter` has it,
        # suits choosing among many frames; this one moves less from frame to frame and from spread to spread.
        grey = cv2.cvtColor(scaled(image, SIDE), cv2.COLOR_RGB2GRAY)
        fine, coarse = (
            float(sum((cv2.Sobel(each, cv2.CV_32F, dx, 1 - dx, scale=1 / 8) ** 2).mean() for dx in (1, 0)))
            for each in (grey, cv2.GaussianBlur(grey, (0, 0), COARSE))
        )
        sharpness = max(fine / (coarse + LEAST_ENERGY) - 1, 0.0)
        return LiveFrame(time_s, float(probabilities[0]), sharpness, quality.motion, quality.coverage or 0.0, paper)
