"""One training run: fit, then evaluate the best checkpoint once on each split."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from flipdetect.atomic import write_text
from flipdetect.tasks.base import FrameClassifier

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"


class TrainingInterrupted(Exception):  # noqa: N818 - it is no error: the user asked for it
    """Ctrl-C ended the fit; `last.ckpt` has its state."""


@runtime_checkable
class ResultsCallback(Protocol):
    """A callback that is called at the end of the run, once all of its files are written."""

    def on_results(self, trainer: pl.Trainer, results: dict[str, float]) -> None:
        """Use what `fit_and_test` returns; called in the main process only."""


def fit_and_test(
    trainer: pl.Trainer,
    model: FrameClassifier,
    data: pl.LightningDataModule,
    *,
    ckpt_path: str | None = None,
) -> dict[str, float]:
    """Train, then validate and test the best checkpoint (the final weights if the run keeps none).

    Args:
        ckpt_path: a checkpoint to resume from.

    Returns:
        The metrics, `val_*` and (if there is a test split) `test_*`, with the stored threshold; also written to
        `metrics.json` next to the checkpoint and, with the hyper-parameters, to TensorBoard.

    Raises:
        TrainingInterrupted: after Ctrl-C during the fit.
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
    # A small data set may have no test split.
    for evaluate in (trainer.validate, trainer.test) if data.test_dataloader() else (trainer.validate,):
        for values in evaluate(model, datamodule=data, ckpt_path=best or None, verbose=False):
            results.update(values)
    if best and trainer.is_global_zero:
        best_epoch = torch.load(best, map_location="cpu", weights_only=True)["epoch"]
        about = {"checkpoint": Path(best).name, "epochs": epochs, "best_epoch": best_epoch}
        path = Path(best).with_name(METRICS_FILE)
        write_text(path, json.dumps({**about, "fit_seconds": round(seconds, 1), **results}, indent=2) + "\n")
        logger.info("Metrics are in %s", path)
    for log in trainer.loggers:
        if isinstance(log, TensorBoardLogger):
            log.log_hyperparams(dict(model.hparams), {f"final/{name}": value for name, value in results.items()})
            log.save()
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ResultsCallback) and trainer.is_global_zero:
            callback.on_results(trainer, results)
    return results
