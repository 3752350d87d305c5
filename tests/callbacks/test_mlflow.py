"""A run in MLflow: configuration, figures, report and model are there; and the report of any run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flipdetect.callbacks.monitoring import LONGEST, parameters
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
    assert {
        "model/best.ckpt",
        "run/config.yaml",
        "run/metrics.json",
        "report/index.html",
        "report/predictions.csv",
    } <= files
    stored = Path(experiment.artifact_location, run.info.run_id, "artifacts", "model", "best.ckpt")
    assert load_torch_model(stored, "cpu").classes.positive == "flip"
