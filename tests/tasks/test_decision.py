"""Threshold and temperature, chosen together on a validation side."""

import logging

import numpy as np
import pytest
import torch
from scipy.special import expit

from flipdetect.errors import ConfigError
from flipdetect.metrics.threshold import choose_threshold
from flipdetect.tasks import TinyCNNClassifier
from flipdetect.tasks.decision import Decision, choose_decision, read_costs


def boasting() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities three times as sure, in logits, as they should be."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, 4000)
    return expit(3 * logits), (rng.random(4000) < expit(logits)).astype(int)


def test_decisions_are_the_same_with_and_without_a_temperature() -> None:
    probabilities, targets = boasting()
    plain = choose_decision(probabilities, targets, None, fits_temperature=False)
    assert plain == Decision(choose_threshold(probabilities, targets).threshold, 1.0)
    tempered = choose_decision(probabilities, targets, None, fits_temperature=True)
    assert tempered.temperature == pytest.approx(3, rel=0.1)
    assert tempered.own_threshold == pytest.approx(plain.threshold)
    calibrated = expit(np.log(probabilities / (1 - probabilities)) / tempered.temperature)
    assert ((calibrated >= tempered.threshold) == (probabilities >= plain.threshold)).all()


def test_costs_move_the_threshold_to_the_cheaper_side() -> None:
    probabilities, targets = boasting()
    careful = choose_decision(probabilities, targets, read_costs({"missed_flip": 9}), fits_temperature=True)
    # Calibrated, the cheapest threshold is that of the costs: a flip that is missed costs nine false alarms.
    assert careful.threshold == pytest.approx(0.1, abs=0.06)


def test_one_class_leaves_probabilities_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert choose_decision([0.4, 0.9], [1, 1], None, fits_temperature=True).temperature == 1.0
    assert "both classes" in caplog.text
    with pytest.raises(ValueError, match="none of the 2 frames is positive"):
        choose_decision([0.4, 0.9], [0, 0], None, fits_temperature=True)


def test_costs_are_read_from_configurations() -> None:
    assert read_costs(None) is None
    with pytest.raises(ConfigError, match=r"has 'miss'.*missed_flip and false_alarm"):
        read_costs({"miss": 5})
    with pytest.raises(ConfigError, match="missed_flip"):
        TinyCNNClassifier(width=4, threshold_costs={"missed_flip": -1})


def test_states_without_a_temperature_are_loaded() -> None:
    task = TinyCNNClassifier(width=4)
    state = task.state_dict()
    del state["temperature"]
    task.temperature.fill_(2.0)
    task.load_state_dict(state)
    assert task.temperature.item() == 1.0
    wrapped = torch.nn.Sequential(task)
    wrapped.load_state_dict({f"0.{name}": value for name, value in state.items()})
