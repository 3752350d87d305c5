"""The frames of films as ordered files in folders."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from flipdetect.errors import FrameError
from flipdetect.sources.folder import name_below, natural_key
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
from flipdetect.sources.image import decode_frame, in_order, usable_cores
from flipdetect.sources.naming import NamePattern, unlabelled_video

MOST_STEP = 1000
"""Numbers of frames are usually closer than this; those of a clock (milliseconds, nanoseconds) are not frames."""


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

        workers = usable_cores()
        return in_order((partial(read, file) for file in self._files), workers, 2 * workers)

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
    check_part(start_s, end_s)
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
