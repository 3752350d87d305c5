"""Find frame files and videos below a folder, in natural order (`frame2` before `frame10`)."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from natsort import natsort_keygen

from flipdetect.errors import ConfigError, DataError

FRAME_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp"})
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp", ".mts",
    ".ts", ".m2ts", ".wmv", ".asf", ".flv", ".ogv", ".vob", ".mxf", ".dv", ".m2v",
})  # fmt: skip
OTHER_SUFFIXES = frozenset({".tif", ".tiff", ".avif", ".heic", ".heif", ".gif", ".jp2", ".jxl", ".dng", ".cr2", ".nef"})
"""Pictures that are not read: they are named, not passed over."""
# Operating systems leave these in folders; names that begin with a dot are skipped as well.
JUNK_NAMES = frozenset({"__macosx", "thumbs.db", "desktop.ini"})

natural_key: Callable[[Any], Any] = natsort_keygen()
# Replaces all digits by 0: names that differ only in digits get the same shape.
_SHAPE = str.maketrans("123456789", "000000000")


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder that cannot be used, and the reason, for the user."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """Files in natural order (those of a folder before those of its subfolders), and what could not be read."""

    files: tuple[Path, ...]
    problems: tuple[Problem, ...]


def name_below(path: Path, root: Path) -> str:
    """A path as it is written in tables, with `/`: relative to `root` if it is below it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def is_junk(name: str) -> bool:
    """Whether a file or folder of this name belongs to the system rather than to the data."""
    return name.startswith(".") or name.casefold() in JUNK_NAMES


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files of one folder: its path as text, and their names in natural order."""

    folder: str
    names: tuple[str, ...]

    def paths(self) -> Iterator[str]:
        """Paths of the files as text, which is much lighter than `Path`."""
        return (os.path.join(self.folder, name) for name in self.names)  # noqa: PTH118


def find_files(root: Path, suffixes: Collection[str] = FRAME_SUFFIXES) -> FoundFiles:
    """Find all files below `root` whose suffix, in any case, is one of `suffixes`.

    Links to folders are followed, but no folder is visited twice, so that loops end. A folder may be named `x.jpg`.
    No file is opened. Raises a `DataError` if `root` is absent or is not a folder.
    """
    folders, problems = walk_files(root, suffixes)
    return FoundFiles(tuple(Path(path) for folder in folders for path in folder.paths()), tuple(problems))


def walk_files(root: Path, suffixes: Collection[str] = FRAME_SUFFIXES) -> tuple[list[FolderFiles], list[Problem]]:
    """`find_files` by folder, for sets of hundreds of thousands of files; raises as it does."""
    if not root.is_dir():
        found = "is a file, not a folder" if root.exists() else "does not exist"
        raise DataError(f"the folder {root} {found}; give the folder that holds the frames")
    found_folders: list[FolderFiles] = []
    problems: list[Problem] = []
    others = OTHER_SUFFIXES.difference(suffixes)
    visited: set[tuple[int, int]] = set()
    waiting = [str(root)]
    while waiting:
        folder = waiting.pop()
        try:
            # A folder is known by its device and inode: a path can lead to it in endlessly many ways.
            status = os.stat(folder)  # noqa: PTH116 - strings are several times faster than Paths here
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            entries = _ordered_entries(folder)
        except OSError as error:
            problems.append(Problem(Path(folder), f"the folder cannot be read ({error.strerror or error})"))
            continue
        subfolders: list[str] = []
        names: list[str] = []
        for entry in entries:
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False
            if is_folder:
                subfolders.append(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in others:  # noqa: PTH122
                what = "is a picture in a format that is not read; convert it to JPEG or PNG"
                problems.append(Problem(Path(entry.path), what))
            elif os.path.splitext(entry.name)[1].lower() in suffixes:  # noqa: PTH122
                try:
                    is_file = entry.is_file()
                    reason = "is a link to nothing" if entry.is_symlink() else "is not a regular file"
                except OSError as error:
                    is_file, reason = False, f"cannot be read ({error.strerror or error})"
                if is_file:
                    names.append(entry.name)
                else:
                    problems.append(Problem(Path(entry.path), reason))
        if names:
            found_folders.append(FolderFiles(folder, tuple(names)))
        waiting.extend(reversed(subfolders))
    return found_folders, problems


def _ordered_entries(folder: str) -> list[os.DirEntry[str]]:
    """Entries in natural order, links last, so that a linked folder is met under its real name."""
    with os.scandir(folder) as found:
        entries = [entry for entry in found if not is_junk(entry.name)]
    if len({entry.name.translate(_SHAPE) for entry in entries}) <= 1:
        # All names have digits in the same places (0001_000000010.jpg): natural order is alphabetical order.
        entries.sort(key=lambda entry: (entry.is_symlink(), entry.name))
    else:
        # The name itself decides between names that are naturally equal (1.jpg, 01.jpg).
        entries.sort(key=lambda entry: (entry.is_symlink(), natural_key(entry.name), entry.name))
    return entries


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
        ConfigError: if an input does not exist, or matches nothing.
        DataError: if all of them hold neither videos nor frames.
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
                raise ConfigError(f"nothing matches the pattern {given}; correct it")
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
                raise ConfigError(f"there is no file or folder {given}; it does not exist: correct the path")
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
