"""One training run from start to figures: fit, then judge the best checkpoint once on each side."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from flipdetect.atomic import write_text
from flipdetect.tasks.base import FrameClassifier

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"


class TrainingInterrupted(Exception):  # noqa: N818 - it is no error: the user asked for it
    """Ctrl-C ended the fit; what was reached is in `last.ckpt`."""


@runtime_checkable
class HearsResults(Protocol):
    """A callback that wants to know how the run ended, once all of its files are written."""

    def on_results(self, trainer: pl.Trainer, results: dict[str, float]) -> None:
        """Do something with what `fit_and_test` returns; called in the main process alone."""


def fit_and_test(
    trainer: pl.Trainer,
    model: FrameClassifier,
    data: pl.LightningDataModule,
    *,
    ckpt_path: str | None = None,
) -> dict[str, float]:
    """Train, then validate and test the best checkpoint (the final weights if the run keeps none).

    Args:
        ckpt_path: a checkpoint to go on from.

    Raises:
        TrainingInterrupted: after Ctrl-C during the fit.

    Returns:
        The metrics, `val_*` and (if there is a test side) `test_*`, with the stored threshold; also written to
        `metrics.json` beside the checkpoint and, with the hyper-parameters, to TensorBoard.
    """
    started = time.monotonic()
    try:
        trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    except SystemExit as error:  # this is how Lightning ends a fit after Ctrl-C
        raise TrainingInterrupted from error
    seconds, epochs = time.monotonic() - started, trainer.current_epoch
    checkpoint = trainer.checkpoint_callback
    best = checkpoint.best_model_path if isinstance(checkpoint, ModelCheckpoint) else ""
    results: dict[str, float] = {}
    data.setup("test")  # a strategy that trains in processes of its own leaves none here
    # A small set may have no test side.
    for judge in (trainer.validate, trainer.test) if data.test_dataloader() else (trainer.validate,):
        for values in judge(model, datamodule=data, ckpt_path=best or None, verbose=False):
            results.update(values)
    if best and trainer.is_global_zero:
        best_epoch = torch.load(best, map_location="cpu", weights_only=True)["epoch"]
        _write_metrics(Path(best), results, epochs=epochs, best_epoch=best_epoch, fit_seconds=round(seconds, 1))
    for log in trainer.loggers:
        if isinstance(log, TensorBoardLogger):
            log.log_hyperparams(dict(model.hparams), {f"final/{name}": value for name, value in results.items()})
            log.save()
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, HearsResults) and trainer.is_global_zero:
            callback.on_results(trainer, results)
    return results


def _write_metrics(best: Path, results: dict[str, float], **more: Any) -> None:
    path = best.with_name(METRICS_FILE)
    write_text(path, json.dumps({"checkpoint": best.name, **more, **results}, indent=2) + "\n")
    logger.info("Metrics are in %s", path)
