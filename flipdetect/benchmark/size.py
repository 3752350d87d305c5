"""Part `size`: the models that ship, whole and smaller: bytes, memory, latency, F1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from flipdetect.benchmark.figure import Aim, Figure, Findings
from flipdetect.benchmark.footage import labelled_frames, one_frame
from flipdetect.benchmark.models import LabelledSet, ModelRow, divide, labelled_set, model_rows, row_table
from flipdetect.benchmark.running import Workplace
from flipdetect.zoo import SHIPPED

SIZE_AIMS_MB = {
    ("tiny_cnn", "float32"): 0.6,
    ("mobilenet_v2", "float32"): 10.0,
    ("mobilenet_v2", "int8"): 3.0,
}
INT8_SHARE, F1_LOSS = 0.3, 0.01


def measure(work: Workplace, labelled: Sequence[Path] = ()) -> Findings:
    """See the module.

    Args:
        work: where to work.
        labelled: sets to judge on beside the rendered one that is made here.
    """
    calibration, rendered = divide(labelled_set(labelled_frames(work)))
    rendered = LabelledSet("rendered", rendered.index)
    judged = [rendered, *(labelled_set(folder) for folder in labelled)]
    names = work.choose(tuple(SHIPPED), ("tiny_cnn",))
    rows = model_rows(work, judged, calibration, one_frame(work), names)
    return Findings(_figures(rows), (row_table(rows),), {"models": [asdict(row) for row in rows]})


def _figures(rows: Sequence[ModelRow]) -> list[Figure]:
    figures = []
    whole = {row.model: row for row in rows if row.precision == "float32"}
    for row in rows:
        goal = SIZE_AIMS_MB.get((row.model, row.precision))
        if goal is not None:
            figures.append(Figure(f"{row.model}, {row.precision}", row.file_bytes / 1e6, "MB", "below", goal))
        if row.precision != "int8":
            continue
        before = whole[row.model]
        share = row.file_bytes / before.file_bytes
        figures.append(Figure(f"{row.model}, int8: size against float32", share, "", "below", INT8_SHARE))
        figures.append(
            Figure(f"{row.model}, int8: latency against float32, p50", row.p50_ms / before.p50_ms, "", "", 0.0)
        )
        for name, f1 in row.f1.items():
            aim: Aim = "below"
            loss = before.f1[name] - f1
            note = f"{before.f1[name]:.4f} before, {f1:.4f} after"
            figures.append(Figure(f"{row.model}, int8: loss of F1, {name}", loss, "", aim, F1_LOSS, note))
    return figures
