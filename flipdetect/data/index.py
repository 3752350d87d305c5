"""From a folder to records of labelled frames, and a report of files that could not be used.

The set is described, in this order of precedence, by a given manifest; by `labels.csv` in the folder; by a name pattern
that captures the label; by class folders. The video of a frame is its class folder together with what its name says:
`flip/0001` and `notflip/0001` are two clips, while `training/flip/0001` and `testing/flip/0001` are one. A manifest's
`video` column, and a pattern that captures the label, give the whole name of the video.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from flipdetect.atomic import write_csv
from flipdetect.errors import DataError, FrameError
from flipdetect.progress import progress_bar
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.folder import FolderFiles, Problem, name_below, walk_files
from flipdetect.sources.image import probe_frame
from flipdetect.sources.labels import MANIFEST_NAME, find_data_root, folder_role, read_manifest, supplied_split
from flipdetect.sources.naming import NamePattern, ParsedName, film_blocks, parse_name, video_id

__all__ = ["FrameIndex", "Problem", "index_frames"]

PROBE_THREADS = 8
"""Opening files waits for the disk, so more threads than cores help."""
NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """The usable frames of a data set.

    Attributes:
        records: in natural order of their files, or in the manifest's order.
        root: the folder that paths are relative to when they are written to a file.
        unnamed: videos of frames whose names do not contain a video: each of these frames counts as a video.
    """

    records: tuple[FrameRecord, ...]
    problems: tuple[Problem, ...]
    root: Path
    unnamed: frozenset[str] = frozenset()

    @property
    def warning(self) -> str:
        """Why a split of these frames cannot be trusted, and what to do; empty if it can."""
        count = sum(record.video in self.unnamed for record in self.records)
        if not count:
            return ""
        return (
            f"The names of {count:,} of {len(self.records):,} frames do not contain a video (VideoID_FrameNumber): the "
            "split cannot be trusted, because neighbouring frames of one film may be in training and in test. If all "
            "frames are of one film, set --data.naming.one_film true; if not, set --data.naming.pattern, or give a "
            "manifest with the column video"
        )

    def summary(self) -> str:
        """The number of frames and videos by class and supplied split, and what could not be used, in a few lines."""
        lines = [f"{self.root}: {self._count(self.records)}"]
        lines += [
            f"  {label}: {self._count(record for record in self.records if record.label == label)}"
            for label in sorted({record.label for record in self.records})
        ]
        for side in ("train", "test"):
            chosen = [record for record in self.records if record.supplied_split == side]
            if chosen:
                lines.append(f"  supplied {side} folder: {self._count(chosen)}")
        if self.warning:
            lines.append(f"  {self.warning}.")
        if self.problems:
            shown = "; ".join(f"{name_below(p.path, self.root)}: {p.reason}" for p in self.problems[:NAMES_SHOWN])
            more = len(self.problems) - NAMES_SHOWN
            lines.append(
                f"  could not be used: {len(self.problems):,} ({shown}{f'; and {more:,} more' if more > 0 else ''})"
            )
        return "\n".join(lines)

    def _count(self, records: Iterable[FrameRecord]) -> str:
        """In words: 1,452 frames of 59 videos (4 sources)."""
        chosen = list(records)
        text = f"{len(chosen):,} frames"
        if videos := {record.video for record in chosen} - self.unnamed:
            text += f" of {len(videos):,} videos"
        if unnamed := sum(record.video in self.unnamed for record in chosen):
            text += f", {unnamed:,} of them" if videos else ""
            text += " of unknown videos"
        sources = {record.source for record in chosen if record.source is not None}
        return f"{text} ({len(sources):,} source{'s' * (len(sources) != 1)})" if sources else text

    def write_problems(self, path: Path) -> None:
        """Write all problems as CSV with the columns `path,reason`; paths are relative to the root if below it."""
        write_csv(path, ("path", "reason"), ((name_below(p.path, self.root), p.reason) for p in self.problems))


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
        pattern: how to read file names; None for `VideoID_FrameNumber`.
        manifest: CSV file that describes the set; None: `labels.csv` in `root` if it is there.
        check: read each file's header, and leave out files that are no images.

    Raises:
        DataError: if there is no folder, the manifest is unusable, or no frame can be used.
    """
    if manifest is None and (root / MANIFEST_NAME).is_file():
        manifest = root / MANIFEST_NAME
    findings = _Findings(classes, pattern)
    if manifest is not None:
        findings.add_manifest(manifest, root)
        root = root if manifest.absolute().is_relative_to(root.absolute()) else manifest.parent
    else:
        folders, findings.problems = walk_files(root)
        if pattern is not None and pattern.captures_label:
            findings.add_by_names(folders, root)
        else:
            findings.add_by_folders(folders, root)
    records, unnamed = findings.records, findings.unnamed
    if check:

        def probe(record: FrameRecord) -> Problem | None:
            try:
                probe_frame(record.path)
            except FrameError as error:
                return _problem(record.path, error)
            return None

        with ThreadPoolExecutor(PROBE_THREADS) as pool:
            found = pool.map(probe, records)
            bar = progress_bar(found, total=len(records), desc="checking frames", unit="file", delay=2, leave=False)
            probed = list(zip(records, bar, strict=True))
        findings.problems += [problem for _, problem in probed if problem is not None]
        records = [record for record, problem in probed if problem is None]
    if not records:
        raise DataError(findings.nothing_usable(root, manifest))
    if pattern is not None and pattern.one_film:  # blocks of successive frames count as videos
        numbers = [record.frame for record in records if record.frame is not None]
        if len(numbers) < len(records) or len(set(numbers)) < 0.9 * len(numbers):
            raise DataError(
                f"data.naming.one_film is set, but of {len(records):,} frames {len(records) - len(numbers):,} have no "
                f"number and {len(numbers) - len(set(numbers)):,} have the number of another frame: they are not "
                "numbered through one film. Set data.naming.one_film to false, and give data.naming.pattern or a "
                "manifest"
            )
        blocks = zip(records, film_blocks(numbers), strict=True)
        records, unnamed = [replace(record, video=f"block {block:02d}") for record, block in blocks], set()
    return FrameIndex(tuple(records), tuple(findings.problems), root, frozenset(unnamed))


@dataclass(slots=True)
class _Findings:
    """An index while it is being built. The frames of a video share the texts that they have in common."""

    classes: ClassNames
    pattern: NamePattern | None
    records: list[FrameRecord] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unnamed: set[str] = field(default_factory=set)

    def add(self, path: str, label: str, video: str, parsed: ParsedName, split: str | None, *, named: bool) -> None:
        source = None if parsed.source is None else sys.intern(parsed.source)
        self.records.append(FrameRecord(path, label, sys.intern(video), parsed.frame, source, split))  # type: ignore[arg-type]
        if not named:
            self.unnamed.add(video)

    def parsed(self, folder: FolderFiles) -> Iterator[tuple[str, ParsedName]]:
        """Path and parsed name of each file; names that cannot be read become problems."""
        for path, name in zip(folder.paths(), folder.names, strict=True):
            try:
                yield path, parse_name(name, self.pattern)
            except FrameError as error:
                self.problems.append(_problem(Path(path), error))

    def add_by_folders(self, folders: Iterable[FolderFiles], root: Path) -> None:
        wanted = " and ".join(f"{name}/" for name in reversed(self.classes.names))
        outside = []
        for folder in folders:
            role = folder_role(Path(folder.folder).relative_to(root).parts, self.classes)
            if role is None:
                count = len(folder.names)
                lie = f"{count:,} frame file{'s lie' if count > 1 else ' lies'}"
                outside.append(Problem(Path(folder.folder), f"{lie} outside of the class folders {wanted}"))
                continue
            home = f"{role.label}/{role.subfolder}" if role.subfolder else role.label
            is_clip = bool(role.subfolder)
            for path, parsed in self.parsed(folder):
                named = parsed.video is not None or (is_clip and parsed.frame is not None)
                video = video_id(parsed, os.path.basename(path), home, folder_is_clip=is_clip)  # noqa: PTH119
                self.add(path, role.label, video, parsed, role.supplied_split, named=named)
        self.problems += outside

    def add_by_names(self, folders: Iterable[FolderFiles], root: Path) -> None:
        for folder in folders:
            split = supplied_split(Path(folder.folder).relative_to(root).parts)
            for path, parsed in self.parsed(folder):
                if parsed.label not in self.classes.names:
                    self.problems.append(Problem(Path(path), self.unknown(parsed.label)))
                    continue
                # The pattern gives the whole name of the video: one subject in two folders is one subject.
                video = parsed.video or Path(path).relative_to(root).with_suffix("").as_posix()
                self.add(path, parsed.label, video, parsed, split, named=parsed.video is not None)

    def add_manifest(self, manifest: Path, root: Path) -> None:
        """The manifest's columns take precedence; what they leave open is taken from the file's name and folder."""
        rows, problems = read_manifest(manifest, root)
        self.problems += problems
        seen: dict[str, int] = {}
        for row in rows:
            where = f"line {row.line} of {manifest.name}: "
            key = os.path.abspath(row.path)  # noqa: PTH100 - links are not to be followed
            if key in seen:
                self.problems.append(Problem(row.path, f"{where}the path was already given in line {seen[key]}"))
                continue
            seen[key] = row.line
            if row.label not in self.classes.names:
                self.problems.append(Problem(row.path, where + self.unknown(row.label)))
                continue
            try:
                parsed = ParsedName() if row.video is not None else parse_name(row.path.name, self.pattern)
            except FrameError as error:
                self.problems.append(Problem(row.path, where + _problem(row.path, error).reason))
                continue
            parents = Path(row.relative).parts[:-1]
            split = supplied_split(parents)
            video = row.video or video_id(parsed, row.path.name, "/".join(parents[1:] if split else parents))
            parsed = replace(
                parsed,
                frame=parsed.frame if row.frame is None else row.frame,
                source=row.source or parsed.source,
            )
            named = row.video is not None or parsed.video is not None
            self.add(str(row.path), sys.intern(row.label), video, parsed, split, named=named)
            if row.extra:
                self.records[-1] = replace(self.records[-1], extra=row.extra)

    def unknown(self, label: str | None) -> str:
        return f"label {label!r} is none of the classes {', '.join(repr(name) for name in self.classes.names)}"

    def nothing_usable(self, root: Path, manifest: Path | None) -> str:
        """What was looked for, what was found, and what to do."""
        classes, pattern = self.classes, self.pattern
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
        children = root.iterdir() if root.is_dir() else ()
        folders = sorted(f"{path.name}/" for path in children if path.is_dir() and not path.name.startswith("."))
        found = f"found the folders {', '.join(folders[:8])}" if folders else "found no folders"
        reasons = "; ".join(f"{name_below(p.path, root)}: {p.reason}" for p in self.problems[:NAMES_SHOWN])
        trouble = f" ({len(self.problems):,} not usable: {reasons})" if reasons else ""
        return f"no usable frames in {root}: looked for {wanted}; {found}{trouble}. Remedy: {remedy}."


def _problem(path: Path, error: FrameError) -> Problem:
    """The error without the path at the start of its message, which a problem has apart."""
    return Problem(path, str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: "))
