"""Inputs cut into parts, each of which one process handles by itself."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from flipdetect.sources.folder import FRAME_SUFFIXES, find_inputs, name_below
from flipdetect.sources.remote import TABLES, Listing, is_url, list_place
from flipdetect.sources.streams import video_names

PART_FRAMES = 1000
"""Frames of a part: seconds of work, against milliseconds to hand it out, and one file of rows."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """What one process does at a time.

    Attributes:
        number: from 0.
        base, shown: see `Listing`.
        film: its name in the rows; empty if these are frames.
        names: of the files, as the file system encodes them, with zeros between; of a film, one.
    """

    number: int
    base: str
    shown: str
    film: str
    names: bytes

    @property
    def size(self) -> int:
        """How many files it has."""
        return self.names.count(b"\0") + 1

    def file_name(self, suffix: str) -> str:
        """The file of its rows."""
        return f"part-{self.number:07d}{suffix}"


def plan(inputs: Sequence[str]) -> list[Part]:
    """The parts of some inputs: films, then frames, in the order of `flipdetect predict`.

    Args:
        inputs: files, folders and patterns as for `find_inputs`; URLs and tables as for `list_place`.

    Raises:
        DataError: if an input cannot be listed.
    """
    far = [given for given in inputs if is_url(given) or Path(given).suffix.lower() in TABLES]
    near = [given for given in inputs if given not in far]
    places: list[Listing] = []
    if near:
        found = find_inputs(near)
        for problem in found.problems:
            logger.warning("%s: %s", problem.path, problem.reason)
        shown = "" if found.root == Path() else f"{found.root}/"
        frames = [name_below(path, found.root) for path in found.frames]
        places.append(Listing(str(Path.cwd()), "", [path.as_posix() for path in found.videos]))
        places.append(Listing(str(found.root.absolute()), shown, frames))
    places += map(list_place, far)
    films: list[tuple[Listing, str]] = []
    pieces: list[tuple[Listing, list[str]]] = []
    for place in places:
        pictures = []
        for name in place.names:
            if os.path.splitext(name)[1].lower() in FRAME_SUFFIXES:  # noqa: PTH122 - several times faster
                pictures.append(name)
            else:
                films.append((place, name))
        pieces += [(place, pictures[at : at + PART_FRAMES]) for at in range(0, len(pictures), PART_FRAMES)]
    titles = video_names([PurePosixPath(name) for _, name in films])
    each = [(place, title, [name]) for (place, name), title in zip(films, titles, strict=True)]
    each += [(place, "", names) for place, names in pieces]
    return [
        Part(number, place.base, place.shown, film, b"\0".join(map(os.fsencode, names)))
        for number, (place, film, names) in enumerate(each)
    ]
