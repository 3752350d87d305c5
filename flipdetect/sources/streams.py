"""`FrameStream`: where the frames of a film come from - a video file, ordered frame files, arrays or a camera.

The Python API and the commands share these. A stream gives reduced frames in order of time, to score and measure them;
a stream of files also gives chosen frames again in full size, and all of them at a lower rate for a preview.
"""

from __future__ import annotations

import math
import os
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise, takewhile
from pathlib import Path, PurePath
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flipdetect.errors import ConfigError, DataError, FrameError
from flipdetect.records import FrameScore
from flipdetect.sources.folder import find_files, name_below, natural_key
from flipdetect.sources.image import check_frame, decode_frame, usable_cores
from flipdetect.sources.naming import NamePattern, unlabelled_video
from flipdetect.sources.video import open_video
from flipdetect.sources.video_change import REST_S, Opinion
from flipdetect.sources.video_decoder import VideoFrame, estimated_length
from flipdetect.sources.video_groups import FrameTable, read_frame_table
from flipdetect.sources.video_seek import frame_at

Image = npt.NDArray[np.uint8]
Size = tuple[int, int]

LEAST_SIZE: Size = (768, 432)
"""Height and width that reduced frames still cover: twice a model's input, so that it gets nearly the same from a
film as from an image file."""
FPS = 30.0
"""Frames per second of sequences that do not say, as phones film."""
RATE_HZ = 10.0
"""Frames per second of a video that are scored while nothing changes."""
MOST_STEP = 1000
"""Numbers of frames are usually closer than this; those of a clock (milliseconds, nanoseconds) are not frames."""
KEY_FRAMES, EVERY_FRAME = "key frames", "every frame"
"""What is decoded of a video: key frames, and what lies between those that differ; or all of it."""
REFINE = 3
"""Factor by which more frames are scored where scores change."""


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


class VideoStream(FrameStream):
    """The frames of a video file.

    Args:
        path: the file.
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
        _check_part(start_s, end_s)
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


class FrameFile(NamedTuple):
    """A frame file of a film: its path, its path as written in tables, its number if known, its second in the film."""

    path: Path
    shown: str
    frame: int | None
    time_s: float


class FolderStream(FrameStream):
    """Ordered frame files of one film, decoded a few ahead in threads; one that cannot be read has its error.

    Args:
        video: the film's name in tables.
        source: their folder, for the user.
        files: in order of time.
        duration_s: of the whole film; None: up to the last file.
    """

    can_reread = True

    def __init__(self, video: str, source: Path, files: Sequence[FrameFile], duration_s: float | None = None) -> None:
        self.video, self.source = video, str(source)
        self._files, self._duration_s = files, duration_s

    def __iter__(self) -> Iterator[StreamFrame]:
        def read(file: FrameFile) -> StreamFrame:
            try:
                return StreamFrame(file.shown, file.time_s, file.frame, decode_frame(file.path, min_size=LEAST_SIZE))
            except FrameError as error:
                return StreamFrame(file.shown, file.time_s, file.frame, None, str(error))

        workers, files = usable_cores(), iter(self._files)
        pool = ThreadPoolExecutor(workers)
        try:
            ahead = deque(pool.submit(read, file) for file in islice(files, 2 * workers))
            while ahead:
                frame = ahead.popleft().result()
                ahead.extend(pool.submit(read, file) for file in islice(files, 1))
                yield frame
        finally:
            pool.shutdown(cancel_futures=True)

    @property
    def expected_frames(self) -> int:
        """How many files there are."""
        return len(self._files)

    @property
    def duration_s(self) -> float | None:
        """See `FrameStream`."""
        return self._duration_s

    def shown_at(self, time_s: float) -> float:
        """See `FrameStream`."""
        before = [file.time_s for file in self._files if file.time_s <= time_s + 0.001]
        return before[-1] if before else self._files[0].time_s

    def fetch(self, times_s: Sequence[float], min_size: Size | None = None) -> Iterator[Image]:
        """See `FrameStream`."""
        # Times that were read from a table have six decimals.
        paths = {round(file.time_s * 1000): file.path for file in self._files}
        for second in times_s:
            path = paths.get(round(second * 1000))
            if path is None:
                raise FrameError(f"{self.source} has no frame at {second:.3f} s of {self.video}; was it changed?")
            yield decode_frame(path, min_size=min_size)

    def resample(self, rate_hz: float, min_size: Size) -> Iterator[tuple[float, Image]]:
        """See `FrameStream`; files that cannot be read are left out."""
        due = 0.0
        for file in self._files:
            if file.time_s + 1e-6 < due:
                continue
            due = file.time_s + 1 / rate_hz
            try:
                yield file.time_s, decode_frame(file.path, min_size=min_size)
            except FrameError:
                continue


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
        _check_part(start_s, end_s)
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


def check_fps(fps: float) -> None:
    """Raise a `ConfigError` unless `fps` is a positive number."""
    if not (fps > 0 and math.isfinite(fps)):
        raise ConfigError(f"fps must be more than 0 frames per second, got {fps}")


def _check_part(start_s: float, end_s: float) -> None:
    if not 0 <= start_s < end_s:
        raise ConfigError(f"start and end must be seconds from 0 on, in this order, got {start_s:g} and {end_s:g}")


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


def folder_streams(
    paths: Iterable[Path],
    root: Path,
    fps: float = FPS,
    naming: NamePattern | None = None,
    *,
    start_s: float = 0.0,
    end_s: float = math.inf,
) -> list[FolderStream]:
    """A stream per film of ordered frame files, with the times that frame numbers mean.

    Frame numbers count frames of a film from its first; where a name has no number, two names have the same, or numbers
    are so far apart that they are times of a clock, all files of that film are counted in order instead. Names that say
    neither film nor number make their folder one film.

    Args:
        paths: in natural order.
        root: files and films are named relative to this folder.
        fps: frames per second of the film.
        naming: how file names are read; None for the default.
        start_s, end_s: the seconds of a film between which frames are given.

    Raises:
        ConfigError: if a number is impossible.
    """
    check_fps(fps)
    _check_part(start_s, end_s)
    one_film = naming is not None and naming.one_film
    films: dict[str, list[tuple[int | None, Path]]] = {}
    for path in paths:
        video, frame = unlabelled_video(path, root, naming)
        if frame is None and not one_film:
            folder = name_below(path.parent, root)
            video = folder if folder != "." else root.resolve().name or "frames"
        films.setdefault(video, []).append((frame, path))
    streams = []
    for video, members in films.items():
        known = [frame for frame, _ in members if frame is not None]
        usual = median(later - earlier for earlier, later in pairwise(sorted(known))) if len(known) > 1 else 0
        is_numbered = len(set(known)) == len(members) and usual <= MOST_STEP
        if is_numbered or usual > MOST_STEP:
            members.sort(key=lambda member: member[0] or 0)
        elif one_film:  # whatever folder they are in
            members.sort(key=lambda member: natural_key(member[1].name))
        places = [frame - min(known) for frame in sorted(known)] if is_numbered else range(len(members))
        files = [
            FrameFile(path, name_below(path, root), frame, place / fps)
            for place, (frame, path) in zip(places, members, strict=True)
        ]
        part = [file for file in files if start_s <= file.time_s <= end_s]
        streams.append(FolderStream(video, root, part, duration_s=files[-1].time_s + 1 / fps))
    return streams


def video_streams(paths: Sequence[Path], **settings: Any) -> list[VideoStream]:
    """A stream per video file with these settings, with the name of `video_names`."""
    return [VideoStream(path, name, **settings) for path, name in zip(paths, video_names(paths), strict=True)]


def video_names(paths: Sequence[PurePath]) -> list[str]:
    """What films are called in tables: their stem, or their path where two stems are the same."""
    stems = Counter(path.stem for path in paths)
    return [path.stem if stems[path.stem] == 1 else path.as_posix() for path in paths]
