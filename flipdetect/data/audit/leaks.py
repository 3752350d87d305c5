"""Leaks between the training, validation and test splits, as far as their tables show them."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

from flipdetect.data.splits import SPLITS, Split, some
from flipdetect.records import FrameRecord

NO_SHARED_VIDEO = "No video is in two splits."
SPOKEN = {"train": "training", "val": "validation", "test": "test"}
"""The splits, as sentences name them."""
CONSEQUENCES = {
    ("train", "test"): "the test score measures memory, not skill",
    ("train", "val"): "the best epoch and the threshold are chosen by memory, not by skill",
    ("val", "test"): "the threshold is tuned on test videos, so the test score is too high",
}


@dataclass(frozen=True, slots=True)
class Shared:
    """What two splits have in common."""

    first: str
    second: str
    names: tuple[str, ...]
    frames: int
    of_frames: int


@dataclass(frozen=True, slots=True)
class AuditReport:
    """Findings of an audit.

    Attributes:
        videos: videos in two splits, for each pair of splits that shares any.
        sources: sources in two splits, likewise.
        neighbours: test frames at most one frame number away from a training frame of the same video.
        balance: for each split that has frames, the number of frames of each class (negative, positive).
    """

    videos: tuple[Shared, ...]
    sources: tuple[Shared, ...]
    files: tuple[Shared, ...]
    neighbours: int
    balance: dict[str, tuple[int, int]]
    class_names: tuple[str, str]
    notes: tuple[str, ...] = ()

    @property
    def leaks(self) -> bool:
        """Whether a video or a file is in two splits. A shared source is no leak, but limits what a score shows."""
        return bool(self.videos or self.files)

    @property
    def test_frames(self) -> int:
        """Number of test frames."""
        return sum(self.balance.get("test", (0, 0)))

    def warnings(self) -> list[str]:
        """What is wrong with the split; empty if nothing leaks."""
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
        return lines

    def sentences(self) -> list[str]:
        """The findings in sentences, worst first, the composition of the splits last."""
        lines = self.warnings()
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
    return AuditReport(
        videos=_shared(by_split, lambda record: record.video),
        sources=_shared(by_split, lambda record: record.source),
        files=_shared(by_split, lambda record: os.path.normpath(record.file)),
        neighbours=_neighbours(by_split.get("train", ()), by_split.get("test", ())),
        balance={
            name: (len(records) - positives, positives)
            for name, records in by_split.items()
            for positives in [sum(record.label == split.classes.positive for record in records)]
        },
        class_names=split.classes.names,
        notes=split.notes,
    )


def _shared(
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


def _neighbours(train: Iterable[FrameRecord], test: Iterable[FrameRecord]) -> int:
    """Test frames with a training frame of the same video at most one frame number away."""
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for record in train:
        if record.frame is not None:
            numbers[record.video].append(record.frame)
    for known in numbers.values():
        known.sort()
    near = 0
    for record in test:
        known = numbers.get(record.video, [])
        if record.frame is not None and known:
            place = bisect_left(known, record.frame - 1)
            near += place < len(known) and known[place] <= record.frame + 1
    return near
