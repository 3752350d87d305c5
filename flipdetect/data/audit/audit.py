"""The whole audit of a split: what its table says, and what its pictures show when they are held against each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from flipdetect.data.audit.duplicates import Copy, find_copies
from flipdetect.data.audit.scenes import SceneMatch, find_same_scenes
from flipdetect.data.audit.split_table import SPOKEN, AuditReport, audit_split, some
from flipdetect.data.audit.thumbnails import Miniatures, read_carefully, read_miniatures
from flipdetect.data.splits import SIDES, Split
from flipdetect.records import FrameRecord
from flipdetect.sources.image import decode_frame

Kind = Literal["conflict", "copy", "scene", "known scene", "twice"]
KINDS: dict[Kind, str] = {
    "conflict": "the same picture with opposite labels",
    "copy": "the same picture on two sides",
    "scene": "videos of one scene on two sides, not known to be of one source",
    "known scene": "videos of one scene on two sides, of a source known to be on both",
    "twice": "the same picture in two videos of one side",
}
"""What two frames can have in common, the worst first; the first three are faults of a split."""
FAULTS: tuple[Kind, ...] = ("conflict", "copy", "scene")

# Enough for local features, and quick to decode.
_LOOKED_AT = (320, 180)


@dataclass(frozen=True, slots=True)
class Finding:
    """Two frames of a split that ought to have less in common.

    Attributes:
        kind: what they have in common, a key of `KINDS`.
        first, second: the frames; of two sides, in the order train, val, test.
        sides: of the two.
        difference: grey levels (0 to 255) where two copies differ most; None for scenes.
        likeness: of the outlines of two scenes, -1 to 1; None for copies.
        points: local features that two scenes have in common; None if their likeness left no doubt.
    """

    kind: Kind
    first: FrameRecord
    second: FrameRecord
    sides: tuple[str, str]
    difference: float | None = None
    likeness: float | None = None
    points: int | None = None


@dataclass(frozen=True)
class FullAudit:
    """Findings of an audit that has looked at the frames.

    Attributes:
        quick: what the split's table says.
        findings: the worst kind first, and of each kind the most alike first.
        single_frame_videos: videos of one frame, sorted.
        balance_of_sources: frames of each class (negative, positive) by source and side; empty if none is known.
        unread: reason for each frame that could not be decoded.
        flat: frames that show nothing to compare, black ones for instance.
        videos: number of frames of each video on each side, by (side, video).
    """

    quick: AuditReport
    findings: tuple[Finding, ...]
    single_frame_videos: tuple[str, ...]
    balance_of_sources: dict[tuple[str, str], tuple[int, int]]
    unread: dict[Path, str]
    flat: int
    videos: dict[tuple[str, str], int]

    @property
    def faults(self) -> bool:
        """Whether a video, a file, a picture or an unknown scene is on two sides, or a picture has two labels."""
        return self.quick.leaks or any(finding.kind in FAULTS for finding in self.findings)

    def of_kind(self, kind: Kind) -> list[Finding]:
        """The findings of one kind."""
        return [finding for finding in self.findings if finding.kind == kind]

    def known_test_frames(self) -> int:
        """Test frames whose picture is a training frame, too."""
        copied = {
            finding.second.path
            for finding in self.findings
            if finding.sides == ("train", "test") and finding.difference is not None
        }
        return len(copied)

    def warnings(self) -> list[str]:
        """What is wrong with the split, in plain words; empty if nothing is."""
        lines = self.quick.warnings()
        lines += self._about_conflicts()
        for sides in combinations(SIDES, 2):
            lines += self._about_copies(sides)
            lines += self._about_scenes(sides)
        return lines

    def sentences(self) -> list[str]:
        """The findings in plain words, worst first, the make-up of the sides last."""
        quick = [line for line in self.quick.sentences() if line not in self.quick.warnings()]
        return [*self.warnings(), *self._in_passing(), *quick]

    def _about_conflicts(self) -> list[str]:
        found = self.of_kind("conflict")
        if not found:
            return []
        pairs = some(tuple(f"{pair.first.path.name} and {pair.second.path.name}" for pair in found))
        return [
            f"{len(found):,} pairs of frames show the same picture and have opposite labels ({pairs}): one of each two "
            "is wrong. Remedy: look at them and correct the label, or remove one."
        ]

    def _about_copies(self, sides: tuple[str, str]) -> list[str]:
        found = [finding for finding in self.of_kind("copy") if finding.sides == sides]
        if not found:
            return []
        frames = {finding.second.path for finding in found}
        others = {finding.second.path for finding in found if finding.first.video != finding.second.video}
        return [
            f"{len(frames):,} {SPOKEN[sides[1]]} frames show the same picture as a {SPOKEN[sides[0]]} frame "
            f"({len(others):,} of them under the name of another video; "
            f"{some(tuple(sorted(path.name for path in frames)))}): what they score was learnt by heart. Remedy: "
            "remove the copies, or give all frames of one film the same video."
        ]

    def _about_scenes(self, sides: tuple[str, str]) -> list[str]:
        found = [finding for finding in self.of_kind("scene") if finding.sides == sides]
        if not found:
            return []
        videos = {finding.second.video for finding in found}
        frames = sum(self.videos[sides[1], video] for video in videos)
        names = some(tuple(f"{finding.second.video} like {finding.first.video}" for finding in found))
        return [
            f"{len(videos):,} {SPOKEN[sides[1]]} videos ({frames:,} frames) show the same scene as a "
            f"{SPOKEN[sides[0]]} video ({names}): one film under two names, or one book from the same place. Remedy: "
            "give parts of one film the same video and films of one book the same source, and split by source."
        ]

    def _in_passing(self) -> list[str]:
        lines = []
        if known := self.of_kind("known scene"):
            lines.append(
                f"{len({(pair.sides[1], pair.second.video) for pair in known}):,} videos show the same scene as a "
                "video of another side; their sources say so, too."
            )
        if twice := self.of_kind("twice"):
            lines.append(
                f"{len({pair.second.path for pair in twice}):,} frames show the same picture as a frame of another "
                "video on the same side: they count twice."
            )
        if single := self.single_frame_videos:
            lines.append(
                f"{len(single):,} videos have a single frame ({some(single)}): if they are cut from one film, "
                "nothing but the pictures can tell."
            )
        if self.unread:
            name = next(iter(self.unread)).name
            lines.append(f"{len(self.unread):,} frames could not be read and are not compared (such as {name}).")
        if self.flat:
            lines.append(f"{self.flat:,} frames are flat (black, for instance) and are not compared.")
        return lines


def audit_frames(split: Split, *, cache_dir: Path | None = None, workers: int | None = None) -> FullAudit:
    """Audit a split by its table and by its pictures.

    Args:
        split: which side each record is on.
        cache_dir: where decoded frames are kept between runs; None keeps nothing.
        workers: decoding threads; default: one per core.
    """
    records = split.records
    miniatures = read_miniatures([record.path for record in records], cache_dir, workers)
    copies = _copies(split, miniatures)
    copied = {(pair.first.video, pair.second.video) for pair in copies}
    scenes = [pair for pair in _scenes(split, miniatures) if (pair.first.video, pair.second.video) not in copied]
    found = [*copies, *scenes]
    order = list(KINDS)
    found.sort(key=lambda finding: (order.index(finding.kind), finding.difference or 0, -(finding.likeness or 0)))
    telling = miniatures.telling
    return FullAudit(
        quick=audit_split(split),
        findings=tuple(found),
        single_frame_videos=_single_frame_videos(records),
        balance_of_sources=_balance_of_sources(split),
        unread={records[position].path: reason for position, reason in miniatures.failures.items()},
        flat=int((~telling).sum()) - len(miniatures.failures),
        videos=dict(Counter((side, record.video) for record, side in zip(records, split.sides, strict=True))),
    )


def _copies(split: Split, miniatures: Miniatures) -> list[Finding]:
    # Frames at rest of one video are alike, and no fault where they share side and label.
    keys = [(r.video, r.label, side) for r, side in zip(split.records, split.sides, strict=True)]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    groups = np.array([numbers[key] for key in keys], np.int64)
    paths = [record.path for record in split.records]
    pairs = find_copies(miniatures.grey, groups, miniatures.telling, lambda position: read_carefully(paths[position]))
    return [
        _finding(split, kind, copy) for copy in pairs if (kind := _kind_of_copy(split, copy.first, copy.second))
    ]  # fmt: skip


def _kind_of_copy(split: Split, first: int, second: int) -> Kind | None:
    one, other = split.records[first], split.records[second]
    if one.path == other.path:
        return None  # a file on two sides: the table says so
    if one.label != other.label:
        return "conflict"
    return "copy" if split.sides[first] != split.sides[second] else "twice"


def _scenes(split: Split, miniatures: Miniatures) -> list[Finding]:
    records = split.records
    by_side = {side: np.flatnonzero(np.array(split.sides) == side) for side in SIDES}
    videos, sources = [record.video for record in records], [record.source for record in records]
    found = []
    for sides in combinations(SIDES, 2):
        for match in find_same_scenes(
            miniatures,
            by_side[sides[0]],
            by_side[sides[1]],
            videos,
            sources,
            lambda position: decode_frame(records[position].path, min_size=_LOOKED_AT, channels=1),
        ):
            source, other = records[match.first].source, records[match.second].source
            kind: Kind = "known scene" if source is not None and source == other else "scene"
            found.append(_finding(split, kind, match))
    return found


def _finding(split: Split, kind: Kind, pair: Copy | SceneMatch) -> Finding:
    first, second = sorted(
        (pair.first, pair.second), key=lambda position: (SIDES.index(split.sides[position]), position)
    )
    records, sides = split.records, (split.sides[first], split.sides[second])
    if isinstance(pair, Copy):
        return Finding(kind, records[first], records[second], sides, difference=pair.difference)
    return Finding(kind, records[first], records[second], sides, likeness=pair.likeness, points=pair.points)


def _single_frame_videos(records: tuple[FrameRecord, ...]) -> tuple[str, ...]:
    counts = Counter(record.video for record in records)
    return tuple(sorted(video for video, count in counts.items() if count == 1))


def _balance_of_sources(split: Split) -> dict[tuple[str, str], tuple[int, int]]:
    counts: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for record, side in zip(split.records, split.sides, strict=True):
        if record.source is not None:
            counts[record.source, side][split.classes.target(record.label)] += 1
    return {key: (negative, positive) for key, (negative, positive) in sorted(counts.items())}
