"""What an evaluation tells of the threshold and of the probabilities: how much depends on them, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import Evaluation, arrays
from flipdetect.metrics.calibration import calibration_figures, reliability
from flipdetect.metrics.threshold import ThresholdCosts, cheapest_threshold, cost_at, threshold_curve


def decision_facts(evaluation: Evaluation, costs: ThresholdCosts | None = None) -> dict[str, Any]:
    """Calibration, the curve of F1 over the threshold, and the cost of mistakes, as JSON types.

    Args:
        evaluation: the judged frames.
        costs: of mistakes; None leaves the cost out.

    Returns:
        `calibration` (see `calibration_figures`), `reliability` by `width` and `mass`, `threshold_curve` (columns
        `threshold`, `f1`, `precision`, `recall`) and `plateau` (see `ThresholdCurve`; both null without a positive
        frame), and, with costs, `costs` and `cost_per_frame`.
    """
    probabilities, targets = arrays(evaluation.judged, evaluation.classes)
    found: dict[str, Any] = {
        "calibration": calibration_figures(probabilities, targets),
        "reliability": {how: reliability(probabilities, targets, binning=how).as_dict() for how in ("width", "mass")},
        "threshold_curve": None,
        "plateau": None,
    }
    if targets.any():
        curve = threshold_curve(probabilities, targets)
        names = {"threshold": "thresholds", "f1": "f1", "precision": "precision", "recall": "recall"}
        found["threshold_curve"] = {name: getattr(curve, column).tolist() for name, column in names.items()}
        found["plateau"] = list(curve.plateau)
    if costs is not None:
        found["costs"] = asdict(costs)
        found["cost_per_frame"] = cost_at(probabilities, targets, evaluation.threshold, costs)
    return found


def decision_table(
    results: Sequence[tuple[str, str, Evaluation]], facts: Sequence[dict[str, Any]], costs: ThresholdCosts | None
) -> str:
    """A line per model and set: where the threshold may lie, and how far probabilities are from frequencies.

    Args:
        results: name of the model, of the set, and what was found.
        facts: of each, as `decision_facts` gives them.
        costs: of mistakes, for one more column.
    """
    rows = []
    for (model, folder, evaluation), each in zip(results, facts, strict=True):
        low, high = each["plateau"] or (float("nan"), float("nan"))
        calibration = [each["calibration"][name] for name in ("ece", "ece_equal_mass", "brier")]
        cost = [] if costs is None else [each["cost_per_frame"]]
        rows.append([model, folder, evaluation.threshold, f"{low:.3f} to {high:.3f}", *calibration, *cost])
    headers = ["model", "frames of", "threshold", "F1 within 0.01 of its best", "ECE", "ECE (equal mass)", "Brier"]
    return tabulate(rows, headers=headers + ([] if costs is None else ["cost per frame"]), floatfmt=".3f")


def cheapest(evaluation: Evaluation, costs: ThresholdCosts) -> float:
    """The threshold with the lowest cost on a validation side.

    Raises:
        DataError: if none of its frames is positive.
    """
    try:
        return cheapest_threshold(*arrays(evaluation.judged, evaluation.classes), costs).threshold
    except ValueError as error:
        raise DataError(f"no threshold can be chosen on {evaluation.index.root}: {error}") from error
