"""Audit a split: what its table shows, and which pictures occur more than once."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Literal

import numpy as np

from flipdetect.data.audit.duplicates import find_copies, read_thumbnails
from flipdetect.data.splits import SPLITS, Split
from flipdetect.records import FrameRecord

Kind = Literal["conflict", "copy", "twice"]
KINDS: dict[Kind, str] = {
    "conflict": "the same picture with opposite labels",
    "copy": "the same picture in two splits",
    "twice": "the same picture in two videos of one split",
}
"""What two frames can have in common, the worst first."""
FAULTS: tuple[Kind, ...] = ("conflict", "copy")


@dataclass(frozen=True, slots=True)
class Shared:
    """What two splits have in common."""

    first: str
    second: str
    names: tuple[str, ...]
    frames: int
    of_frames: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two frames that show the same picture.

    Attributes:
        kind: a key of `KINDS`.
        first, second: the frames, in the order train, val, test.
        splits: the split of each.
        difference: grey levels (0 to 255) where the two differ most.
    """

    kind: Kind
    first: FrameRecord
    second: FrameRecord
    splits: tuple[str, str]
    difference: float


@dataclass(frozen=True)
class AuditReport:
    """Findings of an audit.

    Attributes:
        videos: videos in two splits, for each pair of splits that shares any.
        sources: sources in two splits, likewise.
        files: files in two splits, likewise.
        neighbours: test frames at most one frame number away from a training frame of the same video.
        balance: for each split that has frames, the number of frames of each class (negative, positive).
        videos_of: number of videos of each split.

    The others are those of an audit that has compared the pictures:

        findings: pairs of frames that show the same picture, the worst kind first.
        balance_of_sources: frames of each class by source and split; empty if no source is known.
        unread: reason for each frame that could not be decoded.
        flat: number of frames that show nothing to compare, such as black ones.
    """

    videos: tuple[Shared, ...]
    sources: tuple[Shared, ...]
    files: tuple[Shared, ...]
    neighbours: int
    balance: dict[str, tuple[int, int]]
    videos_of: dict[str, int]
    class_names: tuple[str, str]
    notes: tuple[str, ...] = ()
    findings: tuple[Duplicate, ...] = ()
    single_frame_videos: tuple[str, ...] = ()
    balance_of_sources: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    unread: dict[Path, str] = field(default_factory=dict)
    flat: int = 0

    @property
    def leaks(self) -> bool:
        """Whether a video or a file is in two splits. A shared source is no leak, but limits what a score shows."""
        return bool(self.videos or self.files)

    @property
    def faults(self) -> bool:
        """Whether a video, a file or a picture is in two splits, or a picture has two labels."""
        return self.leaks or any(finding.kind in FAULTS for finding in self.findings)

    @property
    def test_frames(self) -> int:
        """Number of test frames."""
        return sum(self.balance.get("test", (0, 0)))

    def of_kind(self, kind: Kind) -> list[Duplicate]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]


def audit_split(split: Split) -> AuditReport:
    """Look for videos, sources and files in two splits. Reads no file."""
    by_split = {name: records for name in SPLITS if (records := split.of(name))}
    numbered = {name: [(r.video, r.frame) for r in split.of(name) if r.frame is not None] for name in ("train", "test")}
    near = {(video, frame + step) for video, frame in numbered["train"] for step in (-1, 0, 1)}
    return AuditReport(
        videos=_in_two_splits(by_split, lambda record: record.video),
        sources=_in_two_splits(by_split, lambda record: record.source),
        files=_in_two_splits(by_split, lambda record: os.path.normpath(record.file)),
        neighbours=sum(each in near for each in numbered["test"]),
        balance={
            name: (len(records) - positives, positives)
            for name, records in by_split.items()
            for positives in [sum(record.label == split.classes.positive for record in records)]
        },
        videos_of={name: len({record.video for record in split.of(name)}) for name in SPLITS},
        class_names=split.classes.names,
        notes=split.notes,
    )


def _in_two_splits(
    by_split: dict[str, tuple[FrameRecord, ...]], name_of: Callable[[FrameRecord], str | None]
) -> tuple[Shared, ...]:
    counts = {
        split: Counter(name for record in records if (name := name_of(record)) is not None)
        for split, records in by_split.items()
    }
    found = []
    for first, second in combinations(by_split, 2):
        names = tuple(sorted(counts[first].keys() & counts[second].keys()))
        if names:
            frames = sum(counts[second][name] for name in names)
            found.append(Shared(first, second, names, frames, len(by_split[second])))
    return tuple(found)


def audit_frames(split: Split, *, cache_dir: Path | None = None, workers: int | None = None) -> AuditReport:
    """Audit a split by its table and by its pictures.

    Args:
        cache_dir: where thumbnails are kept between runs; None keeps nothing.
    """
    records = split.records
    thumbnails = read_thumbnails([record.path for record in records], cache_dir, workers)
    # Frames of one video that show no motion are alike, which is no fault if they have the same label and split.
    keys = [(record.video, record.label, name) for record, name in zip(records, split.assigned, strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    found = []
    for copy in find_copies(thumbnails, np.array([numbers[key] for key in keys], np.int64)):
        first, second = sorted(
            (copy.first, copy.second), key=lambda place: (SPLITS.index(split.assigned[place]), place)
        )
        one, other, splits = records[first], records[second], (split.assigned[first], split.assigned[second])
        if one.path != other.path:  # a file in two splits is a finding of the table
            kind: Kind = "conflict" if one.label != other.label else "copy" if splits[0] != splits[1] else "twice"
            found.append(Duplicate(kind, one, other, splits, copy.difference))
    order = list(KINDS)
    by_source: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for record, name in zip(records, split.assigned, strict=True):
        if record.source is not None:
            by_source[record.source, name][split.classes.target(record.label)] += 1
    frames_of = Counter(record.video for record in records)
    return replace(
        audit_split(split),
        findings=tuple(sorted(found, key=lambda finding: (order.index(finding.kind), finding.difference))),
        single_frame_videos=tuple(sorted(video for video, count in frames_of.items() if count == 1)),
        balance_of_sources={key: (counts[0], counts[1]) for key, counts in sorted(by_source.items())},
        unread={records[position].path: reason for position, reason in thumbnails.failures.items()},
        flat=int((~thumbnails.comparable).sum()) - len(thumbnails.failures),
    )


def worst_pairs(findings: Sequence[Duplicate], count: int) -> list[Duplicate]:
    """The first finding of each kind, then the second of each, ...; at most one for each kind and two videos."""
    queues: dict[str, list[Duplicate]] = {kind: [] for kind in KINDS}
    seen = set()
    for finding in findings:
        key = (finding.kind, frozenset((finding.first.video, finding.second.video)))
        if key not in seen:
            seen.add(key)
            queues[finding.kind].append(finding)
    chosen = [finding for row in zip_longest(*queues.values()) for finding in row if finding is not None]
    order = list(KINDS)
    return sorted(chosen[:count], key=lambda finding: order.index(finding.kind))
