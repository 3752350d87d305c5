"""Where the frames of a film come from: a video file, ordered frame files, arrays or a camera.

The Python API and the commands share these; see `FrameStream`.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from flipdetect.errors import ConfigError, DataError, FrameError
from flipdetect.records import FrameScore
from flipdetect.sources.folder import find_files
from flipdetect.sources.folder_stream import FolderStream, folder_streams
from flipdetect.sources.frame_stream import (
    FPS,
    LEAST_SIZE,
    FrameStream,
    Image,
    Size,
    StreamFrame,
    check_fps,
    check_part,
)
from flipdetect.sources.image import check_frame
from flipdetect.sources.video import open_video
from flipdetect.sources.video_change import REST_S
from flipdetect.sources.video_decoder import VideoFrame, estimated_length
from flipdetect.sources.video_groups import FrameTable, read_frame_table
from flipdetect.sources.video_seek import frame_at

__all__ = [
    "EVERY_FRAME", "FPS", "KEY_FRAMES", "RATE_HZ", "ArrayStream", "CameraStream", "FolderStream", "FrameStream",
    "Image", "StreamFrame", "VideoStream", "folder_streams", "frame_times", "open_stream", "video_names",
    "video_streams",
]  # fmt: skip

RATE_HZ = 10.0
"""Frames per second of a video that are scored while nothing changes."""
KEY_FRAMES, EVERY_FRAME = "key frames", "every frame"
"""What is decoded of a video: key frames, and what lies between those that differ; or all of it."""
REFINE = 3
"""Factor by which more frames are scored where scores change."""


class VideoStream(FrameStream):
    """The frames of a video file.

    Args:
        video: the film's name in tables; the file's stem by default.
        rate_hz: frames per second that are scored at first.
        refine: factor by which more frames are given, to be scored where scores change.
        stride: instead of the rate: give every so many frames, and score all of them.
        every_frame: decode all of the film, and look at it as closely where the picture rests.
        hardware: decode by a device that can, if there is one; chosen frames are read again without it.
        start_s, end_s: the seconds of the film between which frames are given.

    Raises:
        ConfigError: if a number is impossible.
    """

    can_reread = True

    def __init__(
        self,
        path: Path,
        video: str = "",
        *,
        rate_hz: float = RATE_HZ,
        refine: int = REFINE,
        stride: int | None = None,
        every_frame: bool = False,
        hardware: bool = False,
        start_s: float = 0.0,
        end_s: float = math.inf,
    ) -> None:
        if not 0 < rate_hz < math.inf:
            raise ConfigError(f"rate_hz must be more than 0 frames per second, got {rate_hz}")
        if refine < 1 or (stride is not None and stride < 1):
            raise ConfigError(f"refine and stride must be 1 or more, got {refine} and {stride}")
        check_part(start_s, end_s)
        self.path, self.video, self.source = path, video or path.stem, str(path)
        self._start_s, self._end_s = start_s, end_s
        self._read_s: float | None = None
        skips_rest = stride is None and not every_frame and rate_hz >= 1 / REST_S
        self._choice: dict[str, Any] = {
            "hardware": hardware, "skips_rest": skips_rest, "min_size": LEAST_SIZE, "start_s": start_s,
            **({"rate_hz": rate_hz * refine, "refine": refine} if stride is None else {"stride": stride}),
        }  # fmt: skip

    def __iter__(self) -> Iterator[StreamFrame]:
        shown = self.path.as_posix()
        with open_video(self.path, table=self._table, look=self.look, **self._choice) as reader:
            try:
                for each in reader:
                    if each.time_s > self._end_s:
                        break
                    yield StreamFrame(shown, each.time_s, each.index, each.image, "", each.fine, each.opinion)
                else:
                    self._read_s = reader.end_s
            finally:
                repaired = reader.repaired_times
                times = f"the times of {repaired} frames were missing or wrong, and were repaired" if repaired else ""
                self.problems = tuple(text for text in (reader.lost, times) if text)

    @property
    def decoding(self) -> str:
        """See `FrameStream`."""
        try:
            return EVERY_FRAME if self._table is None else KEY_FRAMES
        except FrameError:
            return ""

    @cached_property
    def _table(self) -> FrameTable | None:
        return read_frame_table(self.path) if self._choice["skips_rest"] else None

    @property
    def expected_frames(self) -> int | None:
        """See `FrameStream`; raises FrameError if the file is no video that can be read."""
        duration, frames = estimated_length(self.path)
        if frames is None or not duration or self._end_s >= duration:
            return frames
        return max(round(frames * self._end_s / duration), 1)

    @property
    def duration_s(self) -> float | None:
        """See `FrameStream`."""
        try:
            return estimated_length(self.path)[0] if self._read_s is None else self._read_s
        except FrameError:
            return None

    def fetch(self, times_s: Sequence[float], min_size: Size | None = None) -> Iterator[Image]:
        """See `FrameStream`."""
        return (frame.image for frame in frame_at(self.path, times_s, min_size=min_size))

    def resample(self, rate_hz: float, min_size: Size) -> Iterator[tuple[float, Image]]:
        """See `FrameStream`."""
        with open_video(self.path, rate_hz=rate_hz, min_size=min_size, start_s=self._start_s) as reader:
            for frame in takewhile(lambda frame: frame.time_s <= self._end_s, reader):
                yield frame.time_s, frame.image


class ArrayStream(FrameStream):
    """Frames that are decoded already.

    Args:
        frames: arrays (H, W, 3) uint8 RGB, `fps` per second; or pairs (second, array); or `VideoFrame`s. Iterating
            raises FrameError if a frame is none of these, DataError if a time is no number or goes back.
        fps: frames per second of bare arrays.
        start_s, end_s: the seconds of the film between which frames are given.

    Raises:
        ConfigError: if a number is impossible.
    """

    def __init__(
        self, frames: Iterable[Any], fps: float = FPS, *, start_s: float = 0.0, end_s: float = math.inf
    ) -> None:
        check_fps(fps)
        check_part(start_s, end_s)
        self._part = start_s, end_s
        self._frames = frames
        self._fps = fps

    def __iter__(self) -> Iterator[StreamFrame]:
        last = -math.inf
        for number, item in enumerate(self._frames):
            if isinstance(item, VideoFrame):
                time_s, image = item.time_s, item.image
            elif isinstance(item, tuple) and len(item) == 2:
                time_s, image = item
            else:
                time_s, image = number / self._fps, item
            if not math.isfinite(time_s) or time_s < last:
                raise DataError(f"frame {number} has the time {time_s}, after {last}; give seconds that do not go back")
            last = time_s
            if time_s < self._part[0]:
                continue
            if time_s > self._part[1]:
                return
            check_frame(image, f"frame {number}")
            yield StreamFrame("", float(time_s), number, image)


class CameraStream(FrameStream):
    """Frames of a camera as they come, with the seconds since the first. The driver drops frames that come too fast.

    Args:
        index: number of the camera. Iterating raises DataError if it cannot be opened, or gives no more frames.
        seconds: when to stop; None: never.
    """

    def __init__(self, index: int, seconds: float | None = None) -> None:
        self._index = index
        self._seconds = seconds
        self.source = f"camera {index}"

    def __iter__(self) -> Iterator[StreamFrame]:
        import cv2

        camera = cv2.VideoCapture(self._index)
        try:
            if not camera.isOpened():
                raise DataError(f"{self.source} cannot be opened; check that it is connected and not in use")
            start = time.monotonic()
            number = 0
            while self._seconds is None or time.monotonic() - start < self._seconds:
                ok, image = camera.read()
                if not ok:
                    raise DataError(f"{self.source} gives no more frames; check that it is connected")
                yield StreamFrame("", time.monotonic() - start, number, np.ascontiguousarray(image[:, :, ::-1]))
                number += 1
        finally:
            camera.release()


def frame_times(scores: Iterable[FrameScore], fps: float = FPS) -> list[FrameScore]:
    """Scores with times: where a table has none, those that frame numbers mean, counted from each film's first frame.

    Raises:
        DataError: if a score has neither time nor frame number.
        ConfigError: if `fps` is no positive number.
    """
    check_fps(fps)
    rows = list(scores)
    first: dict[str, int] = {}
    for row in rows:
        if row.time_s is None:
            if row.frame is None:
                raise DataError(f"{row.path} has neither time nor frame number: its place in the film is unknown")
            first[row.video] = min(row.frame, first.get(row.video, row.frame))
    return [
        replace(row, time_s=((row.frame or 0) - first[row.video]) / fps) if row.time_s is None else row for row in rows
    ]


def open_stream(
    source: str | os.PathLike[str] | int | Iterable[Any],
    *,
    rate_hz: float = RATE_HZ,
    refine: int = REFINE,
    every_frame: bool = False,
    fps: float = FPS,
    seconds: float | None = None,
    start_s: float = 0.0,
    end_s: float = math.inf,
) -> FrameStream:
    """The stream of one film.

    Args:
        source: path of a video, or of a folder with the frames of one film; an iterable as for `ArrayStream`; or the
            number of a camera.
        rate_hz, refine, every_frame: of a video, as for `VideoStream`.
        fps: frames per second of the film that frame files or arrays come from.
        seconds: how long to watch a camera; None: without end.
        start_s, end_s: the seconds of a film between which frames are given.

    Raises:
        DataError: if the folder does not exist, or does not hold the frames of exactly one film.
        ConfigError: if a number is impossible.
    """
    if isinstance(source, int):
        return CameraStream(source, seconds)
    if not isinstance(source, str | os.PathLike):
        return ArrayStream(source, fps, start_s=start_s, end_s=end_s)
    path = Path(source).expanduser()
    if not path.is_dir():
        return VideoStream(path, rate_hz=rate_hz, refine=refine, every_frame=every_frame, start_s=start_s, end_s=end_s)
    streams = folder_streams(find_files(path).files, path, fps, start_s=start_s, end_s=end_s)
    if len(streams) != 1:
        held = f"frames of {len(streams)} films" if streams else "no frames"
        raise DataError(f"the folder {path} holds {held}; give one with the frames of one film")
    return streams[0]


def video_streams(paths: Sequence[Path], **settings: Any) -> list[VideoStream]:
    """A stream per video file with these settings, with the name of `video_names`."""
    return [VideoStream(path, name, **settings) for path, name in zip(paths, video_names(paths), strict=True)]


def video_names(paths: Sequence[PurePath]) -> list[str]:
    """What films are called in tables: their stem, or their path where two stems are the same."""
    stems = Counter(path.stem for path in paths)
    return [path.stem if stems[path.stem] == 1 else path.as_posix() for path in paths]
