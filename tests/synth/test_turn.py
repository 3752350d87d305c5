from __future__ import annotations

import numpy as np
import pytest

from flipdetect.synth.turn import BEHAVIOURS, MOST_SHEETS, Turn, shape_turn


def turns(behaviour: str, count: int = 40) -> list[Turn]:
    return [shape_turn(np.random.default_rng(seed), behaviour, 1.0) for seed in range(count)]


def phases(turn: Turn) -> np.ndarray:
    return np.array([turn.phase(time) for time in np.linspace(0.9, turn.end + 0.1, 400)])


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_turn_runs_without_jumps_from_rest_to_rest(behaviour: str) -> None:
    for turn in turns(behaviour):
        run = phases(turn)
        assert (turn.start, run[0], run[-1]) == (1.0, 0.0, float(behaviour != "fall_back"))
        assert ((run >= 0) & (run <= 1)).all()
        assert np.abs(np.diff(run)).max() < 0.03
        assert turn.completed == (behaviour != "fall_back")


def test_a_hesitating_sheet_stands_for_a_while_before_it_goes_on() -> None:
    for turn in turns("hesitation"):
        times = np.arange(turn.start, turn.end, 0.01)
        run = np.array([turn.phase(time) for time in times])
        standing = (run > 0.2) & (run < 0.8) & (np.abs(np.gradient(run, 0.01)) < 0.3)
        assert standing.sum() * 0.01 > 0.3


def test_flicks_are_short_and_slow_turns_long() -> None:
    lengths = {name: [turn.end - turn.start for turn in turns(name)] for name in ("flick", "simple", "slow")}
    assert min(lengths["flick"]) >= 0.25
    assert max(lengths["flick"]) <= 0.4 < min(lengths["simple"])
    assert max(lengths["simple"]) < 2 <= min(lengths["slow"])
    assert max(lengths["slow"]) <= 3


def test_sheets_turned_together_follow_one_another_and_land_together() -> None:
    found = turns("several")
    assert {turn.sheets for turn in found} == set(range(2, MOST_SHEETS + 1))
    for turn in found:
        run = np.array([turn.phases(time) for time in np.linspace(turn.start, turn.end, 50)])
        assert (np.diff(run[1:-1], axis=1) < 0).all()
        assert (np.diff(run, axis=0) >= 0).all()
        assert set(run[0]) == {0.0}
        assert set(run[-1]) == {1.0}
