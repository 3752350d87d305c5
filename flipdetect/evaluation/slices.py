"""Figures of parts of a set: by source, video, kind of frame, phase of the turn, or any column of the manifest.

A group is the frames that share a value of each key. What the values of a key are:

- `source`, `video`, `label`: as the record says; `kind`: the first folder of the frame's path.
- `phase`: how far the turn has come, from the manifest, in three bins (`grouping.PHASE_EDGES`): first tenth [0, 0.1),
  middle [0.1, 0.9), last tenth [0.9, 1].
- another column of the manifest: its text, or, if it holds many different numbers, four bins whose edges are the
  quartiles of the positive frames (of all frames, if no positive one has a value).

**Frames of the negative class without a value** (blank or nan, as every rendered frame at rest has no phase) stand in
every group that agrees with their other values. So F1 in a bin of phases is that of a set made of the flips in that
bin and all frames at rest: with h of the bin's m flips called flips, and a of all frames at rest called flips as well,
it is 2h / (h + a + m). Its recall, h / m, is the bin's own; its false alarms are those of the whole set. Bins with few
flips therefore have a low precision and F1 at the same recall: compare recalls or AUROC across bins of unequal size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import Evaluation, Judged, arrays
from flipdetect.evaluation.figures import ORACLE, frame_figures
from flipdetect.evaluation.grouping import Key, group_members, key_of, known, text_key
from flipdetect.records import FrameRecord

HEADINGS = {
    "frames": "frames",
    "videos": "videos",
    "positives": "of them {}",
    "called_positive": "called {}",
    "recall": "recall",
    "false_alarm_rate": "false alarms",
    "auroc": "AUROC",
    "f1": "F1",
    ORACLE: "best F1 (oracle)",
}


@dataclass(frozen=True)
class Group:
    """Frames that share a value of each key, and their figures.

    Attributes:
        values: one text per key.
        figures: the names of `HEADINGS`; NaN for what a group of one class does not have. Its F1 would be 0 or would
            know no false alarm, so it has none: its recall or its false alarms say all there is.
    """

    values: tuple[str, ...]
    figures: dict[str, float]


def group_figures(evaluation: Evaluation, keys: Sequence[str]) -> list[Group]:
    """Figures of each group of judged frames, in the order of the keys' values.

    Args:
        evaluation: the judged frames; its threshold is the one that F1 is taken at.
        keys: at least one; several are combined.

    Raises:
        DataError: if no frame has a value of a key.
    """
    judged, classes = evaluation.judged, evaluation.classes
    columns = [_key(evaluation, key) for key in keys]
    positives = [pair.record.label == classes.positive for pair in judged]
    return [
        Group(values, _figures([judged[place] for place in places], evaluation.threshold, evaluation))
        for values, places in group_members(columns, positives).items()
    ]


def group_table(groups: Sequence[Group], keys: Sequence[str], positive: str) -> str:
    """A line per group, as plain text."""
    rows = [[*group.values, *(_cell(group.figures[name]) for name in HEADINGS)] for group in groups]
    headers = [*keys, *(heading.format(positive) for heading in HEADINGS.values())]
    align = ["left"] * len(keys) + ["right"] * len(HEADINGS)
    return tabulate(rows, headers=headers, colalign=align, disable_numparse=True)


def _cell(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return "-" if math.isnan(value) else f"{value:.3f}"


def _figures(members: Sequence[Judged], threshold: float, evaluation: Evaluation) -> dict[str, float]:
    scores, truths = arrays(members, evaluation.classes)
    called = scores >= threshold
    positives = int(truths.sum())
    both = 0 < positives < len(truths)
    found = frame_figures(scores, truths, threshold)
    return {
        "frames": len(truths),
        "videos": len({pair.record.video for pair in members}),
        "positives": positives,
        "called_positive": float(called.mean()),
        "recall": float(called[truths == 1].mean()) if positives else math.nan,
        "false_alarm_rate": float(called[truths == 0].mean()) if positives < len(truths) else math.nan,
        **{name: found[name] if both else math.nan for name in ("auroc", "f1", ORACLE)},
    }


def _key(evaluation: Evaluation, key: str) -> Key:
    records = [pair.record for pair in evaluation.judged]
    own: dict[str, Callable[[FrameRecord], str | None]] = {
        "source": lambda record: record.source,
        "video": lambda record: record.video,
        "label": lambda record: record.label,
        "kind": lambda record: kind_of(record.path, evaluation.index.root),
    }
    values = [own[key](record) if key in own else _value(record, key) for record in records]
    if not any(value is not None for value in values):
        extra = sorted({name for record in records for name in record.extra})
        raise DataError(
            f"no frame has a value of {key!r} to group by; this set has "
            f"{', '.join([*own, *extra])} (source and further columns come from its manifest)"
        )
    if key in own:
        return text_key(values)
    return key_of(key, values, [pair.record.label == evaluation.classes.positive for pair in evaluation.judged])


def kind_of(path: Path, root: Path) -> str | None:
    """The first folder of a frame's path below the set's root; None if it lies in no folder."""
    parts = path.relative_to(root).parts if path.is_relative_to(root) else ()
    return parts[0] if len(parts) > 1 else None


def _value(record: FrameRecord, key: str) -> str | None:
    return known(record.extra.get(key.lower(), ""))
