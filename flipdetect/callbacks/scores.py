"""Scores of a whole validation or test run, for the callbacks that draw, summarise or report them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback, ModelCheckpoint

from flipdetect.callbacks.checkpoints import run_folder
from flipdetect.data.index import FrameIndex
from flipdetect.metrics.calibration import calibrated
from flipdetect.records import FrameScore
from flipdetect.sources.folder import name_below

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochScores:
    """Scores of one run over a split.

    Attributes:
        indices: (N,) int64, positions in the data set's records.
        probabilities: (N,) float64, calibrated.
    """

    stage: str
    indices: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]
    targets: npt.NDArray[np.int64]
    threshold: float


class CollectingCallback(Callback):
    """Base class: collects what the module gives for the batches of each validation and test run."""

    def keep(self, outputs: Mapping[str, Any]) -> None:
        """Keep what is needed of a batch; a subclass overrides this."""

    def finish(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Use what was kept of a run over "val" or "test", and forget it; a subclass overrides this."""

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0) -> None:  # type: ignore[no-untyped-def]
        """Keep a batch."""
        self.keep(outputs)

    def on_test_batch_end(self, trainer, pl_module, outputs, batch, batch_idx, dataloader_idx=0) -> None:  # type: ignore[no-untyped-def]
        """Keep a batch."""
        self.keep(outputs)

    # Not on_..._epoch_end: there, callbacks run before the module chooses the epoch's threshold.
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validation is over."""
        self.finish(trainer, pl_module, "val")

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The test is over."""
        self.finish(trainer, pl_module, "test")


class ScoreCallback(CollectingCallback):
    """Base class: collects the scores of each complete validation and test run, in the main process.

    Args:
        every_n_epochs: validation epochs between two calls of `on_scores`.

    Attributes:
        last_scores: of the last run over each split, "val" and "test".
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        self.every_n_epochs = every_n_epochs
        self.last_scores: dict[str, EpochScores] = {}
        self._batches: list[dict[str, torch.Tensor]] = []

    def on_scores(self, trainer: Trainer, pl_module: LightningModule, scores: EpochScores) -> None:
        """Use the scores of a run; a subclass overrides this."""

    def keep(self, outputs: Mapping[str, Any]) -> None:
        """Keep the scores of a batch."""
        self._batches.append({key: outputs[key].detach().cpu() for key in ("index", "probability", "target")})

    def finish(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Pass on the scores of a run."""
        batches, self._batches = self._batches, []
        if trainer.sanity_checking:
            return
        own = {key: torch.cat([batch[key] for batch in batches]).numpy() for key in (batches[0] if batches else ())}
        parts: list[dict[str, npt.NDArray[Any]]] = [own]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            parts *= torch.distributed.get_world_size()
            torch.distributed.all_gather_object(parts, own)  # each process has to call it
        parts = [part for part in parts if part]
        if not trainer.is_global_zero or not parts:
            return
        every = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        order = np.argsort(every["index"], kind="stable") if len(parts) > 1 else slice(None)
        found = {key: values[order] for key, values in every.items()}
        threshold, temperature = (float(pl_module.get_buffer(name)) for name in ("threshold", "temperature"))
        # Only now: the temperature is chosen at the end of the run.
        probabilities = calibrated(found["probability"].astype(np.float64), temperature)
        targets = found["target"].astype(np.int64)
        scores = self.last_scores[stage] = EpochScores(stage, found["index"], probabilities, targets, threshold)
        if stage == "test" or trainer.current_epoch % self.every_n_epochs == 0:
            self.on_scores(trainer, pl_module, scores)


class RunReport(ScoreCallback):
    """Writes a report of the best checkpoint on the test split (without one, on validation) into the run's `report/`.

    It is the report of `flipdetect evaluate --report`.
    """

    def on_results(self, trainer: Trainer, results: dict[str, float]) -> None:
        """Write the report, once the run's other files are written."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        run, checkpoint = run_folder(trainer), trainer.checkpoint_callback
        scores = self.last_scores.get("test") or self.last_scores.get("val")
        best = checkpoint.best_model_path if isinstance(checkpoint, ModelCheckpoint) else ""
        if run is None or scores is None or not best:
            return
        from flipdetect.evaluation.evaluate import evaluate_scores
        from flipdetect.evaluation.report import write_report
        from flipdetect.evaluation.results import Selection, measure
        from flipdetect.inference.torch_model import load_torch_model

        split, classes = getattr(data.split, scores.stage), data.classes
        records = tuple(split[position] for position in scores.indices)
        scored = [
            FrameScore(
                name_below(record.path, data.root), record.video, record.frame, float(p),
                classes.names[int(p >= scores.threshold)],
            )
            for record, p in zip(records, scores.probabilities, strict=True)
        ]  # fmt: skip
        evaluation = evaluate_scores(FrameIndex(records, (), data.root), scored, scores.threshold, classes)
        names = f"{run.parent.name}, {run.name}", f"{Path(data.root).name}, {scores.stage} split"
        (result,) = measure([(*names, evaluation)], {}, Selection())
        model = load_torch_model(Path(best), "cpu")
        page = write_report(run / "report", result, model)
        logger.info("The report is %s", page)
