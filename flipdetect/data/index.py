"""From a folder to records of labelled frames, with a report of what could not be used.

The set is described, in this order of precedence, by a given manifest; by `labels.csv` in the folder; by a
name pattern that captures the label; by class folders. The video of a frame is its class folder together with
what its name says: `flip/0001` and `notflip/0001` are two clips, while `training/flip` and `testing/flip`
share theirs. A manifest's `video` column, and a pattern that captures the label, name the video outright.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from flipdetect.atomic import write_csv
from flipdetect.errors import DataError, FrameError
from flipdetect.progress import progress_bar
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.class_folders import MANIFEST_NAME, find_data_root, folder_role, supplied_split
from flipdetect.sources.folder import FolderFiles, Problem, walk_files
from flipdetect.sources.image import probe_frame
from flipdetect.sources.manifest import ManifestRow, read_manifest
from flipdetect.sources.naming import NamePattern, ParsedName, parse_name, video_id

__all__ = ["FrameIndex", "Problem", "index_frames"]

# Opening files waits for the disk, so more threads than cores help.
_PROBE_THREADS = 8
_PROBE_CHUNK = 64
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The usable frames of a data set.

    Attributes:
        records: in natural order of their files, or in the manifest's order.
        problems: files, folders and rows that could not be used.
        root: the folder that paths are relative to when they are written down.
        unnamed: number of records whose name tells no video, so that each counts as a video of its own.
    """

    records: tuple[FrameRecord, ...]
    problems: tuple[Problem, ...]
    root: Path
    unnamed: int = 0

    def summary(self) -> str:
        """What was found and what could not be used, in a few lines of plain words."""
        lines = [f"{self.root}: {_count(self.records)}"]
        lines += [
            f"  {label}: {_count(record for record in self.records if record.label == label)}"
            for label in sorted({record.label for record in self.records})
        ]
        for side in ("train", "test"):
            chosen = [record for record in self.records if record.supplied_split == side]
            if chosen:
                lines.append(f"  supplied {side} folder: {_count(chosen)}")
        if self.unnamed:
            lines.append(
                f"  {self.unnamed:,} file names do not tell a video (VideoID_FrameNumber): each of these "
                "frames counts as a video of its own. If they are frames of clips, set a name pattern or "
                "give a manifest, else neighbouring frames may land on both sides of a split."
            )
        if self.problems:
            shown = "; ".join(f"{_short(p.path, self.root)}: {p.reason}" for p in self.problems[:_NAMES_SHOWN])
            more = len(self.problems) - _NAMES_SHOWN
            lines.append(
                f"  could not be used: {len(self.problems):,} ({shown}{f'; and {more:,} more' if more > 0 else ''})"
            )
        return "\n".join(lines)

    def write_problems(self, path: Path) -> None:
        """Write all problems as CSV with the columns `path,reason`, paths relative to the root if inside.

        Raises:
            OSError: if the file cannot be written.
        """
        write_csv(path, ("path", "reason"), ((_short(p.path, self.root), p.reason) for p in self.problems))


@dataclass(slots=True)
class _Findings:
    """What is known while an index is being built."""

    records: list[FrameRecord] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unnamed: set[str] = field(default_factory=set)

    def add(self, path: str, label: str, video: str, parsed: ParsedName, supplied: str | None) -> None:
        """Add a frame. The frames of a video share the texts that they have in common."""
        self.records.append(
            FrameRecord(path, label, sys.intern(video), parsed.frame, _shared(parsed.source), supplied)  # type: ignore[arg-type]
        )


def index_frames(
    root: Path,
    *,
    classes: ClassNames,
    pattern: NamePattern | None = None,
    manifest: Path | None = None,
    check: bool = True,
) -> FrameIndex:
    """Find and describe all labelled frames of a data set. The time taken is linear in the number of files.

    Args:
        root: the data set's folder.
        classes: names of the two classes, which are the names of the class folders too.
        pattern: how to read file names; None for `VideoID_FrameNumber`.
        manifest: CSV file that describes the set; None: `labels.csv` in `root` if it is there.
        check: read each file's header, and leave out files that are no images.

    Raises:
        DataError: if there is no folder, the manifest is unusable, or no frame can be used.
    """
    if manifest is None and (root / MANIFEST_NAME).is_file():
        manifest = root / MANIFEST_NAME
    findings = _Findings()
    if manifest is not None:
        _from_manifest(manifest, root, classes, pattern, findings)
        root = root if manifest.absolute().is_relative_to(root.absolute()) else manifest.parent
    else:
        folders, findings.problems = walk_files(root)
        if pattern is not None and pattern.captures_label:
            _from_names(folders, root, classes, pattern, findings)
        else:
            _from_folders(folders, root, classes, pattern, findings)
    if check:
        _drop_unreadable(findings)
    if not findings.records:
        raise DataError(_nothing_usable(root, classes, pattern, manifest, findings))
    unnamed = sum(record.file in findings.unnamed for record in findings.records)
    return FrameIndex(tuple(findings.records), tuple(findings.problems), root, unnamed)


def _from_folders(
    folders: Iterable[FolderFiles], root: Path, classes: ClassNames, pattern: NamePattern | None, findings: _Findings
) -> None:
    strangers: list[FolderFiles] = []
    for folder in folders:
        role = folder_role(Path(folder.folder).relative_to(root).parts, classes)
        if role is None:
            strangers.append(folder)
            continue
        home = f"{role.label}/{role.subfolder}" if role.subfolder else role.label
        is_clip = bool(role.subfolder)
        for path, parsed in _parsed(folder, pattern, findings):
            if parsed.video is None and not (is_clip and parsed.frame is not None):
                findings.unnamed.add(path)
            video = video_id(parsed, os.path.basename(path), home, folder_is_clip=is_clip)  # noqa: PTH119
            findings.add(path, role.label, video, parsed, role.supplied_split)
    wanted = " and ".join(f"{name}/" for name in reversed(classes.names))
    for folder in strangers:
        count = len(folder.names)
        lie = f"{count:,} frame file{'s lie' if count > 1 else ' lies'}"
        findings.problems.append(Problem(Path(folder.folder), f"{lie} outside of the class folders {wanted}"))


def _from_names(
    folders: Iterable[FolderFiles], root: Path, classes: ClassNames, pattern: NamePattern, findings: _Findings
) -> None:
    for folder in folders:
        parts = Path(folder.folder).relative_to(root).parts
        split = supplied_split(parts)
        for path, parsed in _parsed(folder, pattern, findings):
            if parsed.label not in classes.names:
                findings.problems.append(Problem(Path(path), _unknown_label(parsed.label, classes)))
                continue
            video = parsed.video
            # The pattern names the video in full: the same subject in two folders is one subject.
            if video is None:
                findings.unnamed.add(path)
                video = Path(path).relative_to(root).with_suffix("").as_posix()
            findings.add(path, parsed.label, video, parsed, split)


def _parsed(folder: FolderFiles, pattern: NamePattern | None, findings: _Findings) -> Iterator[tuple[str, ParsedName]]:
    """Path of each file, and what its name says; names that cannot be read become problems."""
    for path, name in zip(folder.paths(), folder.names, strict=True):
        try:
            yield path, parse_name(name, pattern)
        except FrameError as error:
            findings.problems.append(_problem(Path(path), error))


def _from_manifest(
    manifest: Path, root: Path, classes: ClassNames, pattern: NamePattern | None, findings: _Findings
) -> None:
    table = read_manifest(manifest, root)
    findings.problems += table.problems
    seen: dict[str, int] = {}
    for row in table.rows:
        where = f"line {row.line} of {manifest.name}: "
        key = os.path.abspath(row.path)  # noqa: PTH100 - links are not to be followed
        if key in seen:
            first = f"the path was already given in line {seen[key]}"
            findings.problems.append(Problem(row.path, where + first))
            continue
        seen[key] = row.line
        if row.label not in classes.names:
            findings.problems.append(Problem(row.path, where + _unknown_label(row.label, classes)))
            continue
        try:
            parsed = ParsedName() if row.video is not None else parse_name(row.path.name, pattern)
        except FrameError as error:
            findings.problems.append(Problem(row.path, where + _problem(row.path, error).reason))
            continue
        findings.records.append(_record_of_row(row, row.label, parsed, findings))


def _record_of_row(row: ManifestRow, label: str, parsed: ParsedName, findings: _Findings) -> FrameRecord:
    """What the manifest says comes first; what it leaves open, the file's name and folder say."""
    parents = Path(row.relative).parts[:-1]
    split = supplied_split(parents)
    home = "/".join(parents[1:] if split else parents)
    if row.video is None and parsed.video is None:
        findings.unnamed.add(str(row.path))
    return FrameRecord(
        path=row.path,
        label=sys.intern(label),
        video=sys.intern(row.video or video_id(parsed, row.path.name, home)),
        frame=parsed.frame if row.frame is None else row.frame,
        source=_shared(row.source or parsed.source),
        supplied_split=split,
        extra=row.extra,
    )


def _shared(text: str | None) -> str | None:
    return None if text is None else sys.intern(text)


def _drop_unreadable(findings: _Findings) -> None:
    """Probe all files in threads; those that are no images become problems."""
    records = findings.records
    chunks = [records[start : start + _PROBE_CHUNK] for start in range(0, len(records), _PROBE_CHUNK)]
    usable: list[FrameRecord] = []
    bar = progress_bar(total=len(records), desc="checking frames", unit="file", delay=2, leave=False)
    with bar, ThreadPoolExecutor(_PROBE_THREADS) as pool:
        for chunk, reasons in zip(chunks, pool.map(_probe_all, chunks), strict=True):
            for record, problem in zip(chunk, reasons, strict=True):
                if problem is None:
                    usable.append(record)
                else:
                    findings.problems.append(problem)
            bar.update(len(chunk))
    findings.records = usable


def _probe_all(records: list[FrameRecord]) -> list[Problem | None]:
    return [_probe(record.path) for record in records]


def _probe(path: Path) -> Problem | None:
    try:
        probe_frame(path)
    except FrameError as error:
        return _problem(path, error)
    return None


def _problem(path: Path, error: FrameError) -> Problem:
    """The error without the path that its message begins with: a problem has the path beside it."""
    return Problem(path, str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: "))


def _unknown_label(label: str | None, classes: ClassNames) -> str:
    return f"label {label!r} is none of the classes {', '.join(repr(name) for name in classes.names)}"


def _nothing_usable(
    root: Path, classes: ClassNames, pattern: NamePattern | None, manifest: Path | None, findings: _Findings
) -> str:
    """What was looked for, what was found, and what to do."""
    names = " and ".join(f"{name}/" for name in reversed(classes.names))
    if manifest is not None:
        wanted = f"rows of {manifest.name} with the labels {' and '.join(classes.names)}"
        remedy = "correct the manifest, or set data.classes to its labels"
    elif pattern is not None and pattern.captures_label:
        wanted = f"images whose names match {pattern.pattern!r} with a label of {' and '.join(classes.names)}"
        remedy = "correct the name pattern and its labels, or set data.classes"
    else:
        wanted = f"images in the folders {names}, or in training/ and testing/ with these folders in them"
        wrapped = find_data_root(root, classes)
        remedy = (
            f"set data.root to {wrapped}"
            if wrapped is not None and wrapped != root
            else "set data.root to the folder that holds them, or data.classes to the folders' names"
        )
    folders = sorted(f"{path.name}/" for path in _children(root) if path.is_dir() and not path.name.startswith("."))
    found = f"found the folders {', '.join(folders[:8])}" if folders else "found no folders"
    reasons = "; ".join(f"{_short(p.path, root)}: {p.reason}" for p in findings.problems[:_NAMES_SHOWN])
    trouble = f" ({len(findings.problems):,} not usable: {reasons})" if reasons else ""
    return f"no usable frames in {root}: looked for {wanted}; {found}{trouble}. Remedy: {remedy}."


def _children(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def _count(records: Iterable[FrameRecord]) -> str:
    """In words: 1,452 frames of 59 videos (4 sources)."""
    chosen = list(records)
    sources = {record.source for record in chosen if record.source is not None}
    text = f"{len(chosen):,} frames of {len({record.video for record in chosen}):,} videos"
    return f"{text} ({len(sources):,} source{'s' * (len(sources) != 1)})" if sources else text


def _short(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
