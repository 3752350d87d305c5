"""95% CIs of an evaluation over videos, differences of models on the same frames, threshold and calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import Evaluation, arrays
from flipdetect.metrics.bootstrap import METRICS, RESAMPLES, Estimate, bootstrap_ci, bootstrap_difference
from flipdetect.metrics.calibration import calibration_metrics, reliability
from flipdetect.metrics.threshold import ThresholdCosts, cost_at, threshold_curve


def evaluation_ci(
    evaluation: Evaluation, *, metrics: Sequence[str] = METRICS, resamples: int = RESAMPLES
) -> dict[str, Estimate]:
    """Metrics of an evaluation with their 95% CIs, by name; see `bootstrap_ci`."""
    p, targets, videos = evaluation.arrays()
    return bootstrap_ci(p, targets, videos, evaluation.threshold, metrics=metrics, resamples=resamples)


def difference(
    first: Evaluation,
    second: Evaluation,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
) -> dict[str, Estimate]:
    """Metrics of the second minus those of the first, each at its own threshold; see `bootstrap_difference`.

    Raises:
        DataError: if the two have different classes or scored different frames.
    """
    if first.classes != second.classes:
        raise DataError(f"two models have different classes: {first.classes.names} and {second.classes.names}")
    others = {pair.record.path: pair.probability for pair in second.scored}
    if len(others) != len(first.scored) or any(pair.record.path not in others for pair in first.scored):
        raise DataError(
            f"two models did not score the same frames ({len(first.scored)} and {len(others)}), so that they cannot be "
            "compared video by video"
        )
    p, targets, videos = first.arrays()
    other = np.array([others[pair.record.path] for pair in first.scored])
    thresholds = (first.threshold, second.threshold)
    return bootstrap_difference(p, other, targets, videos, thresholds, metrics=metrics, resamples=resamples)


def decision_facts(evaluation: Evaluation, costs: ThresholdCosts | None = None) -> dict[str, Any]:
    """Calibration, metrics over the threshold, and the cost of errors, as JSON types.

    Returns:
        `calibration` (see `calibration_metrics`), `reliability` by `width` and `mass`, `threshold_curve` (columns
        `threshold`, `f1`, `precision`, `recall`) and `plateau` (see `ThresholdCurve`; both None without a positive
        frame), and with costs `costs` and `cost_per_frame`.
    """
    p, targets = arrays(evaluation.scored, evaluation.classes)
    found: dict[str, Any] = {
        "calibration": calibration_metrics(p, targets),
        "reliability": {how: reliability(p, targets, binning=how).as_dict() for how in ("width", "mass")},
        "threshold_curve": None,
        "plateau": None,
    }
    if targets.any():
        curve = threshold_curve(p, targets)
        names = {"threshold": "thresholds", "f1": "f1", "precision": "precision", "recall": "recall"}
        found["threshold_curve"] = {name: getattr(curve, column).tolist() for name, column in names.items()}
        found["plateau"] = list(curve.plateau)
    if costs is not None:
        found |= {"costs": asdict(costs), "cost_per_frame": cost_at(p, targets, evaluation.threshold, costs)}
    return found


def estimates_as_dict(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    """Value, bounds and number of videos of each, as JSON types."""
    return {name: asdict(each) for name, each in estimates.items()}
