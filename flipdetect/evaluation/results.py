"""Models evaluated on data sets: a result for each pair, and all of them as tables, JSON and images of mistakes."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tabulate import tabulate

from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import (
    ORACLE,
    SPLIT_FILE,
    Evaluation,
    arrays,
    decision_facts,
    difference,
    estimates_as_dict,
    evaluate_folder,
    evaluation_ci,
)
from flipdetect.evaluation.robustness import Corruptions, Robustness, measure_robustness
from flipdetect.evaluation.slices import slice_metrics, slice_table, slices_as_dicts
from flipdetect.evaluation.spot_check import plot_worst_mistakes
from flipdetect.evaluation.videos import ClipEvaluation, clip_table, evaluate_clips
from flipdetect.inference.model import Model
from flipdetect.metrics.bootstrap import RESAMPLES, Estimate
from flipdetect.metrics.threshold import ThresholdCosts, choose_threshold
from flipdetect.outputs.plots.canvas import save_figure

HEADLINES = ("auroc", "average_precision", "f1", "f1_at_0.5")
"""Metrics that tables show with their 95% CI."""
METRICS = (*HEADLINES, ORACLE, "precision", "recall", "accuracy")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """Which labelled frames models are evaluated on; with a split, thresholds can be chosen on its val frames.

    Attributes:
        split: "train", "val" or "test" of the model's training; None for all frames.
        split_file: of that split; None: the one next to the model.
    """

    manifest: Path | None = None
    split: str | None = None
    split_file: Path | None = None

    def of(self, model: Model) -> dict[str, Any]:
        """Keyword arguments of `select_frames` for a model."""
        beside = None if self.split is None else model.path.with_name(SPLIT_FILE)
        return {"manifest": self.manifest, "split": self.split, "split_file": self.split_file or beside}

    def evaluate_validation(self, model: Model, folder: Path) -> Evaluation | None:
        """A model on the frames that its thresholds are chosen on; None if there are none."""
        return evaluate_folder(model, folder, **{**self.of(model), "split": "val"}) if self.split else None


@dataclass(frozen=True)
class Result:
    """What was measured of a model on a data set.

    Attributes:
        facts: calibration and so on, see `decision_facts`.
        ci: 95% CIs of metrics by name; empty if there are none.
        base: the first model on this data set, if it is another one.
        differences: metrics minus those of `base`, paired by video.
    """

    model: str
    data_set: str
    evaluation: Evaluation
    facts: dict[str, Any]
    ci: Mapping[str, Estimate]
    clips: ClipEvaluation | None = None
    robustness: Robustness | None = None
    base: str | None = None
    differences: Mapping[str, Estimate] | None = None

    @property
    def title(self) -> str:
        """For tables about it."""
        return f"{self.model} on {self.data_set}"

    def as_dict(self, slices: Sequence[Sequence[str]] = ()) -> dict[str, Any]:
        """All of it as JSON types, with metrics by the keys of each of `slices`."""
        named = {"model": self.model, "base": self.base, "set": self.data_set}
        found: dict[str, Any] = {
            **self.evaluation.as_dict(self.model, self.data_set),
            "groups": [row for keys in slices for row in slices_as_dicts(slice_metrics(self.evaluation, keys), keys)],
            "ci": estimates_as_dict(self.ci),
            **self.facts,
            "differences": [named | {"differences": estimates_as_dict(self.differences)}] if self.differences else [],
        }
        found |= {"clips": self.clips.as_dict()} if self.clips else {}
        return found | ({"robustness": self.robustness.as_dict()} if self.robustness else {})


def evaluate_models(
    models: Mapping[str, Model], folder: Path, selection: Selection, *, threshold: float | None = None,
    costs: ThresholdCosts | None = None,
) -> list[tuple[str, str, Evaluation]]:  # fmt: skip
    """Evaluate models on a data set; returns name, data set and evaluation of each.

    With costs of errors, thresholds are those with the lowest cost on the validation frames, if there are any.

    Raises:
        DataError: if no frame can be used, or none of the validation frames is positive.
    """
    found = {}
    for name, model in models.items():
        own = threshold
        validation = None if costs is None else selection.evaluate_validation(model, folder)
        if costs is not None and validation is not None:
            try:
                own = choose_threshold(*arrays(validation.scored, validation.classes), costs).threshold
            except ValueError as error:
                raise DataError(f"no threshold can be chosen on {validation.index.root}: {error}") from error
        found[name] = evaluate_folder(model, folder, threshold=own, **selection.of(model))
        for score in found[name].failed:
            logger.warning("left out: %s", score.error)
    return [(name, str(folder), each) for name, each in found.items()]


def measure(
    evaluations: Sequence[tuple[str, str, Evaluation]], models: Mapping[str, Model], selection: Selection, *,
    resamples: int = RESAMPLES, costs: ThresholdCosts | None = None, clips: bool = False,
    corruptions: Corruptions | None = None,
) -> list[Result]:  # fmt: skip
    """Measure what evaluations show.

    Models that scored other frames than the first one on their data set (each the test split of its own training, say)
    are not compared with it, with a warning.

    Args:
        models: by name.
        resamples: bootstrap draws of videos; 0: no CIs and no differences.
        clips: whether decisions about whole videos are evaluated; the threshold is from the validation frames, if any.
    """
    results: list[Result] = []
    firsts: dict[str, tuple[str, Evaluation]] = {}
    for name, folder, each in evaluations:
        ci = evaluation_ci(each, resamples=resamples) if resamples else {}
        result = Result(name, folder, each, decision_facts(each, costs), ci)
        if clips:
            chosen_on = selection.evaluate_validation(models[name], Path(folder)) if name in models else None
            result = replace(result, clips=evaluate_clips(each, chosen_on))
        if corruptions:
            robustness = measure_robustness(models[name], each.index, corruptions, each.threshold)
            result = replace(result, robustness=robustness)
        base, first = firsts.setdefault(folder, (name, each))
        if resamples and name != base:
            try:
                result = replace(result, base=base, differences=difference(first, each, resamples=resamples))
            except DataError as error:
                logger.warning("%s is not compared with %s: %s", name, base, error)
        results.append(result)
    return results


def result_tables(results: Sequence[Result], slices: Sequence[Sequence[str]] = ()) -> str:
    """All results as text: the details of each, and tables with a line for each."""
    parts = []
    for each in results:
        for keys in slices:
            table = slice_table(slice_metrics(each.evaluation, keys), keys, each.evaluation.classes.positive)
            parts.append(f"{each.title}, by {' and '.join(keys)}\n{table}")
        if each.robustness:
            parts.append(f"{each.title}, corrupted frames\n{each.robustness.table()}")
    if clips := [(each.model, each.data_set, each.clips) for each in results if each.clips]:
        parts.append(clip_table(clips))
    rows = []
    for each in results:
        of = each.evaluation
        shown = [each.ci[name].text() if name in HEADLINES and each.ci else of.metrics[name] for name in METRICS]
        rows.append([each.model, each.data_set, len(of.scored), of.videos, of.threshold, *shown])
    headers = ["model", "data set", "frames", "videos", "threshold", *METRICS]
    parts.append(tabulate(rows, headers=headers, floatfmt=".3f").replace(ORACLE, "best F1, oracle"))
    decisions: list[list[object]] = []
    for each in results:
        low, high = each.facts["plateau"] or (float("nan"), float("nan"))
        errors = [each.facts["calibration"][name] for name in ("ece", "brier")]
        cost = [each.facts["cost_per_frame"]] if "costs" in each.facts else []
        span = f"{low:.3f} to {high:.3f}"
        decisions.append([each.model, each.data_set, each.evaluation.threshold, span, *errors, *cost])
    headers = ["model", "data set", "threshold", "F1 within 0.01 of its best", "ECE", "Brier"]
    parts.append(tabulate(decisions, headers=[*headers, "cost per frame"][: len(decisions[0])], floatfmt=".3f"))
    rows = [
        [r.model, f"minus {r.base}", r.data_set, *(r.differences[name].text(signed=True) for name in HEADLINES)]
        for r in results if r.differences
    ]  # fmt: skip
    if rows:
        parts.append(tabulate(rows, headers=["difference of", "", "data set", *HEADLINES]))
    return "\n\n".join(parts)


def draw_mistakes(path: Path, results: Sequence[Result], count: int) -> None:
    """Draw the most confident mistakes of each result; several images are numbered."""
    for number, each in enumerate(results, start=1):
        own = path if len(results) == 1 else path.with_stem(f"{path.stem}-{number}")
        save_figure(plot_worst_mistakes(each.evaluation, count), own)
        logger.info("The picture of %s is %s", each.title, own)
