"""Self-contained checkpoints with their provenance, and training that resumes where it was interrupted."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.loggers.csv_logs import _ExperimentWriter
from lightning_fabric.loggers.logger import rank_zero_experiment
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.trainer.states import TrainerFn

from flipdetect.atomic import replacing, write_csv, write_text
from flipdetect.data.dataset import stream_seed
from flipdetect.runs import CHECKPOINT_KEY, CHECKPOINT_VERSION, LAST
from flipdetect.synth import RENDER_VERSION

logger = logging.getLogger(__name__)

PACKAGES = (
    "flipdetect", "torch", "torchvision", "pytorch-lightning", "torchmetrics", "timm", "albumentations",
    "opencv-python-headless", "numpy", "pillow", "pycocotools",
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
        packages = {}
        for name in PACKAGES:
            with suppress(PackageNotFoundError):
                packages[name] = version(name)
        self._origin = {
            "git": git_hash(),
            "python": platform.python_version(),
            "packages": packages,
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
        decision = {n: float(b) for n, b in pl_module.named_buffers(recurse=False) if n in ("threshold", "temperature")}
        checkpoint[CHECKPOINT_KEY] = {
            "version": CHECKPOINT_VERSION,
            "task": f"{type(pl_module).__module__}.{type(pl_module).__qualname__}",
            "arguments": json.loads(json.dumps(dict(pl_module.hparams), default=str)),  # plain types only
            **decision,
            "config": self.config,
            **data.describe(),
            **self._origin,
        }


def git_hash() -> str | None:
    """The commit of the working tree, with "+dirty" if it has changes; None outside a git checkout."""

    def git(*arguments: str) -> str:
        folder = Path(__file__).resolve().parent
        return subprocess.run(  # the git of whoever works in the checkout  # nosec B607
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=True
        ).stdout.strip()

    try:
        dirty = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+dirty" if dirty else "")
    except (OSError, subprocess.SubprocessError):
        return None


class InterruptCheckpoint(Callback):
    """Makes sure that an interrupted run leaves a `last.ckpt`.

    A `last.ckpt` of a completed epoch is kept: resuming from it repeats an uninterrupted run exactly. If there is none
    yet, the current state is saved, unless all batches of the first epoch are done and none is being validated: a run
    that resumes there would not be validated in that epoch, which early stopping does not survive.
    """

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save if there is no checkpoint yet, and log the option that resumes the run."""
        folder = run_folder(trainer)
        fitting = trainer.state.fn == TrainerFn.FITTING
        if folder is None or not fitting or not isinstance(exception, KeyboardInterrupt):
            return
        last = folder / LAST
        loop: Any = trainer.fit_loop.epoch_loop
        validated = loop.val_loop.batch_progress.total
        resumes = not loop.batch_progress.is_last_batch or validated.started > validated.completed
        if not last.exists() and trainer.global_step > 0 and resumes:
            trainer.save_checkpoint(last, weights_only=False)
        if last.exists():
            logger.warning("Interrupted. Resume with the same command and --ckpt_path %s", last)
        else:
            logger.warning("Interrupted before the first step or as the first epoch ended: there is nothing to resume.")


class ResumedState(Callback):
    """Fits the saved state of a resumed run to where the run lies now, and to its configuration.

    The folder may have been moved, or the checkpoint copied: the best checkpoint so far is then the file of that name
    in the run's folder (copied there from beside the resumed checkpoint if need be), and the scores stay. The patience
    of early stopping is the configured one.
    """

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Change the states before the callbacks load them, and drop the metrics that will be written again."""
        resumed = trainer.state.fn == TrainerFn.FITTING  # the best checkpoint is loaded to be evaluated, too
        for log in trainer.loggers:
            if isinstance(log, ResumableCSVLogger) and resumed and trainer.is_global_zero:
                log.forget_from(checkpoint["global_step"])
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            state = checkpoint.get("callbacks", {}).get(callback.state_key)
            if state is None:
                continue
            if isinstance(callback, EarlyStopping):
                state["patience"] = callback.patience
            elif isinstance(callback, ModelCheckpoint) and callback.dirpath and state["dirpath"] != callback.dirpath:
                beside = Path(str(trainer.ckpt_path)).parent
                _relocate(state, beside, Path(callback.dirpath))


def _relocate(state: dict[str, Any], beside: Path, folder: Path) -> None:
    """Point the state of a `ModelCheckpoint` to the same files in another folder, copying those that are missing."""

    def moved(path: str) -> str:
        target, source = folder / Path(path).name, beside / Path(path).name
        if path and not target.is_file() and source.is_file():
            with replacing(target) as part:
                shutil.copyfile(source, part)
        return str(target) if path and target.is_file() else ""

    state["best_k_models"] = {moved(path): score for path, score in state["best_k_models"].items() if moved(path)}
    for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
        state[key] = moved(state[key])
    if state["monitor"] is not None and not state["best_model_path"]:
        logger.warning("The best checkpoint so far is not in %s: the best epoch is chosen among those to come.", folder)
        state["best_model_score"] = state["kth_value"] = None
    state["dirpath"] = str(folder)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint next to its target, and renames it.

    Lightning's own is written into the system's temporary folder. From another file system, the rename is a copy, which
    truncates the earlier checkpoint first.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write it as a whole or not at all."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)  # to memory first: on a full disk it would raise no OSError
        with replacing(Path(path)) as part:
            part.write_bytes(buffer.getbuffer())


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


class _ContinuedWriter(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        """Keep the rows that are there, and the header, which is rewritten when keys are added."""
        path = Path(self.metrics_file_path)
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])


class ResumableCSVLogger(CSVLogger):
    """`CSVLogger` that continues an existing `metrics.csv`; Lightning's own deletes it."""

    @property
    @rank_zero_experiment
    def experiment(self) -> _ExperimentWriter:
        """The writer. If the folder has a `metrics.csv`, its rows are kept."""
        if self._experiment is None:
            self._experiment = _ContinuedWriter(self.log_dir)
        return self._experiment

    def forget_from(self, step: int) -> None:
        """Drop the rows of a step and of later ones, which a resumed run writes again, and what is half a row."""
        path = Path(self.experiment.metrics_file_path)
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                header, *rows = list(csv.reader(file)) or [["step"]]
            place = header.index("step")
            kept = [row for row in rows if len(row) == len(header) and int(row[place]) < step]
            write_csv(path, header, kept, line_end="\r\n")  # as Lightning writes them
