"""Evaluations as files: every frame's score as CSV, every figure as JSON. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipdetect.atomic import write_csv, write_text
from flipdetect.outputs.predictions import COLUMNS, prediction_cells

if TYPE_CHECKING:
    from flipdetect.evaluation.evaluate import Evaluation
    from flipdetect.evaluation.slices import Group

FURTHER_COLUMNS = ("model", "set", "source", "truth")


def write_predictions(path: Path, evaluations: Iterable[tuple[str, str, Evaluation]]) -> None:
    """Write one row per model, set and frame, atomically; `label` is the predicted class, `truth` the real one.

    Args:
        path: the CSV file.
        evaluations: each with the names of its model and its set.

    Raises:
        OSError: if the file cannot be written.
    """
    rows = []
    for model, name, each in evaluations:
        for record, score in each.all_frames():
            cells = prediction_cells(replace(score, video=record.video, frame=record.frame))
            rows.append((*cells, model, name, record.source or "", record.label))
    write_csv(path, (*COLUMNS, *FURTHER_COLUMNS), rows)


def evaluation_as_dict(
    model: str, name: str, evaluation: Evaluation, groups: Mapping[tuple[str, ...], Sequence[Group]]
) -> dict[str, Any]:
    """All figures of one model on one set as JSON types.

    Args:
        model: its name.
        name: of the set.
        evaluation: the judged frames.
        groups: figures of parts of the set, by the keys they were made by.
    """
    return {
        "model": model,
        "set": name,
        "frames": len(evaluation.judged),
        "unreadable": len(evaluation.failed),
        "videos": evaluation.videos,
        "threshold": evaluation.threshold,
        **evaluation.metrics,
        "groups": [
            {"by": list(keys), "group": dict(zip(keys, group.values, strict=True)), **group.figures}
            for keys, found in groups.items()
            for group in found
        ],
    }


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON, atomically; NaN becomes null.

    Raises:
        OSError: if the file cannot be written.
    """
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """A nested value as strict JSON types: NaN and infinity, which JSON lacks, become null.

    Numbers keep six decimals: what lies beyond depends on the machine.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
