"""From what a user names - files, folders, patterns, arrays, a camera - to frame files, videos and streams."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flipdetect.errors import DataError
from flipdetect.sources.folder import FRAME_SUFFIXES, VIDEO_SUFFIXES, Problem, find_files, name_below, natural_key
from flipdetect.sources.naming import NamePattern, unlabelled_video
from flipdetect.sources.streams import (
    FPS,
    RATE_HZ,
    REFINE,
    ArrayStream,
    CameraStream,
    FolderStream,
    FrameFile,
    FrameStream,
    VideoStream,
    check_fps,
)


def open_stream(
    source: str | os.PathLike[str] | int | Iterable[Any],
    *,
    rate_hz: float = RATE_HZ,
    refine: int = REFINE,
    fps: float = FPS,
    seconds: float | None = None,
) -> FrameStream:
    """The stream of one film.

    Args:
        source: path of a video, or of a folder with the frames of one film; an iterable as for `ArrayStream`; or the
            number of a camera.
        rate_hz, refine: of a video, as for `VideoStream`.
        fps: frames per second of the film that frame files or arrays come from.
        seconds: how long to watch a camera; None: without end.

    Raises:
        DataError: if the folder does not exist, or does not hold the frames of exactly one film.
        ConfigError: if a number is impossible.
    """
    if isinstance(source, int):
        return CameraStream(source, seconds)
    if not isinstance(source, str | os.PathLike):
        return ArrayStream(source, fps)
    path = Path(source).expanduser()
    if not path.is_dir():
        return VideoStream(path, rate_hz=rate_hz, refine=refine)
    streams = folder_streams(find_files(path).files, path, fps)
    if len(streams) != 1:
        held = f"frames of {len(streams)} films" if streams else "no frames"
        raise DataError(f"the folder {path} holds {held}; give one with the frames of one film")
    return streams[0]


def folder_streams(
    paths: Iterable[Path], root: Path, fps: float = FPS, naming: NamePattern | None = None
) -> list[FolderStream]:
    """A stream per film of ordered frame files, with the times that frame numbers mean.

    Frame numbers count frames of a film from its first; where a name has no number or two names have the same, all
    files of that film are counted in natural order instead. Names that say neither film nor number make their folder
    one film.

    Args:
        paths: in natural order.
        root: files and films are named relative to this folder.
        fps: frames per second of the film.
        naming: how file names are read; None for the default.

    Raises:
        ConfigError: if `fps` is no positive number.
    """
    check_fps(fps)
    films: dict[str, list[tuple[int | None, Path]]] = {}
    for path in paths:
        video, frame = unlabelled_video(path, root, naming)
        if frame is None:
            folder = name_below(path.parent, root)
            video = folder if folder != "." else root.resolve().name or "frames"
        films.setdefault(video, []).append((frame, path))
    streams = []
    for video, members in films.items():
        known = [frame for frame, _ in members if frame is not None]
        if len(set(known)) == len(members):
            first = min(known)
            ordered = sorted(((frame or 0, frame, path) for frame, path in members), key=lambda each: each[0])
        else:
            first = 0
            ordered = [(place, frame, path) for place, (frame, path) in enumerate(members)]
        files = [
            FrameFile(path, name_below(path, root), frame, (place - first) / fps) for place, frame, path in ordered
        ]
        streams.append(FolderStream(video, root, files))
    return streams


def video_streams(
    paths: Sequence[Path], *, rate_hz: float = RATE_HZ, refine: int = REFINE, stride: int | None = None
) -> list[VideoStream]:
    """A stream per video file, named by its stem, or by its path where two stems are the same."""
    stems = [path.stem for path in paths]
    return [
        VideoStream(
            path,
            path.stem if stems.count(path.stem) == 1 else path.as_posix(),
            rate_hz=rate_hz,
            refine=refine,
            stride=stride,
        )
        for path in paths
    ]


class FoundInputs(NamedTuple):
    """What a user's inputs are.

    Attributes:
        videos: video files, each once.
        frames: frame files, each once; broken links with a frame's name included.
        root: tables name frame files relative to this folder.
        problems: files and folders that cannot be used.
    """

    videos: list[Path]
    frames: list[Path]
    root: Path
    problems: list[Problem]


def find_inputs(inputs: Sequence[str | Path]) -> FoundInputs:
    """Find the videos and frames that files, folders and patterns such as `films/**/*.mp4` name, in natural order.

    Folders are searched with their subfolders. A file that is named itself counts as a video unless it has
    the suffix of a picture.

    Raises:
        DataError: if an input does not exist, matches nothing, or all of them hold neither videos nor frames.
    """
    videos: dict[Path, None] = {}
    frames: dict[Path, None] = {}
    problems: list[Problem] = []
    suffixes = FRAME_SUFFIXES | VIDEO_SUFFIXES
    for given in inputs:
        path = Path(given).expanduser()
        matches = [path]
        is_pattern = glob.has_magic(str(given)) and not path.exists()
        if is_pattern:
            matches = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - absolute patterns
            matches.sort(key=lambda match: (natural_key(str(match)), str(match)))
            if not matches:
                raise DataError(f"nothing matches the pattern {given}; correct it")
        for match in matches:
            if match.is_dir():
                found = find_files(match, suffixes)
                problems += found.problems
                # A broken link with a frame's name gets a row like any other unreadable file.
                broken = [each.path for each in found.problems if each.path.suffix.lower() in FRAME_SUFFIXES]
                members: Sequence[Path] = [*found.files, *broken]
            elif is_pattern and match.suffix.lower() not in suffixes:
                continue
            elif match.exists() or match.is_symlink():
                members = [match]
            else:
                raise DataError(f"there is no file or folder {given}; it does not exist: correct the path")
            for member in members:
                (frames if member.suffix.lower() in FRAME_SUFFIXES else videos)[member] = None
    if not videos and not frames:
        raise DataError(
            f"no frames and no videos in {', '.join(map(str, inputs))}; give videos, or pictures with one of the "
            f"suffixes {', '.join(sorted(FRAME_SUFFIXES))}"
            + (f". {problems[0].path}: {problems[0].reason}" if problems else "")
        )
    only = Path(inputs[0]).expanduser()
    return FoundInputs(list(videos), list(frames), only if len(inputs) == 1 and only.is_dir() else Path(), problems)
