"""Turn an archive, labelled videos or a folder of frames into MonReader's layout.

The new data set is built in a temporary folder next to the target, checked, and then renamed: an interruption leaves
nothing half-done. `labels.csv` in it keeps what the layout cannot express: videos, sources, original names.
"""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from glob import escape
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from PIL import Image

from flipdetect.atomic import alone, write_csv
from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.errors import ConfigError, DataError, FrameError
from flipdetect.progress import progress_bar
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.folder import (
    FRAME_SUFFIXES,
    VIDEO_SUFFIXES,
    Problem,
    find_files,
    is_junk,
    name_below,
    natural_key,
)
from flipdetect.sources.labels import MANIFEST_NAME, FolderRole, find_data_root, folder_role
from flipdetect.sources.naming import NamePattern
from flipdetect.sources.video import open_video

PROBLEMS_NAME = "problems.csv"
PART, OLD = ".part", "old"
"""Of folders of unfinished work, and in it what was in the target's place."""
DEFAULT_RATE = 10.0
_COLUMNS = ("path", "label", "video", "frame", "source", "original")
_SIDE_FOLDERS = {None: "", "train": "training", "test": "testing"}
_MONREADER_STEM = re.compile(r"(\d+)_\d+")
JPEG_QUALITY = 95
"""High enough that a model sees the compression of the video, not of the frame files."""
_DAMAGE = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError,
    NotImplementedError,
)  # fmt: skip
_CHUNK_BYTES = 1 << 20
MAX_ENTRIES = 2_000_000
MAX_BYTES = 500 << 30
MAX_RATIO = 200
"""Unpacked bytes for each byte of the archive."""
RATIO_FREE_BYTES = 100 << 20
"""Below this size, a high ratio of compression is a small file of one colour, not an attack."""

LabelledVideo = tuple[Path, FolderRole]
"""A video in a class folder, all of whose frames have the folder's label."""
Row = tuple[str, str, str, int, str, str]
"""path, label, video, frame, source, original."""


def prepare_data(
    source: Path,
    target: Path,
    *,
    classes: ClassNames = ClassNames(),  # noqa: B008 - frozen
    pattern: NamePattern | None = None,
    rate: float = DEFAULT_RATE,
    overwrite: bool = False,
) -> FrameIndex:
    """Build a data set in MonReader's layout, `[training|testing/]flip|notflip/VideoID_FrameNumber.jpg`.

    Args:
        pattern: how to read the names of frame files; None for `VideoID_FrameNumber`.
        rate: frames per second to take from videos.

    Raises:
        ConfigError: if the source is nothing of the kind, the target is in use, or the rate is impossible.
        DataError: if the archive is not acceptable, or holds no usable frame.
    """
    if not rate > 0:
        raise ConfigError(f"the rate must be above 0 frames per second, got {rate}")
    if not source.exists():
        raise ConfigError(f"{source} does not exist; give an archive or a folder")
    if not (source.is_dir() or zipfile.is_zipfile(source) or tarfile.is_tarfile(source)):
        raise ConfigError(
            f"{source} is neither a folder nor a zip or tar archive; unpack other archives by hand, and put "
            "single videos in class folders"
        )
    inner, outer = target.resolve(), source.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ConfigError(f"the target {target} and the source {source} overlap; choose a target elsewhere")
    if target.exists() and not target.is_dir():
        raise ConfigError(f"the target {target} is a file; choose a folder")
    with alone(target):
        _clean_up(target)  # after a process that was killed
        if target.is_dir() and any(target.iterdir()) and not overwrite:
            raise ConfigError(f"the target {target} is not empty; choose another, or replace it with --overwrite")
        work = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=PART))
        try:
            built = work / "set"
            built.mkdir()
            problems: list[Problem] = []
            raw = source
            if not source.is_dir():
                raw = work / "unpacked"
                suffixes = FRAME_SUFFIXES | VIDEO_SUFFIXES | {".csv"}
                problems += _unpack(source, raw, suffixes=suffixes)
            problems += _build(raw, built, classes, pattern, rate, movable=raw is not source)
            problems += _relative(index_frames(built, classes=classes).problems, built)
            if problems:
                write_csv(built / PROBLEMS_NAME, ("path", "reason"), ((p.path.as_posix(), p.reason) for p in problems))
            if target.exists():
                target.rename(work / OLD)
            built.rename(target)
        finally:
            _clean_up(target)
    index = index_frames(target, classes=classes, check=False)
    return replace(index, problems=tuple(problems))


def _clean_up(target: Path) -> None:
    """Delete unfinished work; what was in the target's place goes back there, unless the new data set is there."""
    for work in target.parent.glob(f".{escape(target.name)}.*{PART}"):
        if (work / OLD).is_dir() and not target.exists():
            (work / OLD).rename(target)
        shutil.rmtree(work, ignore_errors=True)


def _build(
    raw: Path, built: Path, classes: ClassNames, pattern: NamePattern | None, rate: float, *, movable: bool
) -> list[Problem]:
    """Fill the folder `built`; returns what could not be used, with paths relative to the input."""
    root = find_data_root(raw, classes) or raw
    films = find_files(root, VIDEO_SUFFIXES).files
    roles = [(path, folder_role(path.parent.relative_to(root).parts, classes)) for path in films]
    clips = [(path, role) for path, role in roles if role is not None]
    if clips and not find_files(root).files:
        rows, problems = write_clips(clips, root, built, rate)
        if not rows:
            reasons = "; ".join(f"{problem.path}: {problem.reason}" for problem in problems[:3])
            raise DataError(f"none of the {len(clips):,} videos in {root} can be read ({reasons})")
        write_csv(built / MANIFEST_NAME, _COLUMNS, rows)
        return problems
    index = index_frames(root, classes=classes, pattern=pattern)
    lay_out(index, built, movable=movable)
    ignored = [Problem(path, "is a video among frame files, which is not used") for path, _ in clips]
    return _relative([*index.problems, *ignored], index.root)


def write_clips(
    clips: Sequence[LabelledVideo], root: Path, target: Path, rate: float
) -> tuple[list[Row], list[Problem]]:
    """Write frames of all videos as `[training|testing/]label/VideoID_FrameNumber.jpg`, at most `rate` per second.

    Videos are numbered per label in the order given; the frame number counts all frames of the video, from 1. The
    source of a video is its folder below the class folder if there is one (`flip/book A/1.mp4`), else its own name.
    Damaged videos give the frames that can be read, and are reported.

    Returns:
        Rows for a manifest, one per frame; and the videos that were not read in full.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    numbers: Counter[str] = Counter()
    for path, role in progress_bar(clips, desc="reading videos", unit="video", delay=2, leave=False):
        numbers[role.label] += 1
        clip_id = f"{numbers[role.label]:04d}"
        folder = target / _SIDE_FOLDERS[role.supplied_split] / role.label
        folder.mkdir(parents=True, exist_ok=True)
        original = path.relative_to(root).as_posix()
        kept, lost = 0, ""
        try:
            with open_video(path, rate_hz=rate) as video:
                for frame in video:
                    file = folder / f"{clip_id}_{frame.index + 1:09d}.jpg"
                    Image.fromarray(frame.image).save(file, quality=JPEG_QUALITY)
                    relative = file.relative_to(target).as_posix()
                    source = role.subfolder or path.stem
                    rows.append((relative, role.label, f"{role.label}/{clip_id}", frame.index + 1, source, original))
                    kept += 1
                lost = video.lost
        except FrameError as error:
            lost = f"it cannot be read ({error})"
        if lost or not kept:
            used = f"used with {kept:,} frames" if kept else "no frame could be read"
            problems.append(Problem(Path(original), f"{used}: {lost or 'it has none'}"))
    return rows, problems


def lay_out(index: FrameIndex, target: Path, *, movable: bool = False) -> None:
    """Copy (or move, if `movable`) frames into MonReader's layout, into an existing, empty folder.

    Names that fit the layout are kept. Otherwise the videos of each label are numbered in natural order. A manifest is
    written if the layout alone would lose something.
    """
    records = index.records
    stems = [(record, _MONREADER_STEM.fullmatch(record.path.stem)) for record in records]
    kept = all(match is not None and record.video == f"{record.label}/{match[1]}" for record, match in stems)
    places = [_place(record, record.path.name) for record in records]
    kept = kept and len(set(places)) == len(places)
    if not kept:
        places = _new_places(records)
    if not kept or any(record.source for record in records):
        originals = [name_below(record.path, index.root) for record in records]
        rows = (
            (place, r.label, r.video, "" if r.frame is None else r.frame, r.source or "", original)
            for r, place, original in zip(records, places, originals, strict=True)
        )
        write_csv(target / MANIFEST_NAME, _COLUMNS, rows)
    for folder in {(target / place).parent for place in places}:
        folder.mkdir(parents=True, exist_ok=True)
    pairs = zip(records, places, strict=True)
    for record, place in progress_bar(pairs, total=len(records), desc="writing", unit="file", delay=2, leave=False):
        if movable:
            record.path.rename(target / place)
        else:
            shutil.copyfile(record.path, target / place)


def _new_places(records: tuple[FrameRecord, ...]) -> list[str]:
    """Where frames go under new names."""
    clips: defaultdict[str, defaultdict[str, list[FrameRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        clips[record.label][record.video].append(record)
    place_of: dict[int, str] = {}
    for videos in clips.values():
        for number, video in enumerate(sorted(videos, key=lambda name: (natural_key(name), name)), start=1):
            frames = [record.frame for record in videos[video]]
            # Frame numbers are kept if they are unique.
            usable = len(set(frames)) == len(frames) and all(frame is not None and frame >= 0 for frame in frames)
            for running, record in enumerate(videos[video], start=1):
                frame = record.frame if usable else running
                name = f"{number:04d}_{frame:09d}{record.path.suffix.lower()}"
                place_of[id(record)] = _place(record, name)
    return [place_of[id(record)] for record in records]


def _place(record: FrameRecord, name: str) -> str:
    folder = _SIDE_FOLDERS[record.supplied_split]
    return "/".join(part for part in (folder, record.label, name) if part)


def _relative(problems: Iterable[Problem], root: Path) -> list[Problem]:
    """Problems with paths relative to `root`, which remain valid after the temporary folder is gone."""
    return [replace(problem, path=Path(name_below(problem.path, root))) for problem in problems]


class _Entry(NamedTuple):
    """A file in an archive; `flaw` is the reason why it is not unpacked, empty if it is."""

    name: str
    flaw: str
    open: Callable[[], IO[bytes] | None]


def _unpack(path: Path, target: Path, *, suffixes: Collection[str]) -> list[Problem]:
    """Unpack the files with the given suffixes (lower case) into the folder `target`, which must not exist.

    Links, devices, encrypted files and files that occur twice are left out and returned as problems. An entry whose
    name leads out of the folder makes the whole archive unacceptable. Sizes in the archive's table of contents are not
    trusted.
    """
    problems: list[Problem] = []
    left = min(MAX_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * path.stat().st_size))
    target.mkdir(parents=True)
    try:
        bar = progress_bar(_entries(path), desc="unpacking", unit="file", delay=2, leave=False)
        for count, entry in enumerate(bar):
            if count >= MAX_ENTRIES:
                raise DataError(f"{path} holds more than {MAX_ENTRIES:,} entries; refusing to unpack it")
            inner = PurePosixPath(entry.name.replace("\\", "/"))
            drive = bool(inner.parts) and inner.parts[0].endswith(":")
            if inner.is_absolute() or ".." in inner.parts or drive or "\0" in entry.name:
                raise DataError(
                    f"{path} holds the entry {entry.name!r}, which would be written outside of the target folder: the "
                    "archive is broken or malicious, and nothing of it is used"
                )
            if any(is_junk(part) for part in inner.parts) or inner.suffix.lower() not in suffixes:
                continue
            place = target / inner
            packed = None if entry.flaw or place.exists() else entry.open()
            if packed is None:
                what = entry.flaw or "second file of this name"
                problems.append(Problem(Path(inner), f"is a {what} in the archive, which is not unpacked"))
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with packed, place.open("xb") as file:
                while chunk := packed.read(_CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        raise DataError(
                            f"{path} unpacks to far more than its size explains (at {entry.name!r}): refusing to fill "
                            "the disk; unpack it by hand if you trust it, and give the folder"
                        )
                    file.write(chunk)
    except _DAMAGE as error:
        raise DataError(
            f"{path} cannot be unpacked ({error or type(error).__name__}): download it again, or make room on the disk"
        ) from error
    return problems


def _entries(path: Path) -> Iterator[_Entry]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                mode = info.external_attr >> 16
                flaw = "encrypted file" if info.flag_bits & 1 else ""
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                    flaw = "link" if stat.S_ISLNK(mode) else "device"
                if not info.is_dir():
                    yield _Entry(info.filename, flaw, partial(archive.open, info))
        return
    with tarfile.open(path, "r:*") as tar:
        for member in tar:
            flaw = "link" if member.issym() or member.islnk() else "" if member.isfile() else "device"
            if not member.isdir():
                yield _Entry(member.name, flaw, partial(tar.extractfile, member))
