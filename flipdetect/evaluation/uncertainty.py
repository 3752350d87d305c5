"""Evaluations with 95% CIs over videos, differences of models on the same frames, threshold and calibration."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from tabulate import tabulate

from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import Evaluation, Results, arrays
from flipdetect.metrics.bootstrap import METRICS, RESAMPLES, Estimate, bootstrap_ci, bootstrap_difference
from flipdetect.metrics.calibration import calibration_metrics, reliability
from flipdetect.metrics.threshold import ThresholdCosts, choose_threshold, cost_at, threshold_curve

HEADLINES = ("auroc", "average_precision", "f1", "f1_at_0.5")
"""Metrics that tables show with their 95% CI."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Difference:
    """Metrics of `model` minus those of `base` on the data set `data_set`, paired by video."""

    model: str
    base: str
    data_set: str
    metrics: Mapping[str, Estimate]

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        found = estimates_as_dict(self.metrics)
        return {"model": self.model, "base": self.base, "set": self.data_set, "differences": found}


def evaluation_ci(
    evaluation: Evaluation, *, metrics: Sequence[str] = METRICS, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, Estimate]:
    """Metrics of an evaluation with their 95% CIs, by name; see `bootstrap_ci`."""
    p, targets, videos = evaluation.arrays()
    return bootstrap_ci(
        p, targets, videos, evaluation.threshold, metrics=metrics, resamples=resamples, seed=seed
    )  # fmt: skip


def difference(
    first: Evaluation,
    second: Evaluation,
    *,
    metrics: Sequence[str] = METRICS,
    resamples: int = RESAMPLES,
    seed: int = 0,
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
    return bootstrap_difference(
        p, other, targets, videos, thresholds, metrics=metrics, resamples=resamples, seed=seed
    )  # fmt: skip


def differences(results: Results, *, resamples: int = RESAMPLES) -> list[Difference]:
    """Differences of each data set's further models from its first one.

    Models that scored different frames (each the test split of its own training, say) are left out with a warning.
    """
    firsts: dict[str, tuple[str, Evaluation]] = {}
    found = []
    for model, data_set, evaluation in results:
        base, other = firsts.setdefault(data_set, (model, evaluation))
        if other is not evaluation and model != base:
            try:
                found.append(Difference(model, base, data_set, difference(other, evaluation, resamples=resamples)))
            except DataError as error:
                logger.warning("%s is not compared with %s: %s", model, base, error)
    return found


def difference_table(found: Sequence[Difference]) -> str:
    """A line per difference."""
    rows = [
        [each.model, f"minus {each.base}", each.data_set, *(each.metrics[n].text(signed=True) for n in HEADLINES)]
        for each in found
    ]
    return tabulate(rows, headers=["difference of", "", "data set", *HEADLINES])


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


def decision_table(results: Results, facts: Sequence[dict[str, Any]]) -> str:
    """A line per model and data set: threshold, its range without loss of F1, calibration, cost per frame if known."""
    rows = []
    for (model, data_set, evaluation), each in zip(results, facts, strict=True):
        low, high = each["plateau"] or (float("nan"), float("nan"))
        row = [model, data_set, evaluation.threshold, f"{low:.3f} to {high:.3f}"]
        row += [each["calibration"][name] for name in ("ece", "ece_equal_mass", "brier")]
        rows.append([*row, each["cost_per_frame"]] if "costs" in each else row)
    headers = ["model", "data set", "threshold", "F1 within 0.01 of its best", "ECE", "ECE (equal mass)", "Brier"]
    return tabulate(rows, headers=[*headers, "cost per frame"][: len(rows[0])], floatfmt=".3f")


def cheapest(validation: Evaluation, costs: ThresholdCosts) -> float:
    """The threshold with the lowest cost on a validation split.

    Raises:
        DataError: if none of its frames is positive.
    """
    try:
        return choose_threshold(*arrays(validation.scored, validation.classes), costs).threshold
    except ValueError as error:
        raise DataError(f"no threshold can be chosen on {validation.index.root}: {error}") from error


def estimates_as_dict(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, Any]]:
    """Value, bounds and number of videos of each, as JSON types."""
    return {name: asdict(each) for name, each in estimates.items()}
