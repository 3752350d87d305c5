"""What pages can be taken from: a video file, or a folder's ordered frames. Both give shots, and pictures again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flipdetect.errors import ConfigError, FrameError
from flipdetect.inference.video import RATE_HZ, REFINE, StreamFrame
from flipdetect.records import FrameScore, Still
from flipdetect.sources.image import decode_frame
from flipdetect.sources.streams import SequenceFile, VideoShots, file_shots
from flipdetect.sources.video import Place, frame_at, open_video, probe_video

Picture = npt.NDArray[np.uint8]
Size = tuple[int, int]


@dataclass(frozen=True)
class Pace:
    """How many frames of a video are looked at.

    Attributes:
        rate_hz: frames per second that are scored at first.
        refine: so many times as many are scored where the scores change.
        stride: instead: every how many frames one is scored, everywhere; None for the rate.

    Raises:
        ConfigError: if a number is impossible.
    """

    rate_hz: float = RATE_HZ
    refine: int = REFINE
    stride: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.rate_hz < float("inf"):
            raise ConfigError(f"the rate must be more than 0 frames per second, got {self.rate_hz}")
        if self.refine < 1:
            raise ConfigError(f"refine must be 1 or more, got {self.refine}")
        if self.stride is not None and self.stride < 1:
            raise ConfigError(f"the stride must be 1 or more, got {self.stride}")


class Shots(Protocol):
    """A running reading of a clip."""

    def __iter__(self) -> Iterator[StreamFrame]:
        """The shots in order of time."""

    @property
    def problems(self) -> tuple[str, ...]:
        """What was lost, for the user; complete after the last shot."""


class Clip(Protocol):
    """One film, whatever it is stored as.

    Attributes:
        video: its name, unique in the job.
        source: the file or folder, for the user.
        refine: every so many shots one is to be scored at first.
    """

    video: str
    source: str
    refine: int

    def shots(self, known: Sequence[FrameScore] = ()) -> AbstractContextManager[Shots]:
        """Read it.

        Args:
            known: what an earlier run has scored of it, in order of time: then from `last_measured` on.
        """

    def pictures(self, stills: Sequence[Still], min_size: Size | None = None) -> Iterator[tuple[Still, Picture]]:
        """The chosen frames again, (H, W, 3) uint8 RGB: in full, or just covering (height, width)."""

    def frames(self, rate_hz: float, min_size: Size) -> Iterator[tuple[float, Picture]]:
        """All of it, reduced: seconds and pictures, at most so many a second."""

    def expected_frames(self) -> int | None:
        """About how many frames it has; None if that is not known."""

    def state(self) -> str:
        """What would be another if its file or files were, in words."""


class VideoClip:
    """A video file.

    Args:
        path: the file.
        shown: its path in tables.
        video: its name.
        pace: how many frames are looked at.
    """

    def __init__(self, path: Path, shown: str, video: str, pace: Pace) -> None:
        self.path = path
        self.shown = shown
        self.video = video
        self.source = str(path)
        self._pace = pace
        self.refine = pace.refine if pace.stride is None else 1

    def shots(self, known: Sequence[FrameScore] = ()) -> VideoShots:
        """See `Clip`; raises FrameError if the file is no video that can be read."""
        place = _place(known)
        if self._pace.stride is not None:
            return VideoShots(self.path, self.shown, stride=self._pace.stride, place=place)
        return VideoShots(self.path, self.shown, rate_hz=self._pace.rate_hz * self._pace.refine, place=place)

    def pictures(self, stills: Sequence[Still], min_size: Size | None = None) -> Iterator[tuple[Still, Picture]]:
        """See `Clip`; stills without a frame are left out. Raises FrameError if a frame cannot be read."""
        chosen = sorted((still.time_s, place) for place, still in enumerate(stills) if still.time_s is not None)
        found = frame_at(self.path, [time for time, _ in chosen], min_size=min_size)
        for (_, place), frame in zip(chosen, found, strict=True):
            yield stills[place], frame.image

    def frames(self, rate_hz: float, min_size: Size) -> Iterator[tuple[float, Picture]]:
        """See `Clip`."""
        with open_video(self.path, rate_hz=rate_hz, min_size=min_size) as reader:
            for frame in reader:
                yield frame.time_s, frame.image

    def expected_frames(self) -> int | None:
        """See `Clip`."""
        return probe_video(self.path).frames_estimate

    def state(self) -> str:
        """See `Clip`."""
        return _state_of(self.path)


class FolderClip:
    """Ordered frame files of one film.

    Args:
        video: its name.
        folder: the folder, for the user.
        files: in order of time.
    """

    def __init__(self, video: str, folder: Path, files: Sequence[SequenceFile]) -> None:
        self.video = video
        self.source = str(folder)
        self.refine = 1
        self._files = files

    @contextmanager
    def shots(self, known: Sequence[FrameScore] = ()) -> Iterator[Shots]:
        """See `Clip`."""
        last = last_measured(known)
        left = [file for file in self._files if last is None or _key(file.time_s) >= _key(last.time_s or 0.0)]
        shots = file_shots(left)
        try:
            yield _FileShots(shots)
        finally:
            shots.close()

    def pictures(self, stills: Sequence[Still], min_size: Size | None = None) -> Iterator[tuple[Still, Picture]]:
        """See `Clip`."""
        paths = {_key(file.time_s): file.path for file in self._files}
        for still in stills:
            if still.time_s is None:
                continue
            path = paths.get(_key(still.time_s))
            if path is None:
                raise FrameError(f"{self.source} has no frame at {still.time_s:.3f} s of {self.video}; was it changed?")
            yield still, decode_frame(path, min_size=min_size)

    def frames(self, rate_hz: float, min_size: Size) -> Iterator[tuple[float, Picture]]:
        """See `Clip`; files that cannot be read are left out."""
        due = 0.0
        for file in self._files:
            if file.time_s + 1e-6 < due:
                continue
            due = file.time_s + 1 / rate_hz
            try:
                yield file.time_s, decode_frame(file.path, min_size=min_size)
            except FrameError:
                continue

    def expected_frames(self) -> int | None:
        """See `Clip`."""
        return len(self._files)

    def state(self) -> str:
        """See `Clip`."""
        every = "\n".join(f"{file.shown}: {_state_of(file.path)}" for file in self._files)
        return f"{len(self._files)} files, {hashlib.sha256(every.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}"


@dataclass(frozen=True)
class _FileShots:
    shots: Iterable[StreamFrame]

    def __iter__(self) -> Iterator[StreamFrame]:
        return iter(self.shots)

    @property
    def problems(self) -> tuple[str, ...]:
        return ()


def video_clips(paths: Sequence[Path], pace: Pace) -> list[VideoClip]:
    """Video files with names of their own: that of the file, or as much of the path as tells it from the others."""
    stems = [path.stem for path in paths]
    names = [path.stem if stems.count(path.stem) == 1 else path.as_posix() for path in paths]
    return [VideoClip(path, path.as_posix(), name, pace) for path, name in zip(paths, names, strict=True)]


def last_measured(known: Sequence[FrameScore]) -> FrameScore | None:
    """Of the scores of a clip, in order of time, that of the last frame that was measured, None if none was.

    Frames between those are scored only where scores change: a run that goes on must begin with a measured one, or it
    would choose others.
    """
    return next((score for score in reversed(known) if score.quality is not None and score.time_s is not None), None)


def _place(known: Sequence[FrameScore]) -> Place | None:
    last = last_measured(known)
    if last is None or last.time_s is None or last.frame is None or known[0].time_s is None:
        return None
    return Place(last.time_s, last.frame, known[0].time_s)


def _state_of(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "absent"
    return f"{status.st_size} bytes, changed {status.st_mtime_ns / 1e9:.3f}"


def _key(seconds: float) -> int:
    return round(seconds * 1000)
