r"""What a file name says: the video of a frame, its number, and perhaps its label and source.

Names follow a regular expression with named groups, of which `video`, `frame`, `label` and `source` are known. Without
one, names are read as MonReader's `VideoID_FrameNumber` (`0001_000000010.jpg`), where a VideoID has no underscore. A
name that does not contain a video (`A_tile_001.jpg`, `IMG_0042.jpg`) makes the frame a video of its own, unless it is a
bare number in a clip's own folder (`clip3/0001.jpg`): then the folder is the video.

The MRL eye set (`s0001_00001_0_0_1_0_0_01.png`: subject first, eye state fifth) is read by

    NamePattern(r"(?P<source>s\d+)_(?P<frame>\d+)_\d_\d_(?P<label>[01])_", {"0": "closed", "1": "open"})
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from statistics import median

from flipdetect.errors import ConfigError, FrameError

KNOWN_GROUPS = ("video", "frame", "label", "source")

# No common file system allows longer names. A pattern comes from the user's own configuration, so this limit
# only keeps an unlucky pattern from taking hours over a name in a crafted archive or manifest.
MAX_NAME_LENGTH = 255

FILM_GAP = 5
"""A step between frame numbers that is so many times the usual one is a gap in the film."""

_MONREADER = re.compile(r"(?P<video>[^_]+)_(?P<frame>\d+)")
# What cameras and frame extractors put before a number: no id of a video.
_BARE_NUMBER = re.compile(r"(?:(?:frame|img|image|photo|pic|picture|dsc|dscn|pxl|still)[-_ ]?)?(?P<frame>\d+)", re.I)


@dataclass(frozen=True, slots=True)
class ParsedName:
    """What a file name contains; None for what it does not.

    Attributes:
        video: id of the clip, unique only together with the folder (see `video_id`).
        frame: number of the frame within the video.
        label: class name, after translation by `NamePattern.labels`.
        source: the book and desk, or the person.
    """

    video: str | None = None
    frame: int | None = None
    label: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class NamePattern:
    """How to read file names; the expression is matched from their start and need not reach their end.

    A pattern that captures `source` but not `video` makes all frames of a source one video.

    Attributes:
        pattern: regular expression with at least one of the named groups `video`, `frame`, `label`, `source`; None with
            `one_film`: the last number in the name is the frame's.
        labels: class name of each captured label (`{"0": "closed", "1": "open"}`); None: taken as captured.
        one_film: all frames are of one film, numbered through. For a split, the film is cut into blocks of successive
            frames (`film_blocks`), each of which counts as a video.

    Raises:
        ConfigError: if the expression is malformed, or has no known or an unknown named group.
    """

    pattern: str | None = None
    labels: Mapping[str, str] | None = None
    one_film: bool = False

    def __post_init__(self) -> None:
        known = ", ".join(f"(?P<{group}>...)" for group in KNOWN_GROUPS)
        if self.pattern is None:
            if not self.one_film:
                raise ConfigError(f"naming needs a pattern with one or more of {known}, or one_film: true")
            return
        try:
            groups = set(re.compile(self.pattern).groupindex)
        except (re.error, RecursionError, OverflowError) as error:
            raise ConfigError(
                f"the name pattern {self.pattern!r} is no regular expression ({error}); known named groups: {known}"
            ) from None
        unknown = sorted(groups.difference(KNOWN_GROUPS))
        if unknown:
            raise ConfigError(f"the name pattern {self.pattern!r} has the unknown group {unknown[0]!r}; known: {known}")
        if not groups:
            raise ConfigError(f"the name pattern {self.pattern!r} captures nothing; use one or more of {known}")
        if self.one_film and "frame" not in groups:
            raise ConfigError(f"the name pattern {self.pattern!r} lacks (?P<frame>...), which one_film needs; add it")

    @property
    def captures_label(self) -> bool:
        """Whether the class is in the name, so that class folders are not needed."""
        return self.pattern is not None and "label" in re.compile(self.pattern).groupindex

    def parse(self, name: str) -> ParsedName:
        """Read a file name (without folders).

        Raises:
            FrameError: if the name does not match, is too long, or its frame number is no number.
        """
        if len(name) > MAX_NAME_LENGTH:
            raise FrameError(f"{name[:40]}...: the name is longer than {MAX_NAME_LENGTH} characters; rename the file")
        if self.pattern is None:
            numbers = re.findall(r"\d+", PurePath(name).stem)
            if not numbers:
                raise FrameError(f"{name}: the name has no number, which naming.one_film needs; rename the file")
            return ParsedName(frame=int(numbers[-1]))
        match = re.compile(self.pattern).match(name)
        if match is None:
            raise FrameError(f"{name}: the name does not match the pattern {self.pattern!r}; correct one of them")
        found = match.groupdict()
        label = found.get("label")
        if label is not None and self.labels is not None:
            # YAML reads {0: closed} with an integer key.
            label = {str(key): value for key, value in self.labels.items()}.get(label, label)
        source = found.get("source") or None
        frame = found.get("frame")
        try:
            number = None if frame is None else int(frame)
        except ValueError:
            raise FrameError(
                f"{name}: the frame number {frame!r} is no whole number; let the pattern capture \\d+"
            ) from None
        return ParsedName(found.get("video") or source, number, label, source)


def film_blocks(numbers: Sequence[int]) -> list[int]:
    """Cut one film into blocks of successive frames, at gaps in their numbers where there are any.

    A block has a twentieth to a tenth of the frames: enough blocks for a split, and few places where neighbouring
    frames are separated.

    Args:
        numbers: of the frames, in any order.

    Returns:
        The block of each frame, from 0, in the order of `numbers`.
    """
    order = sorted(range(len(numbers)), key=lambda place: numbers[place])
    steps = [later - earlier for earlier, later in pairwise(sorted(numbers))]
    usual = median(steps) if steps else 0
    least = max(1, -(-len(numbers) // 20))
    blocks, block, size = [0] * len(numbers), 0, 0
    for rank, place in enumerate(order):
        step = steps[rank - 1] if rank else 0
        if size >= 2 * least or (size >= least and step > FILM_GAP * usual):
            block, size = block + 1, 0
        blocks[place] = block
        size += 1
    return blocks


def parse_name(name: str, pattern: NamePattern | None = None) -> ParsedName:
    """Read a file name (without folders) by a pattern, or as `VideoID_FrameNumber` if there is none.

    The default reading never fails: fields that it does not find are None. For a pattern see `NamePattern.parse`.
    """
    if pattern is not None:
        return pattern.parse(name)
    stem = os.path.splitext(name)[0][:MAX_NAME_LENGTH]  # noqa: PTH122 - PurePath takes ten times as long
    if match := _BARE_NUMBER.fullmatch(stem):
        return ParsedName(frame=int(match["frame"]))
    if match := _MONREADER.fullmatch(stem):
        return ParsedName(video=match["video"], frame=int(match["frame"]))
    return ParsedName()


def video_id(parsed: ParsedName, name: str, folder: str = "", *, folder_is_clip: bool = False) -> str:
    """Id of a frame's video: its folder and what its name says, so that `flip/0001` is not `notflip/0001`.

    Args:
        folder: the file's folder relative to the data set, with `/`; "" for the root.
        folder_is_clip: whether frames whose name is a bare number are the frames of one clip, that of the folder.
    """
    if parsed.video is not None:
        own = parsed.video
    elif parsed.frame is not None and folder_is_clip and folder:
        return folder
    else:
        own = PurePath(name).stem
    return f"{folder}/{own}" if folder else own


def unlabelled_video(path: Path, root: Path, pattern: NamePattern | None = None) -> tuple[str, int | None]:
    """Video id and frame number (None if unknown) of a file to be scored, from its folder and name.

    A name that does not match a given pattern is read by the default: a frame can be scored whatever its name.
    """
    try:
        parsed = parse_name(path.name, pattern)
    except FrameError:
        parsed = parse_name(path.name)
    if pattern is not None and pattern.one_film:
        return root.resolve().name or "frames", parsed.frame
    folder = path.parent.relative_to(root).as_posix() if path.is_relative_to(root) else path.parent.name
    if folder == ".":
        folder = ""
        if parsed.video is None and parsed.frame is not None:
            return root.resolve().name or "frames", parsed.frame
    return video_id(parsed, path.name, folder, folder_is_clip=True), parsed.frame
