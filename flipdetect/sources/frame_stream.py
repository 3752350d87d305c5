"""`FrameStream`: the frames of one film in order of time, wherever they come from.

A stream gives reduced frames, to score and measure them; a stream of files also gives chosen frames again in full size,
and all of them at a lower rate for a preview.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flipdetect.errors import ConfigError, FrameError
from flipdetect.sources.video_change import Opinion

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]

LEAST_SIZE: Size = (768, 432)
"""Height and width that reduced frames still cover: twice a model's input, so that it gets nearly the same from a
film as from an image file."""
FPS = 30.0
"""Frames per second of sequences that do not say, as phones film."""


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """A frame of a stream.

    Attributes:
        path: its file, as it is to be written in a table; empty if there is none.
        time_s: second at which it is shown; ascending.
        frame: its number; None if unknown.
        image: (H, W, 3) uint8 RGB, perhaps reduced; None if it could not be read.
        error: why there is no image.
        fine: whether it need be looked at only if the coarse frames around it differ.
        opinion: a model's, if `look` was asked already.
    """

    path: str
    time_s: float
    frame: int | None
    image: Image | None
    error: str = ""
    fine: bool = False
    opinion: Opinion | None = None


class FrameStream(ABC):
    """The frames of one film in order of time.

    Attributes:
        video: the film's name in tables.
        source: the file or folder, for the user.
        problems: what was lost or repaired, for the user; complete after the last frame.
        can_reread: whether `fetch` and `resample` work.
        look: asks the model that will score the frames; a video is not decoded then where only hands move.
    """

    video: str = ""
    source: str = ""
    problems: tuple[str, ...] = ()
    can_reread: bool = False
    look: Callable[[Image], Opinion | None] | None = None

    @abstractmethod
    def __iter__(self) -> Iterator[StreamFrame]:
        """All frames, reduced; raises FrameError or DataError if the source cannot be read at all."""

    @property
    def expected_frames(self) -> int | None:
        """About how many frames are to be read; None if unknown."""
        return None

    @property
    def decoding(self) -> str:
        """`KEY_FRAMES` or `EVERY_FRAME` of a video; else empty."""
        return ""

    @property
    def duration_s(self) -> float | None:
        """Seconds of the whole film, exact once it was read to its end; None if unknown."""
        return None

    def shown_at(self, time_s: float) -> float:
        """A time at which `fetch` finds the frame that is shown at another time."""
        return time_s

    def fetch(self, times_s: Sequence[float], min_size: Size | None = None) -> Iterator[Image]:
        """The frames at given times again, (H, W, 3) uint8 RGB each; ascending times cost least.

        Args:
            times_s: `time_s` of frames of this stream.
            min_size: (height, width) that reduced frames must still cover; None: full size.

        Raises:
            FrameError: if a frame cannot be read.
        """
        raise FrameError(f"{self.source or 'this source'} cannot be read a second time")

    def resample(self, rate_hz: float, min_size: Size) -> Iterator[tuple[float, Image]]:
        """Seconds and reduced images of the whole film again, at most `rate_hz` per second; raises as `fetch`."""
        raise FrameError(f"{self.source or 'this source'} cannot be read a second time")


def check_fps(fps: float) -> None:
    """Raise a `ConfigError` unless `fps` is a positive number."""
    if not (fps > 0 and math.isfinite(fps)):
        raise ConfigError(f"fps must be more than 0 frames per second, got {fps}")


def check_part(start_s: float, end_s: float) -> None:
    """Raise a `ConfigError` unless there may be seconds of a film between these."""
    if not 0 <= start_s < end_s:
        raise ConfigError(f"start and end must be seconds from 0 on, in this order, got {start_s:g} and {end_s:g}")
