"""Audit a split: what its table shows, and which pictures occur more than once; as text, JSON and CSV."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
from tabulate import tabulate

from flipdetect.atomic import write_csv, write_text
from flipdetect.data.duplicates import find_copies, read_thumbnails
from flipdetect.data.splits import SPLITS, Split, some
from flipdetect.records import FrameRecord
from flipdetect.sources.folder import name_below

NO_SHARED_VIDEO = "No video is in two splits."
SPOKEN = {"train": "training", "val": "validation", "test": "test"}
"""The splits, as sentences name them."""
CONSEQUENCES = {
    ("train", "test"): "the test score measures memory, not skill",
    ("train", "val"): "the best epoch and the threshold are chosen by memory, not by skill",
    ("val", "test"): "the threshold is tuned on test videos, so the test score is too high",
}

Kind = Literal["conflict", "copy", "twice"]
KINDS: dict[Kind, str] = {
    "conflict": "the same picture with opposite labels",
    "copy": "the same picture in two splits",
    "twice": "the same picture in two videos of one split",
}
"""What two frames can have in common, the worst first."""
FAULTS: tuple[Kind, ...] = ("conflict", "copy")
SCHEMA_VERSION = 2
"""Raised when the meaning of a field of the JSON file changes; fields may be added without."""
COLUMNS = (
    "kind", "first_path", "second_path", "first_split", "second_split", "first_label", "second_label", "first_video",
    "second_video", "first_source", "second_source", "difference",
)  # fmt: skip
_SOURCES_SHOWN = 20


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

    def warnings(self) -> list[str]:
        """What is wrong with the split; empty if nothing is."""
        lines = [
            f"{len(shared.names):,} files are both in {SPOKEN[shared.first]} and in {SPOKEN[shared.second]} "
            f"({some(shared.names)}): scores on them mean nothing. Remedy: name each file once in the split file."
            for shared in self.files
        ]
        lines += [
            f"{shared.frames:,} of {shared.of_frames:,} {SPOKEN[shared.second]} frames come from videos that are also "
            f"in {SPOKEN[shared.first]} ({len(shared.names):,} videos: {some(shared.names)}): "
            f"{CONSEQUENCES[shared.first, shared.second]}. Remedy: let the split be drawn by video "
            "(data.use_supplied_test=false, no split file), or move each video to one split."
            for shared in self.videos
        ]
        if self.neighbours:
            lines.append(
                f"{self.neighbours:,} of {self.test_frames:,} test frames ({self.neighbours / self.test_frames:.0%}) "
                "are at most one frame number away from a training frame of the same video: near-copies of training "
                "frames."
            )
        if found := self.of_kind("conflict"):
            pairs = some(tuple(f"{pair.first.path.name} and {pair.second.path.name}" for pair in found))
            lines.append(
                f"{len(found):,} pairs of frames show the same picture and have opposite labels ({pairs}): one label "
                "of each pair is wrong. Remedy: look at them and correct the label, or remove one frame."
            )
        for splits in combinations(SPLITS, 2):
            found = [finding for finding in self.of_kind("copy") if finding.splits == splits]
            if not found:
                continue
            frames = {finding.second.path for finding in found}
            others = {finding.second.path for finding in found if finding.first.video != finding.second.video}
            lines.append(
                f"{len(frames):,} {SPOKEN[splits[1]]} frames show the same picture as a {SPOKEN[splits[0]]} frame "
                f"({len(others):,} of them under the name of another video; "
                f"{some(tuple(sorted(path.name for path in frames)))}): the score rewards memory. Remedy: remove the "
                "copies, or give all frames of one film the same video."
            )
        return lines

    def sentences(self) -> list[str]:
        """The findings in sentences, worst first, the composition of the splits last."""
        lines = self.warnings()
        if twice := self.of_kind("twice"):
            lines.append(
                f"{len({pair.second.path for pair in twice}):,} frames show the same picture as a frame of another "
                "video in the same split: they count twice."
            )
        if single := self.single_frame_videos:
            lines.append(
                f"{len(single):,} videos have a single frame ({some(single)}): if they are frames of one film, the "
                "split cannot be trusted."
            )
        if self.unread:
            name = next(iter(self.unread)).name
            lines.append(f"{len(self.unread):,} frames could not be read and are not compared (such as {name}).")
        if self.flat:
            lines.append(f"{self.flat:,} frames are flat (black, for instance) and are not compared.")
        if not self.leaks:
            lines.append(NO_SHARED_VIDEO)
        lines += [
            f"{len(shared.names):,} sources are both in {SPOKEN[shared.first]} and in {SPOKEN[shared.second]} "
            f"({some(shared.names)}): the score is for new clips of known sources, not for unknown sources. To measure "
            "the latter, set data.group_by=source."
            for shared in self.sources
            if shared.first == "train"
        ]
        negative, positive = self.class_names
        for name, (negatives, positives) in self.balance.items():
            total = negatives + positives
            lines.append(
                f"{SPOKEN[name].capitalize()}: {total:,} frames, {positives:,} {positive} "
                f"({positives / total:.0%}) and {negatives:,} {negative}."
            )
        return [*lines, *(f"{note}." for note in self.notes)]


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


def audit_text(audit: AuditReport) -> str:
    """The whole report: sentences, tables by split, by source and by finding, and a verdict."""
    warnings = audit.warnings()
    sentences = "\n".join(f"{'! ' if line in warnings else '- '}{line}" for line in audit.sentences())
    negative, positive = audit.class_names
    splits = []
    for name, (negatives, positives) in audit.balance.items():
        total = negatives + positives
        splits.append((name, audit.videos_of[name], total, positives, negatives, f"{positives / total:.0%}"))
    balance = audit.balance_of_sources
    uneven = sorted(balance, key=lambda key: -abs(balance[key][1] / sum(balance[key]) - 0.5))
    sources = [(source, name, sum(balance[source, name]), *balance[source, name][::-1]) for source, name in uneven]
    findings = []
    for kind, meaning in KINDS.items():
        found = audit.of_kind(kind)
        worst = ""
        if found:
            one, other = found[0].first.path.name, found[0].second.path.name
            worst = f"{one} ({found[0].splits[0]}), {other} ({found[0].splits[1]})"
        findings.append((meaning, "fault" if kind in FAULTS else "", len(found), worst))
    parts = [
        sentences,
        tabulate(splits, headers=("split", "videos", "frames", positive, negative, f"share of {positive}")),
        tabulate(findings, headers=("two frames show", "", "pairs", "the most similar")),
        "There are faults (!)." if audit.faults else "No fault was found.",
    ]
    if sources:
        more = f"\n... and {len(sources) - _SOURCES_SHOWN:,} more" if len(sources) > _SOURCES_SHOWN else ""
        headers = ("source", "split", "frames", positive, negative)
        parts.insert(2, tabulate(sources[:_SOURCES_SHOWN], headers=headers, disable_numparse=[0, 1]) + more)
    return "\n\n".join(parts)


def write_audit(audit: AuditReport, folder: Path, root: Path) -> None:
    """Write audit.json, all that was found, and pairs.csv, a row per pair of frames, the worst kind first.

    Paths are relative to `root` where they are below it.
    """
    known = {finding.second.path for finding in audit.findings if finding.splits == ("train", "test")}

    rows: list[tuple[Any, ...]] = []
    for finding in audit.findings:
        first, second = finding.first, finding.second
        rows.append((
            finding.kind, name_below(first.path, root), name_below(second.path, root), *finding.splits, first.label,
            second.label, first.video, second.video, first.source, second.source, finding.difference,
        ))  # fmt: skip

    def by_class(counts: tuple[int, int]) -> dict[str, int]:
        return dict(zip(audit.class_names, counts, strict=True))

    content = {
        "schema_version": SCHEMA_VERSION,
        "faults": audit.faults,
        "sentences": audit.sentences(),
        "classes": list(audit.class_names),
        "splits": {
            name: {
                "frames": sum(counts),
                "videos": audit.videos_of[name],
                "by_class": by_class(counts),
            }
            for name, counts in audit.balance.items()
        },
        "sources": [
            {"source": source, "split": name, "by_class": by_class(counts)}
            for (source, name), counts in audit.balance_of_sources.items()
        ],
        "shared": {
            name: [
                {"splits": [s.first, s.second], "names": list(s.names), "frames": s.frames, "of_frames": s.of_frames}
                for s in getattr(audit, name)
            ]
            for name in ("videos", "sources", "files")
        },
        "test_frames": audit.test_frames,
        "test_frames_next_to_a_training_frame": audit.neighbours,
        "test_frames_that_are_training_frames": len(known),
        "single_frame_videos": list(audit.single_frame_videos),
        "counts": {kind: len(audit.of_kind(kind)) for kind in KINDS},
        "pairs": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
        "unread": {name_below(file, root): reason for file, reason in audit.unread.items()},
        "flat_frames": audit.flat,
    }
    write_text(folder / "audit.json", json.dumps(content, indent=2, ensure_ascii=True) + "\n")
    write_csv(folder / "pairs.csv", COLUMNS, rows)


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
