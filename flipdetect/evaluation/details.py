"""What is told of evaluations beside their figures: intervals, threshold and calibration, differences of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tabulate import tabulate

from flipdetect.evaluation.evaluate import Evaluation
from flipdetect.evaluation.thresholds import decision_facts, decision_table
from flipdetect.evaluation.uncertainty import Difference, differences, evaluation_intervals, intervals_as_dict
from flipdetect.metrics.bootstrap import Estimate
from flipdetect.metrics.threshold import ThresholdCosts

HEADLINES = ("auroc", "average_precision", "f1", "f1_at_0.5")
"""Figures that are shown with their intervals."""

Results = Sequence[tuple[str, str, Evaluation]]


@dataclass(frozen=True)
class Details:
    """What is known beside the figures of evaluations.

    Attributes:
        results: name of the model, of the set, and what was found.
        intervals: of each result's figures, by name; empty without resamples.
        facts: of each result's threshold and probabilities; see `decision_facts`.
        differences: of further models from the first one of a set; none without resamples.
        costs: of mistakes, if they were given.
    """

    results: Results
    intervals: tuple[dict[str, Estimate], ...]
    facts: tuple[dict[str, Any], ...]
    differences: tuple[Difference, ...]
    costs: ThresholdCosts | None

    def figure(self, place: int, name: str) -> str | float:
        """A figure of one result as a table shows it, with its interval if it is a headline."""
        if name in HEADLINES and name in self.intervals[place]:
            return self.intervals[place][name].text()
        return self.results[place][2].metrics[name]

    def tables(self) -> str:
        """Thresholds and calibration of each result; differences, if there are any."""
        tables = [decision_table(self.results, self.facts, self.costs)]
        if self.differences:
            rows = [
                [
                    each.model,
                    f"less {each.base}",
                    each.folder,
                    *(each.intervals[n].text(signed=True) for n in HEADLINES),
                ]
                for each in self.differences
            ]
            tables.append(tabulate(rows, headers=["difference of", "", "frames of", *HEADLINES]))
        return "\n\n".join(tables)

    def as_dict(self, place: int) -> dict[str, Any]:
        """What is told of one result, as JSON types."""
        model, folder, _ = self.results[place]
        own = [each.as_dict() for each in self.differences if (each.model, each.folder) == (model, folder)]
        return {"intervals": intervals_as_dict(self.intervals[place]), **self.facts[place], "differences": own}


def detail(results: Results, resamples: int, costs: ThresholdCosts | None = None) -> Details:
    """Look closer at evaluations.

    Args:
        results: name of the model, of the set, and what was found.
        resamples: draws of videos for intervals; 0 for none.
        costs: of mistakes, to tell what they cost.
    """
    return Details(
        results,
        tuple(evaluation_intervals(each, resamples=resamples) if resamples else {} for _, _, each in results),
        tuple(decision_facts(each, costs) for _, _, each in results),
        tuple(differences(results, resamples=resamples)) if resamples else (),
        costs,
    )
