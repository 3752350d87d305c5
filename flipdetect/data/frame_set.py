"""What a data set takes its frames from."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from flipdetect.data.preprocess import PreprocessSpec

Frame: TypeAlias = npt.NDArray[np.uint8]


class Frames(Protocol):
    """Frames at working size, by position: decoded beforehand, or as they are asked for."""

    @property
    def files(self) -> tuple[str, ...]:
        """Paths of the frames as text."""

    @property
    def spec(self) -> PreprocessSpec:
        """The preprocessing whose size they are brought to."""

    def __getitem__(self, position: int) -> Frame:
        """(height, width, channels) uint8; free to be written to.

        Raises:
            FrameError: if it cannot be read or decoded.
        """
