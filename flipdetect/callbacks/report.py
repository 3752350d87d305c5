"""A report of the test in the run's folder, from the scores of the test at the end of each training."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from flipdetect.callbacks.provenance import run_folder
from flipdetect.callbacks.scores import EpochScores, ScoreCallback
from flipdetect.data.index import FrameIndex
from flipdetect.records import FrameScore
from flipdetect.sources.folder import name_below

if TYPE_CHECKING:
    from flipdetect.evaluation.evaluate import Evaluation

logger = logging.getLogger(__name__)


class RunReport(ScoreCallback):
    """Writes a report of the best checkpoint on the test split (without one, on validation) to the run's folder.

    It is the report of `flipdetect evaluate --report`.

    Args:
        folder: below the run's folder.
        mistakes: how many of the most confident mistakes are shown.
        explain: whether Grad-CAM images are made, if the library is installed.
    """

    def __init__(self, folder: str = "report", mistakes: int = 24, explain: bool = True) -> None:
        super().__init__()
        self.folder = folder
        self.mistakes = mistakes
        self.explain = explain

    def on_results(self, trainer: pl.Trainer, results: dict[str, float]) -> None:
        """Write the report, once the run's other files are written."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        run, checkpoint = run_folder(trainer), trainer.checkpoint_callback
        scores = self.last_scores.get("test") or self.last_scores.get("val")
        best = checkpoint.best_model_path if isinstance(checkpoint, ModelCheckpoint) else ""
        if run is None or scores is None or not best:
            return
        from flipdetect.evaluation.report import write_report
        from flipdetect.inference.torch_model import load_torch_model

        page = write_report(
            run / self.folder, f"{run.parent.name}, {run.name}", f"{Path(data.root).name}, {scores.stage} split",
            _evaluation(data, scores), load_torch_model(Path(best), "cpu"), mistakes=self.mistakes,
            explain=self.explain,
        )  # fmt: skip
        logger.info("The report is %s", page)


def _evaluation(data: Any, scores: EpochScores) -> Evaluation:
    from flipdetect.evaluation.evaluate import evaluate_scores

    split = getattr(data.split, scores.stage)
    records = tuple(split[position] for position in scores.indices)
    scored = [
        FrameScore(
            name_below(record.path, data.root), record.video, record.frame, float(p),
            data.classes.names[int(p >= scores.threshold)],
        )
        for record, p in zip(records, scores.probabilities, strict=True)
    ]  # fmt: skip
    return evaluate_scores(FrameIndex(records, (), data.root), scored, scores.threshold, data.classes)
