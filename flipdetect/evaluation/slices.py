"""Metrics of slices of a data set: by source, video, folder, phase of the turn, or any column. No torch.

A slice is the frames that share a value of each key. Values of the keys:

- `source`, `video`, `label`: of the record; `kind`: the first folder of the frame's path.
- `phase`, `occlusion`: columns of rendered data sets, in the bins of `BINS`.
- another column of the manifest: its text, or, with many different numbers, quartiles of the positive frames.
- `measured_brightness`, `measured_sharpness`: quartiles, measured on the frames by `with_appearance`.

**Negative frames without a value** (no turn, no phase) belong to every slice that agrees with their
other values. So with h of the m flips of a bin of phases found, and a false positives among all other frames, its F1
is 2h / (h + a + m). Its recall, h / m, is its own; the false positives are those of the whole data set. Slices with few
flips have a low F1 at the same recall: compare recalls or AUROC across slices of unequal size.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from natsort import natsorted
from tabulate import tabulate

from flipdetect.errors import DataError, FrameError
from flipdetect.evaluation.evaluate import ORACLE, Evaluation, ScoredRecord, arrays, metrics_with_oracle
from flipdetect.progress import progress_bar
from flipdetect.records import FrameRecord
from flipdetect.sources.image import decode_frame

HEADINGS = {
    "frames": "frames",
    "videos": "videos",
    "positives": "of them {}",
    "called_positive": "predicted {}",
    "recall": "recall",
    "false_alarm_rate": "false positives",
    "auroc": "AUROC",
    "f1": "F1",
    ORACLE: "best F1 (oracle)",
}
BINS: dict[str, tuple[tuple[float, ...], tuple[str, ...]]] = {
    "phase": ((0.1, 0.9), ("first tenth", "middle", "last tenth")),
    "occlusion": ((1e-6, 0.1), ("no hand", "up to a tenth of the page", "more than a tenth")),
}
"""Edges and names of bins: bin i holds edges[i - 1] <= number < edges[i]."""
NO_VALUE = "(none)"
OWN_KEYS = ("source", "video", "label", "kind")
MAX_TEXT_VALUES = 8
"""A column with more different numbers than this is cut into quartiles."""
BRIGHTNESS, SHARPNESS = "measured_brightness", "measured_sharpness"
MEASURED_SIDE = 384
"""Pixels of the long side at which frames are measured: no model of this package sees finer detail."""


@dataclass(frozen=True)
class Slice:
    """Frames that share a value of each key; metrics (`HEADINGS`) that need both classes are NaN in a slice of one."""

    values: tuple[str, ...]
    metrics: dict[str, float]
    members: tuple[ScoredRecord, ...]


Key = tuple[Sequence[str], Sequence[int | None]]
"""Texts of a key's values in order, and for each frame the position of its own; None for no value."""


def slice_metrics(evaluation: Evaluation, keys: Sequence[str]) -> list[Slice]:
    """Metrics of each slice, in the order of the keys' values; a `DataError` if no frame has a value of a key."""
    positives = [pair.record.label == evaluation.classes.positive for pair in evaluation.scored]
    columns = [_key(evaluation, key, positives) for key in keys]
    members: dict[tuple[int, ...], list[int]] = {}
    everywhere: list[tuple[tuple[int | None, ...], int]] = []

    def filled(places: Sequence[int | None]) -> tuple[int, ...]:
        return tuple(len(names) if place is None else place for place, (names, _) in zip(places, columns, strict=True))

    for position, places in enumerate(zip(*(own for _, own in columns), strict=True)):
        if None in places and not positives[position]:
            everywhere.append((places, position))
        else:
            members.setdefault(filled(places), []).append(position)
    for places, position in everywhere:
        agreeing = [group for group in members if all(a in (None, b) for a, b in zip(places, group, strict=True))]
        for group in agreeing or [filled(places)]:
            members.setdefault(group, []).append(position)
    found = []
    for group in sorted(members):
        values = tuple(
            (*names, NO_VALUE)[place] for place, (names, _) in zip(group, columns, strict=True)
        )  # fmt: skip
        own = tuple(evaluation.scored[place] for place in members[group])
        scores, truths = arrays(own, evaluation.classes)
        called, positive = scores >= evaluation.threshold, truths == 1
        metrics = metrics_with_oracle(scores, truths, evaluation.threshold)
        both = bool(positive.any() and not positive.all())
        shares = {
            "frames": len(own),
            "videos": len({pair.record.video for pair in own}),
            "positives": int(positive.sum()),
            "called_positive": float(called.mean()),
            "recall": float(called[positive].mean()) if positive.any() else math.nan,
            "false_alarm_rate": math.nan if positive.all() else float(called[~positive].mean()),
            **{name: metrics[name] if both else math.nan for name in ("auroc", "f1", ORACLE)},
        }
        found.append(Slice(values, shares, own))
    return found


def slice_table(slices: Sequence[Slice], keys: Sequence[str], positive: str) -> str:
    """A line per slice, as plain text."""

    def cell(value: float) -> str:
        if isinstance(value, int):
            return str(value)
        return "-" if math.isnan(value) else f"{value:.3f}"

    rows = [[*each.values, *(cell(each.metrics[name]) for name in HEADINGS)] for each in slices]
    headers = [*keys, *(heading.format(positive) for heading in HEADINGS.values())]
    align = ["left"] * len(keys) + ["right"] * len(HEADINGS)
    return tabulate(rows, headers=headers, colalign=align, disable_numparse=True)


def slices_as_dicts(slices: Sequence[Slice], keys: Sequence[str]) -> list[dict[str, Any]]:
    """The slices as JSON types."""
    return [
        {"by": list(keys), "group": dict(zip(keys, each.values, strict=True)), **each.metrics} for each in slices
    ]  # fmt: skip


def slice_keys(evaluation: Evaluation, columns: Sequence[str] = ()) -> list[str]:
    """Keys that cut a data set into at least two parts and say more than the label, `columns` of the manifest last."""
    found = []
    for key in dict.fromkeys(("source", "kind", *BINS, SHARPNESS, BRIGHTNESS, *columns)):
        pairs = {(_value(evaluation, pair.record, key), pair.record.label) for pair in evaluation.scored}
        pairs = {pair for pair in pairs if pair[0] is not None}
        values = {value for value, _ in pairs}
        if len(values) > 1 and not len(pairs) == len(values) == 2:
            found.append(key)
    return found


def with_appearance(evaluation: Evaluation) -> Evaluation:
    """The same evaluation with `measured_brightness` and `measured_sharpness` in each record's further columns.

    Brightness is the mean luma, 0 to 1. Sharpness is the contrast of fine detail as a share of all contrast, 0 to 1
    (by comparison with a blurred copy, as in Crete et al., SPIE 6492, 2007); it grows with print on the page, too.
    """

    def measured(pair: ScoredRecord) -> ScoredRecord:
        try:
            frame = decode_frame(pair.record.path, min_size=(MEASURED_SIDE * 9 // 16,) * 2)
        except FrameError:
            return pair
        brightness, sharpness = appearance(frame)
        extra = {**pair.record.extra, BRIGHTNESS: f"{brightness:.4f}", SHARPNESS: f"{sharpness:.4f}"}
        return replace(pair, record=replace(pair.record, extra=extra))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = pool.map(measured, evaluation.scored)
        total = len(evaluation.scored)
        pairs = tuple(progress_bar(found, total=total, desc="measuring", unit="frame", delay=2, leave=False))
    records = {pair.record.path: pair.record for pair in pairs}
    index = replace(evaluation.index, records=tuple(records.get(r.path, r) for r in evaluation.index.records))
    return replace(evaluation, scored=pairs, index=index)


def appearance(frame: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Brightness and sharpness, 0 to 1 (see `with_appearance`), of a frame (H, W, 3) uint8 RGB."""
    grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.float32)
    ratio = MEASURED_SIDE / max(grey.shape)
    size = (max(1, round(grey.shape[1] * ratio)), max(1, round(grey.shape[0] * ratio)))
    grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR))
    fine, contrast = grey - cv2.GaussianBlur(grey, (0, 0), 1.0), float(grey.std())
    return float(grey.mean()) / 255, min(float(fine.std()) / contrast, 1.0) if contrast > 0 else 0.0


def _value(evaluation: Evaluation, record: FrameRecord, key: str) -> str | None:
    """The value of a key as text, None if there is none."""
    if key == "kind":
        text: str | None = None
        if record.path.is_relative_to(evaluation.index.root):
            text, *rest = record.path.relative_to(evaluation.index.root).parts
            text = text if rest else None
    else:
        text = getattr(record, key) if key in OWN_KEYS else record.extra.get(key.lower(), "").strip()
    return None if not text or text.lower() == "nan" else text


def _key(evaluation: Evaluation, key: str, positives: Sequence[bool]) -> Key:
    records = [pair.record for pair in evaluation.scored]
    values = [_value(evaluation, record, key) for record in records]
    if not any(value is not None for value in values):
        extra = sorted({name for record in records for name in record.extra})
        raise DataError(
            f"no frame has a value of {key!r} to group by; this data set has {', '.join([*OWN_KEYS, *extra])} (source "
            "and further columns come from its manifest)"
        )
    numbers: list[float | None] | None = None
    if key not in OWN_KEYS:
        with suppress(ValueError):
            numbers = [None if value is None else float(value) for value in values]
    if numbers is not None and key in BINS:
        return _binned(numbers, *BINS[key])
    if numbers is not None and len(set(values) - {None}) > MAX_TEXT_VALUES:
        of_positives = [n for n, positive in zip(numbers, positives, strict=True) if n is not None and positive]
        basis: Any = of_positives or [n for n in numbers if n is not None]
        edges = sorted({float(edge) for edge in np.quantile(basis, (0.25, 0.5, 0.75))})
        inner = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
        return _binned(numbers, edges, (f"below {edges[0]:.4g}", *inner, f"{edges[-1]:.4g} and more"))
    names: list[str] = natsorted({value for value in values if value is not None})
    positions = {name: place for place, name in enumerate(names)}
    return names, [None if value is None else positions[value] for value in values]


def _binned(numbers: Sequence[float | None], edges: Sequence[float], names: Sequence[str]) -> Key:
    places = [None if n is None else int(np.searchsorted(edges, n, side="right")) for n in numbers]
    return names, places
