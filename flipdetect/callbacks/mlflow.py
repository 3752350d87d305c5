"""Log to MLflow what its logger omits: the configuration as parameters, final metrics, files, the model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import MLFlowLogger

from flipdetect.callbacks.provenance import run_folder

FILES = ("config.yaml", "metrics.json", "metrics.csv", "splits.csv", "provenance.json", "unusable.csv")
LONGEST = 500
"""Characters of a parameter that every MLflow store accepts."""


class MlflowArtifacts(Callback):
    """Logs to MLflow what its logger omits.

    - Parameters: the resolved configuration, each value under its dotted name.
    - Metrics: the final metrics of validation and test, as `final/...`.
    - Artifacts: the run's files (`run/`), its images (`pictures/`), the report if `RunReport` made one (`report/`),
      and the checkpoint, `model/best.ckpt`, which is loaded without executing code; MLflow's own format, a pickle, is
      not used.

    Without an MLflow logger it does nothing.

    Args:
        model: whether the checkpoint is logged.
    """

    def __init__(self, model: bool = True) -> None:
        self.model = model

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the configuration, so that an interrupted run has it, too."""
        run = run_folder(trainer)
        for log in _loggers(trainer):
            if run is None:
                continue
            if log._run_name is None:  # else MLflow invents one: "overjoyed-slug-911"
                log.experiment.set_tag(log.run_id, "mlflow.runName", f"{run.parent.name}/{run.name}")
            if (run / "config.yaml").is_file():
                log.log_hyperparams(parameters(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))))

    def on_results(self, trainer: pl.Trainer, results: dict[str, float]) -> None:
        """Log the final metrics and all files."""
        run, checkpoint = run_folder(trainer), trainer.checkpoint_callback
        for log in _loggers(trainer):
            finite = {f"final/{name}": value for name, value in results.items() if math.isfinite(value)}
            log.log_metrics(finite, step=trainer.global_step)
            if run is None:
                continue
            files = [(run / name, "run") for name in FILES] + [(path, "pictures") for path in sorted(run.glob("*.png"))]
            if self.model and isinstance(checkpoint, ModelCheckpoint) and checkpoint.best_model_path:
                files.append((Path(checkpoint.best_model_path), "model"))
            for path, place in files:
                if path.is_file():
                    log.experiment.log_artifact(log.run_id, str(path), place)
            for page in sorted(run.glob("*/index.html")):
                log.experiment.log_artifacts(log.run_id, str(page.parent), page.parent.name)


def parameters(config: Any, prefix: str = "") -> dict[str, str]:
    """A nested configuration as short texts by dotted name; an item of a list of classes has the class's name."""
    found: dict[str, str] = {}
    if isinstance(config, Mapping):
        for key, item in config.items():
            found |= parameters(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(config, list) and any(isinstance(each, Mapping) for each in config):
        for place, item in enumerate(config):
            is_class = isinstance(item, Mapping) and "class_path" in item
            name = f"{prefix}.{place}-{item['class_path'].rpartition('.')[2]}" if is_class else f"{prefix}.{place}"
            settings = item.get("init_args", {}) if is_class else item
            found |= parameters(settings, name) if settings else {name: "default"}
    else:
        found[prefix] = str(config)[:LONGEST]
    return found


def _loggers(trainer: pl.Trainer) -> list[MLFlowLogger]:
    return [log for log in trainer.loggers if isinstance(log, MLFlowLogger)] if trainer.is_global_zero else []
