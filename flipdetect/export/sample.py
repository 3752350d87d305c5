"""A few frames of a folder, spread over it, as a model sees them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError, FrameError
from flipdetect.sources.folder import find_files

Inputs = npt.NDArray[np.float32]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """Frames (N, C, H, W) float32, preprocessed, in the order of the folder."""

    frames: Inputs

    def divided(self, aside: int) -> tuple[Inputs, Inputs]:
        """All but `aside` frames, and these, which are spread over the folder too.

        Raises:
            DataError: if there are not twice as many.
        """
        count = len(self.frames)
        if count < 2 * aside:
            raise DataError(f"{count} readable frames are too few: {2 * aside} are needed at least; give more of them")
        chosen = np.zeros(count, np.bool_)
        chosen[np.linspace(0, count - 1, aside).round().astype(int)] = True
        return self.frames[~chosen], self.frames[chosen]


def sample_frames(folder: Path, spec: PreprocessSpec, most: int) -> Sample:
    """Frames of a folder and its subfolders, spread over it; unreadable ones are left out, with a warning.

    Args:
        folder: with frame files.
        spec: what a frame becomes before the model sees it.
        most: how many.

    Raises:
        DataError: if the folder is absent, or holds no readable frame.
    """
    files = find_files(folder.expanduser()).files
    places = np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int)
    frames = []
    for path in (files[place] for place in places):
        try:
            frames.append(spec.load(path))
        except FrameError as error:
            logger.warning("left out: %s", error)
    if not frames:
        raise DataError(f"the folder {folder} holds no readable frame")
    return Sample(np.stack(frames))
