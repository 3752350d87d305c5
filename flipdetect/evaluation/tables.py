"""Evaluations as files: every frame's score as CSV, every figure as JSON. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipdetect.atomic import write_csv, write_text

if TYPE_CHECKING:
    from flipdetect.evaluation.evaluate import Evaluation
    from flipdetect.evaluation.slices import Group

COLUMNS = ("model", "set", "path", "video", "frame", "source", "truth", "probability", "label", "error")


def write_predictions(path: Path, evaluations: Iterable[tuple[str, str, Evaluation]]) -> None:
    """Write one row per model, set and frame, atomically; `label` is the predicted class, `truth` the real one.

    Args:
        path: the CSV file.
        evaluations: each with the names of its model and its set.

    Raises:
        OSError: if the file cannot be written.
    """
    rows = (row for model, name, each in evaluations for row in _rows(model, name, each))
    write_csv(path, COLUMNS, rows)


def _rows(model: str, name: str, evaluation: Evaluation) -> Iterator[tuple[object, ...]]:
    for record, score in evaluation.all_frames():
        yield (
            model, name, score.path, record.video, "" if record.frame is None else record.frame, record.source or "",
            record.label, "" if score.probability is None else f"{score.probability:.6f}", score.label or "",
            score.error,
        )  # fmt: skip


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
