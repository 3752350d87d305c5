"""How well found turns agree with true ones: one-to-one matching, F1, counts, times, delay.

What "within a tolerance" compares is one of `CRITERIA`:

- "interval": the time between the two intervals, 0 if they overlap. It asks whether each turn was found once, as a
  count of turns needs: a found event serves one true turn only, so joined and split turns cost. The default.
- "boundaries": the greater of the differences of the starts and of the ends: the strict reading, as in sound event
  detection (Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", 2016).
- "peak": the time between the peaks; for detectors that report moments, such as cuts. The peak of a slow turn is
  not well defined: even faultless scores may miss it by more than the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

TOLERANCE_S = 0.3
CRITERIA = ("interval", "boundaries", "peak")


class TimedEvent(Protocol):
    """An event with three times in seconds: found, true, rendered."""

    @property
    def start_s(self) -> float:
        """Second at which it begins."""

    @property
    def peak_s(self) -> float:
        """Second at which it is most of all an event."""

    @property
    def end_s(self) -> float:
        """Second at which it ends."""


@dataclass(frozen=True)
class EventMetrics:
    """How well the found events of one or more recordings agree with the true ones.

    Attributes:
        matched: found events that have a true partner.
        found, true: numbers of events.
        count_errors: found less true, by recording.
        start_errors_s, end_errors_s: found less true, of each pair.
        delays_s: from the true end to the report, of each pair; empty if reports have no times.
    """

    matched: int = 0
    found: int = 0
    true: int = 0
    count_errors: tuple[int, ...] = ()
    start_errors_s: tuple[float, ...] = ()
    end_errors_s: tuple[float, ...] = ()
    delays_s: tuple[float, ...] = ()

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
        """The figures by name; medians are NaN without a pair."""
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
            "delay_s": _median(self.delays_s),
        }


def _median(values: Iterable[float]) -> float:
    listed = list(values)
    return float(np.median(listed)) if listed else math.nan


def match_events(
    found: Sequence[TimedEvent],
    true: Sequence[TimedEvent],
    tolerance_s: float = TOLERANCE_S,
    criterion: str = "interval",
) -> list[tuple[int, int]]:
    """Match events one to one: as many pairs as there can be, and of these choices the nearest in sum.

    Events of one side do not overlap, so some best matching keeps the order of time, and dynamic programming over
    the two orders finds it; only events that are linked by pairs within the tolerance are looked at together.

    Args:
        found: in order of time, not overlapping.
        true: likewise.
        tolerance_s: seconds that a pair may be apart.
        criterion: what is compared, one of `CRITERIA`.

    Returns:
        Indices into `found` and `true` of each pair, in order of time.

    Raises:
        ValueError: if a side is not in order or overlaps, the criterion is unknown, or the tolerance below 0.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {', '.join(CRITERIA)}, got {criterion!r}")
    if not tolerance_s >= 0:
        raise ValueError(f"the tolerance must be 0 or more seconds, got {tolerance_s}")
    _check_order(found, "found")
    _check_order(true, "true")
    pairs: list[tuple[int, int]] = []
    for links in _groups(found, true, tolerance_s, criterion):
        pairs += _best_matching(links)
    return pairs


def _check_order(events: Sequence[TimedEvent], side: str) -> None:
    for number, event in enumerate(events, 1):
        if not event.start_s <= event.peak_s <= event.end_s:
            raise ValueError(
                f"{side} event {number} has start, peak and end at {event.start_s:g}, {event.peak_s:g} and "
                f"{event.end_s:g} s, which is not in order"
            )
    for number, (before, after) in enumerate(pairwise(events), 1):
        if after.start_s < before.end_s:
            raise ValueError(
                f"{side} events {number} and {number + 1} overlap or are out of order: one ends at "
                f"{before.end_s:g} s, the next begins at {after.start_s:g} s"
            )


def _distance(one: TimedEvent, other: TimedEvent, criterion: str) -> float:
    if criterion == "interval":
        return max(0.0, other.start_s - one.end_s, one.start_s - other.end_s)
    if criterion == "boundaries":
        return max(abs(one.start_s - other.start_s), abs(one.end_s - other.end_s))
    return abs(one.peak_s - other.peak_s)


def _tie_breaker(one: TimedEvent, other: TimedEvent) -> float:
    return abs(one.start_s - other.start_s) + abs(one.end_s - other.end_s)


Links = dict[tuple[int, int], float]


def _groups(
    found: Sequence[TimedEvent], true: Sequence[TimedEvent], tolerance_s: float, criterion: str
) -> Iterable[Links]:
    """The pairs within the tolerance, with their cost, in groups that share no event."""
    group: Links = {}
    last, begin = -1, 0
    for place, event in enumerate(found):
        # Whatever the criterion, a pair within the tolerance has intervals no farther apart than that.
        while begin < len(true) and true[begin].end_s + tolerance_s < event.start_s:
            begin += 1
        if begin > last and group:
            yield group
            group = {}
        for other in range(begin, len(true)):
            if true[other].start_s - tolerance_s > event.end_s:
                break
            if _distance(event, true[other], criterion) <= tolerance_s:
                group[place, other] = _tie_breaker(event, true[other])
                last = max(last, other)
    if group:
        yield group


def _best_matching(links: Links) -> list[tuple[int, int]]:
    """The order-keeping matching with most pairs, and of these the one with the least cost."""
    rows, columns = (sorted({pair[side] for pair in links}) for side in (0, 1))
    # best[i][j]: pairs and negative cost of the first i rows and j columns.
    best = [[(0, 0.0)] * (len(columns) + 1) for _ in range(len(rows) + 1)]
    for i, row in enumerate(rows, 1):
        for j, column in enumerate(columns, 1):
            best[i][j] = max(best[i - 1][j], best[i][j - 1])
            if (row, column) in links:
                best[i][j] = max(best[i][j], _joined(best[i - 1][j - 1], links[row, column]))
    pairs, i, j = [], len(rows), len(columns)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            pairs.append((rows[i - 1], columns[j - 1]))
            i, j = i - 1, j - 1
    return pairs[::-1]


def _joined(before: tuple[int, float], cost: float) -> tuple[int, float]:
    return before[0] + 1, before[1] - cost


def event_metrics(
    found: Sequence[TimedEvent],
    true: Sequence[TimedEvent],
    tolerance_s: float = TOLERANCE_S,
    criterion: str = "interval",
    reported_s: Sequence[float] | None = None,
) -> EventMetrics:
    """The figures of one recording.

    Args:
        found: in order of time, not overlapping.
        true: likewise.
        tolerance_s: seconds that a pair may be apart.
        criterion: what is compared, one of `CRITERIA`.
        reported_s: second at which each found event was reported, if the detector was live.

    Raises:
        ValueError: as `match_events` does, or if there is not one time of report per found event.
    """
    if reported_s is not None and len(reported_s) != len(found):
        raise ValueError(f"{len(found)} found events have {len(reported_s)} times of report; give one for each")
    pairs = match_events(found, true, tolerance_s, criterion)
    return EventMetrics(
        matched=len(pairs),
        found=len(found),
        true=len(true),
        count_errors=(len(found) - len(true),),
        start_errors_s=tuple(found[i].start_s - true[j].start_s for i, j in pairs),
        end_errors_s=tuple(found[i].end_s - true[j].end_s for i, j in pairs),
        delays_s=() if reported_s is None else tuple(reported_s[i] - true[j].end_s for i, j in pairs),
    )


def pooled(figures: Iterable[EventMetrics]) -> EventMetrics:
    """The figures of several recordings together: every event counts once, whichever recording it is from."""
    listed = list(figures)
    return EventMetrics(
        matched=sum(each.matched for each in listed),
        found=sum(each.found for each in listed),
        true=sum(each.true for each in listed),
        count_errors=tuple(error for each in listed for error in each.count_errors),
        start_errors_s=tuple(error for each in listed for error in each.start_errors_s),
        end_errors_s=tuple(error for each in listed for error in each.end_errors_s),
        delays_s=tuple(delay for each in listed for delay in each.delays_s),
    )
