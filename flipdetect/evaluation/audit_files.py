"""What an audit leaves: tables for the reader, JSON and CSV for programs, a picture of the worst pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from tabulate import tabulate

from flipdetect.atomic import write_csv, write_text
from flipdetect.data.audit.audit import FAULTS, KINDS, Finding, FullAudit
from flipdetect.data.audit.split_table import Shared
from flipdetect.outputs.plots import PicturePair, plot_pairs
from flipdetect.records import FrameRecord
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import decode_frame

SCHEMA_VERSION = 1
"""Raised when the meaning of a field of the JSON file changes; fields may be added without."""
SHOWN = 12
"""Pairs on the picture."""
COLUMNS = (
    "kind", "first_path", "second_path", "first_side", "second_side", "first_label", "second_label", "first_video",
    "second_video", "first_source", "second_source", "difference", "likeness", "points",
)  # fmt: skip

_PICTURE = (480, 270)
_COLOURS = {"conflict": "#A01C6B", "copy": "#D55E00", "scene": "#B07900"}
_HARMLESS = "#5B8DB8"
_SOURCES_SHOWN = 20


def side_table(audit: FullAudit) -> str:
    """A line per side: videos, frames, classes."""
    negative, positive = audit.quick.class_names
    rows = []
    for side, (negatives, positives) in audit.quick.balance.items():
        videos = sum(one == side for one, _ in audit.videos)
        total = negatives + positives
        rows.append((side, videos, total, positives, negatives, f"{positives / total:.0%}"))
    return tabulate(rows, headers=("side", "videos", "frames", positive, negative, f"share of {positive}"))


def source_table(audit: FullAudit) -> str:
    """A line per source and side, the most uneven first; empty if no source is known."""
    negative, positive = audit.quick.class_names
    balance = audit.balance_of_sources
    uneven = sorted(balance, key=lambda key: -abs(balance[key][1] / sum(balance[key]) - 0.5))
    rows = [(source, side, sum(balance[source, side]), *balance[source, side][::-1]) for source, side in uneven]
    if not rows:
        return ""
    more = f"\n... and {len(rows) - _SOURCES_SHOWN:,} more" if len(rows) > _SOURCES_SHOWN else ""
    headers = ("source", "side", "frames", positive, negative)
    return tabulate(rows[:_SOURCES_SHOWN], headers=headers, disable_numparse=[0, 1]) + more


def finding_table(audit: FullAudit) -> str:
    """A line per kind of finding: pairs, and the worst one."""
    rows = []
    for kind, meaning in KINDS.items():
        found = audit.of_kind(kind)
        worst = _in_words(found[0]) if found else ""
        rows.append((meaning, "fault" if kind in FAULTS else "", len(found), worst))
    return tabulate(rows, headers=("what two frames share", "", "pairs", "the worst"))


def write_audit_json(audit: FullAudit, path: Path, root: Path) -> None:
    """Write everything that was found as JSON; paths relative to `root` where they lie below it."""
    quick = audit.quick
    content = {
        "schema_version": SCHEMA_VERSION,
        "faults": audit.faults,
        "sentences": audit.sentences(),
        "classes": list(quick.class_names),
        "sides": {
            side: {
                "frames": sum(counts),
                "videos": sum(one == side for one, _ in audit.videos),
                "by_class": dict(zip(quick.class_names, counts, strict=True)),
            }
            for side, counts in quick.balance.items()
        },
        "sources": [
            {"source": source, "side": side, "by_class": dict(zip(quick.class_names, counts, strict=True))}
            for (source, side), counts in audit.balance_of_sources.items()
        ],
        "shared": {
            "videos": [_shared(shared) for shared in quick.videos],
            "sources": [_shared(shared) for shared in quick.sources],
            "files": [_shared(shared) for shared in quick.files],
        },
        "test_frames": quick.test_frames,
        "test_frames_beside_a_training_frame": quick.neighbours,
        "test_frames_that_are_training_frames": audit.known_test_frames(),
        "single_frame_videos": list(audit.single_frame_videos),
        "counts": {kind: len(audit.of_kind(kind)) for kind in KINDS},
        "pairs": [dict(zip(COLUMNS, _row(finding, root), strict=True)) for finding in audit.findings],
        "unread": {name_below(file, root): reason for file, reason in audit.unread.items()},
        "flat_frames": audit.flat,
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=True) + "\n")


def write_audit_csv(audit: FullAudit, path: Path, root: Path) -> None:
    """Write a row per pair of frames, the worst kind first."""
    rows = (["" if value is None else value for value in _row(finding, root)] for finding in audit.findings)
    write_csv(path, COLUMNS, rows)


def plot_worst_pairs(audit: FullAudit, count: int = SHOWN) -> Figure:
    """The worst pairs side by side, no two of them of the same two videos.

    Raises:
        FrameError: if a file that was compared can no longer be read.
    """
    shown = worst_pairs(audit.findings, count)
    title = f"{len(shown)} of {len(audit.findings):,} pairs" if shown else "Pairs of frames"
    return plot_pairs([_picture_pair(finding) for finding in shown], title)


def worst_pairs(findings: Sequence[Finding], count: int = SHOWN) -> list[Finding]:
    """The first finding of each kind in turn, then the second of each, ...; one for two videos."""
    queues: dict[str, list[Finding]] = {kind: [] for kind in KINDS}
    seen = set()
    for finding in findings:
        videos = frozenset((finding.first.video, finding.second.video))
        if (finding.kind, videos) not in seen:
            seen.add((finding.kind, videos))
            queues[finding.kind].append(finding)
    chosen: list[Finding] = []
    while len(chosen) < count and any(queues.values()):
        chosen += [queue.pop(0) for queue in queues.values() if queue]
    order = list(KINDS)
    return sorted(chosen[:count], key=lambda finding: order.index(finding.kind))


def _picture_pair(finding: Finding) -> PicturePair:
    measured = (
        f"differ by {finding.difference:.1f} grey levels"
        if finding.difference is not None
        else f"likeness {finding.likeness:.2f}" + (f", {finding.points} points" if finding.points else "")
    )
    frames = (finding.first, finding.second)
    return PicturePair(
        pictures=(_picture(frames[0]), _picture(frames[1])),
        captions=(_caption(frames[0], finding.sides[0]), _caption(frames[1], finding.sides[1])),
        title=f"{finding.kind}: {measured}",
        colour=_COLOURS.get(finding.kind, _HARMLESS),
    )


def _picture(record: FrameRecord) -> Any:
    return decode_frame(record.path, min_size=_PICTURE)


def _caption(record: FrameRecord, side: str) -> tuple[str, ...]:
    source = (f"source {record.source}",) if record.source else ()
    return (f"{side}, {record.label}", *source, f"video {record.video}", record.path.name)


def _shared(shared: Shared) -> dict[str, Any]:
    return {
        "sides": [shared.first, shared.second],
        "names": list(shared.names),
        "frames": shared.frames,
        "of_frames": shared.of_frames,
    }


def _row(finding: Finding, root: Path) -> tuple[Any, ...]:
    first, second = finding.first, finding.second
    return (
        finding.kind, name_below(first.path, root), name_below(second.path, root), *finding.sides, first.label,
        second.label, first.video, second.video, first.source, second.source, finding.difference, finding.likeness,
        finding.points,
    )  # fmt: skip


def _in_words(finding: Finding) -> str:
    return f"{finding.first.path.name} ({finding.sides[0]}), {finding.second.path.name} ({finding.sides[1]})"
