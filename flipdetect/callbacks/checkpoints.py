"""Self-contained checkpoints with their provenance, and training that resumes where it was interrupted."""

from __future__ import annotations

import csv
import json
import logging
import os
import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.loggers.csv_logs import _ExperimentWriter
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.trainer.states import TrainerFn

from flipdetect.atomic import write_text
from flipdetect.data.dataset import stream_seed
from flipdetect.runs import CHECKPOINT_KEY, CHECKPOINT_VERSION, LAST
from flipdetect.synth import RENDER_VERSION

logger = logging.getLogger(__name__)

PACKAGES = (
    "flipdetect", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "timm", "albumentations",
    "opencv-python-headless", "numpy", "pillow",
)  # fmt: skip
"""Libraries that results depend on."""


def run_folder(trainer: Trainer) -> Path | None:
    """The folder of the run's checkpoints, created if absent; None if the run keeps none (`fast_dev_run`)."""
    checkpoint = trainer.checkpoint_callback
    quick = getattr(trainer, "fast_dev_run", False)
    if quick or not isinstance(checkpoint, ModelCheckpoint) or not checkpoint.dirpath:
        return None
    folder = Path(checkpoint.dirpath)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class Provenance(Callback):
    """Makes checkpoints self-contained and writes the run's records to its folder.

    Each checkpoint gets: the task's class and arguments, class names, preprocessing, threshold, temperature, split,
    resolved configuration, git hash, and versions of the libraries and of the renderer; plain types only, so that it
    loads with `weights_only=True`. The run's folder gets `config.yaml`, `splits.csv`, `provenance.json`, and
    `unusable.csv` if some files could not be used.

    Args:
        config: the resolved configuration as YAML text; empty if training was set up in Python.
    """

    def __init__(self, config: str = "") -> None:
        self.config = config
        self._origin = {
            "git": git_hash(),
            "python": platform.python_version(),
            "packages": package_versions(),
            "render_version": RENDER_VERSION,
        }

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files that are known before training."""
        folder = run_folder(trainer)
        if folder is None or not trainer.is_global_zero:
            return
        if self.config:
            write_text(folder / "config.yaml", self.config)
        write_text(folder / "provenance.json", json.dumps(self._origin, indent=2) + "\n")
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        data.split_csv(folder / "splits.csv")
        if data.index.problems:
            data.index.write_problems(folder / "unusable.csv")
            logger.warning("Files that could not be used are listed in %s", folder / "unusable.csv")

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add what inference needs to the checkpoint."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        checkpoint[CHECKPOINT_KEY] = {
            "version": CHECKPOINT_VERSION,
            "task": f"{type(pl_module).__module__}.{type(pl_module).__qualname__}",
            "arguments": json.loads(json.dumps(dict(pl_module.hparams), default=str)),  # plain types only
            "threshold": float(pl_module.get_buffer("threshold")),
            "temperature": float(pl_module.get_buffer("temperature")),
            "config": self.config,
            **data.describe(),
            **self._origin,
        }


def git_hash() -> str | None:
    """The commit of the working tree, with "+dirty" if it has changes; None outside a git checkout."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).resolve().parent
        return subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=True
        ).stdout.strip()

    try:
        dirty = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+dirty" if dirty else "")
    except (OSError, subprocess.SubprocessError):
        return None


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    versions = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


class InterruptCheckpoint(Callback):
    """Makes sure that an interrupted run leaves a `last.ckpt`.

    A `last.ckpt` of a completed epoch is kept: resuming from it repeats an uninterrupted run exactly. If there is none
    yet, the current state is saved.
    """

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save if there is no checkpoint yet, and log the option that resumes the run."""
        folder = run_folder(trainer)
        fitting = trainer.state.fn == TrainerFn.FITTING
        if folder is None or not fitting or not isinstance(exception, KeyboardInterrupt):
            return
        last = folder / LAST
        if not last.exists() and trainer.global_step > 0:
            trainer.save_checkpoint(last)
        if last.exists():
            logger.warning("Interrupted. Resume with the same command and --ckpt_path %s", last)
        else:
            logger.warning("Interrupted before the first step: there is nothing to resume.")


class EpochSeed(Callback):
    """Seeds torch at the start of each epoch from (global seed, epoch).

    Dropout draws from torch's global stream, whose state is in no checkpoint. With this callback, a resumed run draws
    the same numbers as an uninterrupted one.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Seed at the first batch: Lightning skips `on_train_epoch_start` in an epoch that is resumed in its middle."""
        if batch_idx == 0:
            seed = int(os.environ.get("PL_GLOBAL_SEED", "0"))
            torch.manual_seed(stream_seed(seed, trainer.current_epoch, trainer.global_rank))


class ResumableCSVLogger(CSVLogger):
    """`CSVLogger` that continues an existing `metrics.csv`; Lightning's own deletes it."""

    @property
    def experiment(self) -> _ExperimentWriter:
        """The writer. If the folder has a `metrics.csv`, its rows are kept."""
        if self._experiment is not None:
            return self._experiment
        path = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        history = path.read_text(encoding="utf-8") if path.is_file() else ""
        writer: _ExperimentWriter = super().experiment
        if history:
            path.write_text(history, encoding="utf-8")
            # The writer rewrites the header when keys are added, so it must know the existing ones.
            writer.metrics_keys = next(csv.reader(history.splitlines()))
        return writer
