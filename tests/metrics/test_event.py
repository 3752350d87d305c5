"""Matching of found and true turns."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.metrics.event import Criterion, event_metrics, match_events, pooled


@dataclass(frozen=True)
class Turn:
    start_s: float
    end_s: float


def turns(*pairs: tuple[float, float]) -> list[Turn]:
    return [Turn(*pair) for pair in pairs]


def distance(one: Turn, other: Turn, criterion: str) -> float:
    if criterion == "interval":
        return max(0.0, other.start_s - one.end_s, one.start_s - other.end_s)
    return max(abs(one.start_s - other.start_s), abs(one.end_s - other.end_s))


def error(one: Turn, other: Turn) -> float:
    return abs(one.start_s - other.start_s) + abs(one.end_s - other.end_s)


# Gaps and lengths in 1/16 s.
sides = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 16)), max_size=9)


def side(rows: list[tuple[int, int]]) -> list[Turn]:
    now, events = 0.0, []
    for gap, length in rows:
        start, end = now + gap / 16, now + (gap + length) / 16
        events.append(Turn(start, end))
        now = end
    return events


@given(sides, sides, st.sampled_from(get_args(Criterion)), st.sampled_from([0.0, 0.25, 1.0]))
@settings(max_examples=150, deadline=None)
def test_no_matching_has_more_pairs_or_a_lower_cost(
    one: list[tuple[int, int]], other: list[tuple[int, int]], criterion: Criterion, tolerance: float
) -> None:
    found, true = side(one), side(other)
    pairs = match_events(found, true, tolerance, criterion)
    assert all(distance(found[i], true[j], criterion) <= tolerance for i, j in pairs)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)
    # Of events that do not overlap, some best matching keeps the order: dynamic programming over both orders.
    best: dict[tuple[int, int], tuple[int, float]] = {}
    for i, j in itertools.product(range(len(found) + 1), range(len(true) + 1)):
        options = [(0, 0.0), best.get((i - 1, j), (0, 0.0)), best.get((i, j - 1), (0, 0.0))]
        if i and j and distance(found[i - 1], true[j - 1], criterion) <= tolerance:
            count, cost = best[i - 1, j - 1]
            options.append((count + 1, cost - error(found[i - 1], true[j - 1])))
        best[i, j] = max(options)
    assert len(pairs) == best[len(found), len(true)][0]
    assert sum(error(found[i], true[j]) for i, j in pairs) == pytest.approx(-best[len(found), len(true)][1])


def test_an_event_serves_one_turn_only() -> None:
    joined = event_metrics(turns((0, 5)), turns((0, 2), (3, 5)))
    assert (joined.matched, joined.precision, joined.recall) == (1, 1.0, 0.5)
    split = event_metrics(turns((0, 2), (3, 5)), turns((0, 5)))
    assert (split.matched, split.precision, split.recall, split.f1) == (1, 0.5, 1.0, pytest.approx(2 / 3))


def test_what_the_criteria_compare() -> None:
    found, true = [Turn(1.0, 1.4)], [Turn(1.3, 3.0)]
    assert [len(match_events(found, true, 0.3, criterion)) for criterion in get_args(Criterion)] == [1, 0]
    near = [Turn(1.1, 3.2)]
    assert [len(match_events(near, true, 0.3, criterion)) for criterion in get_args(Criterion)] == [1, 1]
    assert match_events(turns((3.25, 4.0)), true, 0.3) == [(0, 0)], "just after the end"
    assert match_events(turns((3.35, 4.0)), true, 0.3) == []


def test_hand_computed_figures_of_two_recordings() -> None:
    first = event_metrics(turns((1.1, 2.0), (5, 6)), turns((1.0, 2.2), (8, 9), (11, 12)))
    second = event_metrics(turns((4, 5)), turns((4, 5)))
    assert (first.count_error, first.f1) == (1, pytest.approx(0.4))
    both = pooled([first, second, event_metrics(turns((0, 1), (2, 3)), turns((0, 1)))]).as_dict()
    assert (both["matched"], both["found"], both["true"]) == (3, 5, 5)
    assert both["f1"] == pytest.approx(0.6)
    assert both["count_error"] == 2, "one too few and one too many do not make up for one another"
    assert (both["start_error_s"], both["absolute_end_error_s"]) == (0.0, 0.0)


def test_nothing_to_find_and_nothing_found_is_right() -> None:
    nothing = event_metrics([], [])
    assert (nothing.precision, nothing.recall, nothing.f1) == (1.0, 1.0, 1.0)
    assert math.isnan(nothing.as_dict()["start_error_s"])
    assert event_metrics([], turns((0, 1))).f1 == 0.0
    assert pooled([]).f1 == 1.0
