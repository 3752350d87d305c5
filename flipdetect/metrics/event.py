"""How well found page turns agree with true ones: one-to-one matching, F1, counts, times.

A pair matches within a tolerance, by one of two criteria:

- "interval", the default: the time between the two intervals, 0 if they overlap. A found event matches one true turn
  only, so joined and split turns cost.
- "boundaries": the larger of the differences of the starts and of the ends, as in sound event detection (Mesaros,
  Heittola and Virtanen, "Metrics for polyphonic sound event detection", 2016).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from flipdetect.records import TimedEvent

TOLERANCE_S = 0.3
Criterion = Literal["interval", "boundaries"]


@dataclass(frozen=True)
class EventMetrics:
    """How well the found events of one or more recordings agree with the true ones.

    Attributes:
        matched: found events that have a true partner.
        count_errors: found less true, by recording.
        start_errors_s, end_errors_s: found less true, of each pair.
    """

    matched: int = 0
    found: int = 0
    true: int = 0
    count_errors: tuple[int, ...] = ()
    start_errors_s: tuple[float, ...] = ()
    end_errors_s: tuple[float, ...] = ()

    @property
    def precision(self) -> float:
        """Share of found events that are true; 1 if none was found, as none is false."""
        return self.matched / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of true events that were found; 1 if there is none."""
        return self.matched / self.true if self.true else 1.0

    @property
    def f1(self) -> float:
        """Twice the matched over all found and all true; 1 if there is neither."""
        return 2 * self.matched / (self.found + self.true) if self.found + self.true else 1.0

    @property
    def count_error(self) -> int:
        """Sum of the recordings' count errors, each without its sign: errors do not make up for one another."""
        return sum(abs(error) for error in self.count_errors)

    def as_dict(self) -> dict[str, float | int]:
        """The metrics by name; medians are NaN without a pair."""
        return {
            "found": self.found,
            "true": self.true,
            "matched": self.matched,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "count_error": self.count_error,
            "start_error_s": _median(self.start_errors_s),
            "end_error_s": _median(self.end_errors_s),
            "absolute_start_error_s": _median(map(abs, self.start_errors_s)),
            "absolute_end_error_s": _median(map(abs, self.end_errors_s)),
        }


def _median(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.median(listed)) if listed else math.nan


def match_events(
    found: Sequence[TimedEvent],
    true: Sequence[TimedEvent],
    tolerance_s: float = TOLERANCE_S,
    criterion: Criterion = "interval",
) -> list[tuple[int, int]]:
    """Match events one to one: as many pairs as possible, and among these choices the one with the nearest ends.

    Returns:
        Indices into `found` and `true` of each pair, in order of `found`.
    """
    starts, ends, true_starts, true_ends = (
        np.array([getattr(event, name) for event in side]) for side in (found, true) for name in ("start_s", "end_s")
    )
    start_errors = np.abs(starts[:, None] - true_starts[None])
    end_errors = np.abs(ends[:, None] - true_ends[None])
    if criterion == "interval":
        gaps = np.maximum(true_starts[None] - ends[:, None], starts[:, None] - true_ends[None])
    else:
        gaps = np.maximum(start_errors, end_errors)
    errors, near = start_errors + end_errors, gaps <= tolerance_s
    # One pair more is worth any errors of all pairs.
    worth = 1.0 + 2 * float(errors[near].sum())
    rows, columns = linear_sum_assignment(np.where(near, errors - worth, 0.0))
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if near[i, j]]


def event_metrics(
    found: Sequence[TimedEvent],
    true: Sequence[TimedEvent],
    tolerance_s: float = TOLERANCE_S,
    criterion: Criterion = "interval",
) -> EventMetrics:
    """The metrics of one recording."""
    pairs = match_events(found, true, tolerance_s, criterion)
    return EventMetrics(
        matched=len(pairs),
        found=len(found),
        true=len(true),
        count_errors=(len(found) - len(true),),
        start_errors_s=tuple(found[i].start_s - true[j].start_s for i, j in pairs),
        end_errors_s=tuple(found[i].end_s - true[j].end_s for i, j in pairs),
    )


def pooled(metrics: Iterable[EventMetrics]) -> EventMetrics:
    """The metrics of several recordings together: every event counts once, whichever recording it is from."""
    listed = list(metrics)
    # Numbers are added and tuples joined, from the fields of empty metrics on.
    sums: dict[str, Any] = {
        name: sum((getattr(each, name) for each in listed), start=empty) for name, empty in vars(EventMetrics()).items()
    }
    return EventMetrics(**sums)
