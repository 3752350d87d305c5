"""The tables of an audit: text for the reader, JSON and CSV for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tabulate import tabulate

from flipdetect.atomic import write_csv, write_text
from flipdetect.data.audit.audit import FAULTS, KINDS, Duplicate, FullAudit
from flipdetect.data.audit.leaks import Shared
from flipdetect.sources.folder import name_below

SCHEMA_VERSION = 2
"""Raised when the meaning of a field of the JSON file changes; fields may be added without."""
COLUMNS = (
    "kind", "first_path", "second_path", "first_split", "second_split", "first_label", "second_label", "first_video",
    "second_video", "first_source", "second_source", "difference",
)  # fmt: skip
_SOURCES_SHOWN = 20


def audit_text(audit: FullAudit) -> str:
    """The whole report: sentences, tables by split, by source and by finding, and a verdict."""
    warnings = audit.warnings()
    sentences = "\n".join(f"{'! ' if line in warnings else '- '}{line}" for line in audit.sentences())
    negative, positive = audit.quick.class_names
    splits = []
    for name, (negatives, positives) in audit.quick.balance.items():
        videos = sum(one == name for one, _ in audit.videos)
        total = negatives + positives
        splits.append((name, videos, total, positives, negatives, f"{positives / total:.0%}"))
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


def write_audit_json(audit: FullAudit, path: Path, root: Path) -> None:
    """Write everything that was found as JSON; paths are relative to `root` where they are below it."""
    quick = audit.quick

    def by_class(counts: tuple[int, int]) -> dict[str, int]:
        return dict(zip(quick.class_names, counts, strict=True))

    content = {
        "schema_version": SCHEMA_VERSION,
        "faults": audit.faults,
        "sentences": audit.sentences(),
        "classes": list(quick.class_names),
        "splits": {
            name: {
                "frames": sum(counts),
                "videos": sum(one == name for one, _ in audit.videos),
                "by_class": by_class(counts),
            }
            for name, counts in quick.balance.items()
        },
        "sources": [
            {"source": source, "split": name, "by_class": by_class(counts)}
            for (source, name), counts in audit.balance_of_sources.items()
        ],
        "shared": {
            "videos": [_shared(shared) for shared in quick.videos],
            "sources": [_shared(shared) for shared in quick.sources],
            "files": [_shared(shared) for shared in quick.files],
        },
        "test_frames": quick.test_frames,
        "test_frames_next_to_a_training_frame": quick.neighbours,
        "test_frames_that_are_training_frames": audit.known_test_frames(),
        "single_frame_videos": list(audit.single_frame_videos),
        "counts": {kind: len(audit.of_kind(kind)) for kind in KINDS},
        "pairs": [dict(zip(COLUMNS, _row(finding, root), strict=True)) for finding in audit.findings],
        "unread": {name_below(file, root): reason for file, reason in audit.unread.items()},
        "flat_frames": audit.flat,
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=True) + "\n")


def _shared(shared: Shared) -> dict[str, Any]:
    return {
        "splits": [shared.first, shared.second],
        "names": list(shared.names),
        "frames": shared.frames,
        "of_frames": shared.of_frames,
    }


def write_audit_csv(audit: FullAudit, path: Path, root: Path) -> None:
    """Write a row per pair of frames, the worst kind first."""
    rows = (["" if value is None else value for value in _row(finding, root)] for finding in audit.findings)
    write_csv(path, COLUMNS, rows)


def _row(finding: Duplicate, root: Path) -> tuple[Any, ...]:
    first, second = finding.first, finding.second
    return (
        finding.kind, name_below(first.path, root), name_below(second.path, root), *finding.splits, first.label,
        second.label, first.video, second.video, first.source, second.source, finding.difference,
    )  # fmt: skip


def worst_pairs(findings: Sequence[Duplicate], count: int) -> list[Duplicate]:
    """The first finding of each kind, then the second of each, ...; at most one for each kind and two videos."""
    queues: dict[str, list[Duplicate]] = {kind: [] for kind in KINDS}
    seen = set()
    for finding in findings:
        key = (finding.kind, frozenset((finding.first.video, finding.second.video)))
        if key not in seen:
            seen.add(key)
            queues[finding.kind].append(finding)
    chosen: list[Duplicate] = []
    while len(chosen) < count and any(queues.values()):
        chosen += [queue.pop(0) for queue in queues.values() if queue]
    order = list(KINDS)
    return sorted(chosen[:count], key=lambda finding: order.index(finding.kind))
