"""Where a model comes from: written into every checkpoint, and as files beside it."""

from __future__ import annotations

import json
import logging
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback

from flipdetect.atomic import write_text
from flipdetect.callbacks.files import run_folder
from flipdetect.runs import CHECKPOINT_KEY, CHECKPOINT_VERSION
from flipdetect.synth import RENDER_VERSION

logger = logging.getLogger(__name__)

PACKAGES = (
    "flipdetect",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "numpy",
    "pillow",
)


class Provenance(Callback):
    """Makes checkpoints self-contained and leaves the run's papers beside them.

    Into each checkpoint: the task's class and arguments, class names, preprocessing, threshold, temperature, split,
    resolved configuration, git hash, versions of the libraries and of the renderer of the embedded data; plain types
    only, so that it loads with `weights_only=True`.
    Beside it: `config.yaml`, `splits.csv`, `provenance.json`, and `unusable.csv` if files could not be used.

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

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the files that are known before training."""
        folder = run_folder(trainer)
        if folder is None or not trainer.is_global_zero:
            return
        if self.config:
            write_text(folder / "config.yaml", self.config)
        write_text(folder / "provenance.json", json.dumps(self._origin, indent=2) + "\n")
        data = _datamodule(trainer)
        data.split_csv(folder / "splits.csv")
        if data.index.problems:
            data.index.write_problems(folder / "unusable.csv")
            logger.warning("Files that could not be used are listed in %s", folder / "unusable.csv")

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add what inference needs to the checkpoint."""
        data = _datamodule(trainer)
        checkpoint[CHECKPOINT_KEY] = {
            "version": CHECKPOINT_VERSION,
            "task": f"{type(pl_module).__module__}.{type(pl_module).__qualname__}",
            "arguments": _plain(dict(pl_module.hparams)),
            "threshold": float(pl_module.get_buffer("threshold")),
            "temperature": float(pl_module.get_buffer("temperature")),
            "config": self.config,
            **data.describe(),
            **self._origin,
        }


def git_hash() -> str | None:
    """The commit of the working tree, with "+dirty" if it has changes; None outside a git checkout."""
    folder = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+dirty" if changed else "")


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that results depend on."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _datamodule(trainer: pl.Trainer) -> Any:
    return trainer.datamodule  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    """A value as JSON types; what has none becomes its text, for the record."""
    return json.loads(json.dumps(value, default=str))
