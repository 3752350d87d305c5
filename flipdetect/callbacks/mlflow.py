"""What an MLflow run shows besides curves: the configuration as parameters, final figures, files, the model."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import MLFlowLogger

from flipdetect.callbacks.provenance import run_folder

PAPERS = ("config.yaml", "metrics.json", "metrics.csv", "splits.csv", "provenance.json", "unusable.csv")
LONGEST = 500
"""Characters of a parameter: what any MLflow store takes."""


class MlflowArtifacts(Callback):
    """Logs to MLflow what its logger leaves out.

    - Parameters: the resolved configuration, each value under its dotted name.
    - Metrics: the final figures of validation and test, as `final/...`.
    - Artifacts: the run's papers (`run/`), its pictures (`pictures/`), the report if `RunReport` made one (`report/`),
      and `model/best.ckpt`, which `inference.py` and `evaluate.py` read. It is the program's own checkpoint, which is
      loaded without executing code; MLflow's own format, a pickle, is not used.

    Without an MLflow logger it does nothing.

    Args:
        model: whether the checkpoint is logged.
    """

    def __init__(self, model: bool = True) -> None:
        self.model = model

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the configuration, which lies in the run's folder by now: an interrupted run has it, too."""
        run = run_folder(trainer)
        for log in _loggers(trainer):
            if run is None:
                continue
            if log._run_name is None:  # else MLflow makes one up: "overjoyed-slug-911"
                log.experiment.set_tag(log.run_id, "mlflow.runName", f"{run.parent.name}/{run.name}")
            if (run / "config.yaml").is_file():
                log.log_hyperparams(parameters(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))))

    def on_results(self, trainer: pl.Trainer, results: dict[str, float]) -> None:
        """Log the final figures and all files."""
        run, checkpoint = run_folder(trainer), trainer.checkpoint_callback
        for log in _loggers(trainer):
            finite = {f"final/{name}": value for name, value in results.items() if math.isfinite(value)}
            log.log_metrics(finite, step=trainer.global_step)
            if run is None:
                continue
            files = [(run / name, "run") for name in PAPERS] + [
                (path, "pictures") for path in sorted(run.glob("*.png"))
            ]
            if self.model and isinstance(checkpoint, ModelCheckpoint) and checkpoint.best_model_path:
                files.append((Path(checkpoint.best_model_path), "model"))
            for path, place in files:
                if path.is_file():
                    log.experiment.log_artifact(log.run_id, str(path), place)
            for page in sorted(run.glob("*/index.html")):
                log.experiment.log_artifacts(log.run_id, str(page.parent), page.parent.name)


def parameters(config: Any) -> dict[str, str]:
    """A nested configuration as short texts by dotted name; lists of classes by the class's name."""
    return {name: text[:LONGEST] for name, text in _flat(config, "")}


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif (
        isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(each, Mapping) for each in value)
    ):
        for place, item in enumerate(value):
            own = str(item.get("class_path", place)).rsplit(".", 1)[-1] if isinstance(item, Mapping) else str(place)
            settings = item.get("init_args", {}) if isinstance(item, Mapping) and "class_path" in item else item
            if settings:
                yield from _flat(settings, f"{name}.{place}-{own}")
            else:
                yield f"{name}.{place}-{own}", "default"
    else:
        yield name, str(value)


def _loggers(trainer: pl.Trainer) -> list[MLFlowLogger]:
    return [log for log in trainer.loggers if isinstance(log, MLFlowLogger)] if trainer.is_global_zero else []
