"""What pruning reports to an Optuna trial after each validation, and its effect."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from flipdetect.callbacks.monitoring import OptunaPruning
from flipdetect.errors import ConfigError


class Trial:
    """Prunes at the second report."""

    def __init__(self) -> None:
        self.reports: list[tuple[float, int]] = []

    def report(self, value: float, step: int) -> None:
        self.reports.append((value, step))

    def should_prune(self) -> bool:
        return len(self.reports) == 2


def validate(callback: OptunaPruning, f1: float, **more: Any) -> Any:
    metrics = {"val_f1": torch.tensor(f1), "val_loss": torch.tensor(0.7), "lr": torch.tensor(1.0)}
    trainer: Any = SimpleNamespace(
        **{"sanity_checking": False, "callback_metrics": metrics, "current_epoch": 3, "should_stop": False, **more}
    )
    callback.on_validation_end(trainer, None)  # type: ignore[arg-type]
    return trainer


def test_the_best_value_so_far_is_reported_and_pruning_ends_the_training() -> None:
    callback = OptunaPruning(trial := Trial(), "val_f1")
    validate(callback, 0.9, sanity_checking=True)
    assert not validate(callback, float("nan")).should_stop
    assert not validate(callback, 0.5).should_stop
    assert validate(callback, 0.25).should_stop
    assert trial.reports == [(0.5, 3), (0.5, 3)]
    assert (callback.best, callback.epochs, callback.pruned) == (0.5, 3, True)


def test_a_metric_that_is_not_logged_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no metric 'val_fl' was logged; validation logs val_f1, val_loss"):
        validate(OptunaPruning(Trial(), "val_fl"), 0.5)
