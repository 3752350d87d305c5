"""Find video files: one file, a folder, or a pattern such as `films/**/*.mp4`."""

from __future__ import annotations

import glob
from pathlib import Path

from flipdetect.errors import DataError
from flipdetect.sources.folder import FoundFiles, Problem, find_files, natural_key

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp", ".mts"})


def find_videos(where: Path | str) -> FoundFiles:
    """Video files in natural order (`clip2` before `clip10`), each once. Contents are not looked at.

    Args:
        where: a file, whatever its suffix; a folder, whose videos below it are found; or a pattern with
            `*`, `?`, `[...]` or `**`, of whose matches folders are searched and files need a video's suffix.

    Raises:
        DataError: if there is no such file or folder, or the pattern matches nothing.
    """
    path = Path(where)
    if path.is_dir():
        return find_files(path, VIDEO_SUFFIXES)
    if path.exists():
        return FoundFiles((path,), ())
    if not glob.has_magic(str(where)):
        raise DataError(f"there is no video and no folder {where}; correct the path")
    files: dict[Path, None] = {}
    problems: list[Problem] = []
    matches = [Path(match) for match in glob.glob(str(where), recursive=True)]  # noqa: PTH207 - takes absolute patterns
    for match in sorted(matches, key=lambda match: (natural_key(str(match)), str(match))):
        if match.is_dir():
            found = find_files(match, VIDEO_SUFFIXES)
            files.update(dict.fromkeys(found.files))
            problems.extend(found.problems)
        elif match.suffix.lower() in VIDEO_SUFFIXES:
            files[match] = None
    if not matches:
        raise DataError(f"nothing matches the pattern {where}; correct it")
    return FoundFiles(tuple(files), tuple(problems))
