"""A run in MLflow, the report of any run, and what pruning reports to an Optuna trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from flipdetect.callbacks.monitoring import LONGEST, OptunaPruning, parameters
from flipdetect.errors import ConfigError
from flipdetect.inference.torch_model import load_torch_model
from tests.conftest import REPOSITORY

Train = Callable[..., int]


def test_parameters_have_dotted_names() -> None:
    config = {
        "seed": 0,
        "model": {"class_path": "a.B", "init_args": {"lr": 0.1, "widths": [1, 2]}},
        "callbacks": [{"class_path": "x.Early", "init_args": {"patience": 3}}, {"class_path": "x.Bare"}],
        "long": "y" * 900,
        "nothing": None,
    }
    found = parameters(config)
    assert found["seed"] == "0"
    assert found["model.init_args.lr"] == "0.1"
    assert found["model.init_args.widths"] == "[1, 2]"
    assert found["callbacks.0-Early.patience"] == "3"
    assert found["callbacks.1-Bare"] == "default"
    assert found["nothing"] == "None"
    assert len(found["long"]) == LONGEST


@pytest.mark.slow
def test_a_run_leaves_its_report(train: Train, tmp_path: Path) -> None:
    assert train("tiny_cnn.yaml", "--trainer.callbacks+=flipdetect.callbacks.RunReport") == 0
    report = tmp_path / "logs" / "tiny_cnn" / "version_0" / "report"
    page = (report / "index.html").read_text(encoding="utf-8")
    assert "tiny_cnn, version_0" in page
    assert "test split" in page
    assert (report / "predictions.csv").is_file()


@pytest.mark.slow
def test_a_run_in_mlflow(train: Train, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    overlay = REPOSITORY / "configs" / "logger" / "mlflow.yaml"
    assert train("tiny_cnn.yaml", "--config", str(overlay)) == 0
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/logs/mlflow.db")
    experiment = client.get_experiment_by_name("flipdetect")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "tiny_cnn/version_0"
    assert run.data.params["model.init_args.width"] == "16"
    assert run.data.params["data.preprocess.height"] == "64"
    assert 0 <= run.data.metrics["final/test_f1"] <= 1
    assert "val_f1" in run.data.metrics
    files = {
        each.path for name in ("", "model", "run", "report") for each in client.list_artifacts(run.info.run_id, name)
    }
    logged = {"model/best.ckpt", "run/config.yaml", "run/metrics.json", "report/index.html", "report/predictions.csv"}
    assert logged <= files
    stored = Path(experiment.artifact_location, run.info.run_id, "artifacts", "model", "best.ckpt")
    assert load_torch_model(stored, "cpu").classes.positive == "flip"


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
