"""What an audit has found, in sentences, as tables, as JSON and CSV."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

from tabulate import tabulate

from flipdetect.atomic import write_csv, write_text
from flipdetect.data.audit.findings import FAULTS, KINDS, AuditReport
from flipdetect.data.splits import SPLITS, some
from flipdetect.sources.folder import name_below

NO_SHARED_VIDEO = "No video is in two splits."
SPOKEN = {"train": "training", "val": "validation", "test": "test"}
"""The splits, as sentences name them."""
CONSEQUENCES = {
    ("train", "test"): "the test score measures memory, not skill",
    ("train", "val"): "the best epoch and the threshold are chosen by memory, not by skill",
    ("val", "test"): "the threshold is tuned on test videos, so the test score is too high",
}
SCHEMA_VERSION = 2
"""Raised when the meaning of a field of the JSON file changes; fields may be added without."""
COLUMNS = (
    "kind", "first_path", "second_path", "first_split", "second_split", "first_label", "second_label", "first_video",
    "second_video", "first_source", "second_source", "difference",
)  # fmt: skip
_SOURCES_SHOWN = 20


def warnings(audit: AuditReport) -> list[str]:
    """What is wrong with the split; empty if nothing is."""
    lines = [
        f"{len(shared.names):,} files are both in {SPOKEN[shared.first]} and in {SPOKEN[shared.second]} "
        f"({some(shared.names)}): scores on them mean nothing. Remedy: name each file once in the split file."
        for shared in audit.files
    ]
    lines += [
        f"{shared.frames:,} of {shared.of_frames:,} {SPOKEN[shared.second]} frames come from videos that are also "
        f"in {SPOKEN[shared.first]} ({len(shared.names):,} videos: {some(shared.names)}): "
        f"{CONSEQUENCES[shared.first, shared.second]}. Remedy: let the split be drawn by video "
        "(data.use_supplied_test=false, no split file), or move each video to one split."
        for shared in audit.videos
    ]
    if audit.neighbours:
        lines.append(
            f"{audit.neighbours:,} of {audit.test_frames:,} test frames ({audit.neighbours / audit.test_frames:.0%}) "
            "are at most one frame number away from a training frame of the same video: near-copies of training "
            "frames."
        )
    if found := audit.of_kind("conflict"):
        pairs = some(tuple(f"{pair.first.path.name} and {pair.second.path.name}" for pair in found))
        lines.append(
            f"{len(found):,} pairs of frames show the same picture and have opposite labels ({pairs}): one label "
            "of each pair is wrong. Remedy: look at them and correct the label, or remove one frame."
        )
    for splits in combinations(SPLITS, 2):
        found = [finding for finding in audit.of_kind("copy") if finding.splits == splits]
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


def sentences(audit: AuditReport) -> list[str]:
    """The findings in sentences, worst first, the composition of the splits last."""
    lines = warnings(audit)
    if twice := audit.of_kind("twice"):
        lines.append(
            f"{len({pair.second.path for pair in twice}):,} frames show the same picture as a frame of another "
            "video in the same split: they count twice."
        )
    if single := audit.single_frame_videos:
        lines.append(
            f"{len(single):,} videos have a single frame ({some(single)}): if they are frames of one film, the "
            "split cannot be trusted."
        )
    if audit.unread:
        name = next(iter(audit.unread)).name
        lines.append(f"{len(audit.unread):,} frames could not be read and are not compared (such as {name}).")
    if audit.flat:
        lines.append(f"{audit.flat:,} frames are flat (black, for instance) and are not compared.")
    if not audit.leaks:
        lines.append(NO_SHARED_VIDEO)
    lines += [
        f"{len(shared.names):,} sources are both in {SPOKEN[shared.first]} and in {SPOKEN[shared.second]} "
        f"({some(shared.names)}): the score is for new clips of known sources, not for unknown sources. To measure "
        "the latter, set data.group_by=source."
        for shared in audit.sources
        if shared.first == "train"
    ]
    negative, positive = audit.class_names
    for name, (negatives, positives) in audit.balance.items():
        total = negatives + positives
        lines.append(
            f"{SPOKEN[name].capitalize()}: {total:,} frames, {positives:,} {positive} "
            f"({positives / total:.0%}) and {negatives:,} {negative}."
        )
    return [*lines, *(f"{note}." for note in audit.notes)]


def audit_text(audit: AuditReport) -> str:
    """The whole report: sentences, tables by split, by source and by finding, and a verdict."""
    wrong = warnings(audit)
    findings = [f"{'! ' if line in wrong else '- '}{line}" for line in sentences(audit)]
    negative, positive = audit.class_names
    splits = [
        (name, audit.videos_of[name], sum(counts), *counts[::-1], f"{counts[1] / sum(counts):.0%}")
        for name, counts in audit.balance.items()
    ]
    balance = audit.balance_of_sources
    uneven = sorted(balance, key=lambda key: -abs(balance[key][1] / sum(balance[key]) - 0.5))
    sources = [(source, name, sum(balance[source, name]), *balance[source, name][::-1]) for source, name in uneven]
    pairs = []
    for kind, meaning in KINDS.items():
        found = audit.of_kind(kind)
        worst = ""
        if found:
            one, other = found[0].first.path.name, found[0].second.path.name
            worst = f"{one} ({found[0].splits[0]}), {other} ({found[0].splits[1]})"
        pairs.append((meaning, "fault" if kind in FAULTS else "", len(found), worst))
    parts = [
        "\n".join(findings),
        tabulate(splits, headers=("split", "videos", "frames", positive, negative, f"share of {positive}")),
        tabulate(pairs, headers=("two frames show", "", "pairs", "the most similar")),
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
    rows = [
        (each.kind, name_below(each.first.path, root), name_below(each.second.path, root), *each.splits,
         each.first.label, each.second.label, each.first.video, each.second.video, each.first.source,
         each.second.source, each.difference)
        for each in audit.findings
    ]  # fmt: skip

    def by_class(counts: tuple[int, int]) -> dict[str, int]:
        return dict(zip(audit.class_names, counts, strict=True))

    content = {
        "schema_version": SCHEMA_VERSION,
        "faults": audit.faults,
        "sentences": sentences(audit),
        "classes": list(audit.class_names),
        "splits": {
            name: {"frames": sum(counts), "videos": audit.videos_of[name], "by_class": by_class(counts)}
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
        "test_frames_that_are_training_frames": len(
            {each.second.path for each in audit.findings if each.splits == ("train", "test")}
        ),
        "single_frame_videos": list(audit.single_frame_videos),
        "counts": {kind: len(audit.of_kind(kind)) for kind in KINDS},
        "pairs": [dict(zip(COLUMNS, row, strict=True)) for row in rows],
        "unread": {name_below(file, root): reason for file, reason in audit.unread.items()},
        "flat_frames": audit.flat,
    }
    write_text(folder / "audit.json", json.dumps(content, indent=2, ensure_ascii=True) + "\n")
    write_csv(folder / "pairs.csv", COLUMNS, rows)
