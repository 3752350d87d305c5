"""What is told after each validation, and what comes of it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from flipdetect.callbacks.pruning import EpochReport
from flipdetect.errors import ConfigError


def trainer(**more: Any) -> Any:
    metrics = {"val_f1": torch.tensor(0.5), "val_loss": torch.tensor(0.7), "lr": torch.tensor(1.0)}
    return SimpleNamespace(
        **{"sanity_checking": False, "callback_metrics": metrics, "current_epoch": 3, "should_stop": False, **more}
    )


def test_the_listener_hears_the_value_and_may_end_the_training() -> None:
    heard = []

    def listen(epoch: int, value: float) -> bool:
        heard.append((epoch, value))
        return len(heard) == 2

    callback, running = EpochReport("val_f1", listen), trainer()
    callback.on_validation_end(running, None)  # type: ignore[arg-type]
    assert not running.should_stop
    callback.on_validation_end(running, None)  # type: ignore[arg-type]
    assert running.should_stop
    assert heard == [(3, 0.5), (3, 0.5)]


def test_a_sanity_check_is_no_epoch() -> None:
    EpochReport("val_f1", pytest.fail).on_validation_end(trainer(sanity_checking=True), None)  # type: ignore[arg-type]


def test_a_metric_that_is_not_logged_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"no metric 'val_fl' was logged; validation logs val_f1, val_loss"):
        EpochReport("val_fl", lambda epoch, value: False).on_validation_end(trainer(), None)  # type: ignore[arg-type]
