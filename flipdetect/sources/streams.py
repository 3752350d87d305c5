"""Where frames come from: a video file, ordered frame files, arrays or a camera. All become `StreamFrame`s."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flipdetect.errors import ConfigError, DataError, FrameError
from flipdetect.records import FrameScore
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import decode_frame
from flipdetect.sources.naming import NamePattern, unlabelled_video
from flipdetect.sources.video import Place, VideoFrame, open_video

Image = npt.NDArray[np.uint8]

LEAST_SIZE = (384, 216)
"""Height and width that reduced frames still cover: enough to measure them as pictures."""
FPS = 30.0
"""Frames per second of sequences that do not say, as phones film."""


@dataclass(frozen=True, slots=True)
class StreamFrame:
    """A frame of a sequence, decoded or not.

    Attributes:
        path: as it is to be written in a table.
        time_s: second at which it is shown; ascending.
        frame: its number; None if unknown.
        image: (H, W, 3) uint8 RGB, reduced perhaps; None if it could not be read.
        error: why there is no image.
    """

    path: str
    time_s: float
    frame: int | None
    image: Image | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class SequenceFile:
    """A frame file in a sequence.

    Attributes:
        path: the file.
        shown: its path as it is to be written in a table.
        video: the clip it belongs to.
        frame: its number; None if its name has none.
        time_s: second of the clip at which it was taken.
    """

    path: Path
    shown: str
    video: str
    frame: int | None
    time_s: float


class VideoShots:
    """The frames of a video file, reduced; close it, or use it in `with`.

    Args:
        path: the file.
        shown: its path as it is to be written in a table.
        rate_hz: frames per second to give; None with `stride`.
        stride: every how many frames one is given; 1 with `rate_hz`.
        place: the frame to begin with, of an earlier reading at the same rate or stride; None for the start.

    Raises:
        FrameError: if the file is no video that can be read.
        ConfigError: if an argument is impossible.
    """

    def __init__(
        self, path: Path, shown: str, *, rate_hz: float | None = None, stride: int = 1, place: Place | None = None
    ) -> None:
        self.reader = open_video(path, stride=stride, rate_hz=rate_hz, min_size=LEAST_SIZE, place=place)
        self._shown = shown

    def __iter__(self) -> Iterator[StreamFrame]:
        for frame in self.reader:
            yield StreamFrame(self._shown, frame.time_s, frame.index, frame.image)

    def __enter__(self) -> VideoShots:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()

    @property
    def problems(self) -> tuple[str, ...]:
        """What of the file was lost or repaired, for the user; complete after the last frame."""
        reader = self.reader
        found = [reader.lost]
        if reader.decode_failures:
            found.append(f"{reader.decode_failures} packets or frames could not be decoded")
        if reader.missing_times or reader.repaired_times:
            count = reader.missing_times + reader.repaired_times
            found.append(f"the times of {count} frames were missing or wrong, and were put after the frame before")
        return tuple(text for text in found if text)


def sequence_files(
    paths: Iterable[Path], root: Path, fps: float = FPS, naming: NamePattern | None = None
) -> dict[str, list[SequenceFile]]:
    """Frame files by clip, each clip in order of its frames, with the times that frame numbers mean.

    Frame numbers count frames of a film, from the clip's first; where a name has no number or two names the same
    one, all of that clip are counted in natural order instead. Names that say neither clip nor frame make one clip of
    their folder.

    Args:
        paths: in natural order.
        root: files and clips are named relative to this folder.
        fps: frames per second of the film.
        naming: how file names are read; None for the usual way.

    Raises:
        ConfigError: if `fps` is no positive number.
    """
    _check_fps(fps)
    clips: dict[str, list[tuple[int | None, Path]]] = {}
    for path in paths:
        video, frame = unlabelled_video(path, root, naming)
        if frame is None:  # a name that says nothing: the folder is the film
            folder = name_below(path.parent, root)
            video = folder if folder != "." else root.resolve().name or "frames"
        clips.setdefault(video, []).append((frame, path))
    found = {}
    for video, members in clips.items():
        numbers = [frame for frame, _ in members]
        known = [number for number in numbers if number is not None]
        if len(set(known)) == len(members):
            first = min(known)
            ordered = sorted(((frame or 0, frame, path) for frame, path in members), key=lambda each: each[0])
        else:
            first = 0
            ordered = [(place, frame, path) for place, (frame, path) in enumerate(members)]
        found[video] = [
            SequenceFile(path, name_below(path, root), video, frame, (place - first) / fps)
            for place, frame, path in ordered
        ]
    return found


def frame_times(scores: Iterable[FrameScore], fps: float = FPS) -> list[FrameScore]:
    """Scores with times: where a table has none, those that frame numbers mean, counted from each clip's first frame.

    Raises:
        DataError: if a score has neither time nor frame number.
        ConfigError: if `fps` is no positive number.
    """
    _check_fps(fps)
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


def file_shots(files: Sequence[SequenceFile], workers: int | None = None) -> Generator[StreamFrame, None, None]:
    """Read frame files in order, decoding a few ahead in threads; one that cannot be read has its error."""
    workers = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[tuple[SequenceFile, Future[Any]]] = deque()
        queue = iter(files)
        try:
            for file in queue:
                ahead.append((file, pool.submit(decode_frame, file.path, min_size=LEAST_SIZE)))
                if len(ahead) > 2 * workers:
                    yield _shot(*ahead.popleft())
            while ahead:
                yield _shot(*ahead.popleft())
        finally:
            for _, future in ahead:
                future.cancel()


def _shot(file: SequenceFile, future: Future[Any]) -> StreamFrame:
    try:
        return StreamFrame(file.shown, file.time_s, file.frame, future.result())
    except FrameError as error:
        return StreamFrame(file.shown, file.time_s, file.frame, None, str(error))


def array_shots(frames: Iterable[Any], fps: float = FPS) -> Iterator[StreamFrame]:
    """Frames that are decoded already.

    Args:
        frames: arrays (H, W, 3) uint8 RGB, taken to be `fps` a second; or pairs (second, array); or `VideoFrame`s.
        fps: frames per second of bare arrays.

    Raises:
        FrameError: if a frame is none of these.
        DataError: if a time is no number, or goes back.
    """
    _check_fps(fps)
    last = -math.inf
    for number, item in enumerate(frames):
        if isinstance(item, VideoFrame):
            time_s, image = item.time_s, item.image
        elif isinstance(item, tuple) and len(item) == 2:
            time_s, image = item
        else:
            time_s, image = number / fps, item
        if not math.isfinite(time_s) or time_s < last:
            raise DataError(f"frame {number} has the time {time_s}, after {last}; give seconds that do not go back")
        last = time_s
        yield StreamFrame("", float(time_s), number, _checked(image, number))


def camera_shots(index: int, seconds: float | None = None) -> Iterator[StreamFrame]:
    """Frames of a camera as they come, with the seconds since the first; ends after `seconds`, if given.

    Frames that come while the last one is being scored are left out by the driver.

    Raises:
        DataError: if there is no such camera, or it stops giving frames.
    """
    import cv2

    camera = cv2.VideoCapture(index)
    try:
        if not camera.isOpened():
            raise DataError(f"camera {index} cannot be opened; check that it is connected and not in use")
        start = time.monotonic()
        number = 0
        while seconds is None or time.monotonic() - start < seconds:
            ok, image = camera.read()
            if not ok:
                raise DataError(f"camera {index} gives no more frames; check that it is connected")
            yield StreamFrame("", time.monotonic() - start, number, np.ascontiguousarray(image[:, :, ::-1]))
            number += 1
    finally:
        camera.release()


def _check_fps(fps: float) -> None:
    if not (fps > 0 and math.isfinite(fps)):
        raise ConfigError(f"fps must be more than 0 frames per second, got {fps}")


def _checked(image: Any, number: int) -> npt.NDArray[np.uint8]:
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3):
        got = f"{image.dtype} of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise FrameError(f"frame {number}: a uint8 array (height, width, 3) in RGB is needed, got {got}; convert it")
    if 0 in image.shape:
        raise FrameError(f"frame {number} has no pixels, its shape is {image.shape}; leave it out")
    return image
