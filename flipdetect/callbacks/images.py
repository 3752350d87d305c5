"""Pictures in TensorBoard and beside the checkpoint: what the model is fed, its curves, its worst mistakes."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.callbacks import Callback

from flipdetect.atomic import replacing, write_text
from flipdetect.callbacks.files import run_folder
from flipdetect.callbacks.scores import EpochScores, ScoreCallback, add_picture
from flipdetect.outputs.plots import (
    confusion_matrix,
    figure_to_array,
    plot_batch,
    plot_confusion,
    plot_mistakes,
    plot_pr_curve,
)


class AugmentedBatch(Callback):
    """Shows the first training batch as the model sees it: augmented, at input size.

    Args:
        frames: how many frames of the batch to show.
    """

    def __init__(self, frames: int = 16) -> None:
        self.frames = frames

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Draw the run's very first batch."""
        if trainer.global_step > 0 or not trainer.is_global_zero or "image" not in batch:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        images = [_rgb(data.preprocess.to_uint8(image.cpu().numpy())) for image in batch["image"][: self.frames]]
        titles = [data.classes.names[int(target)] for target in batch["target"][: self.frames]]
        add_picture(trainer, "train/augmented_batch", figure_to_array(plot_batch(images, titles)))


class EvaluationCurves(ScoreCallback):
    """Draws the precision-recall curve and the confusion matrix of each validation and test run.

    Args:
        every_n_epochs: validation epochs between two pictures.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        super().__init__()
        self.every_n_epochs = every_n_epochs

    def on_scores(self, trainer: pl.Trainer, pl_module: pl.LightningModule, scores: EpochScores) -> None:
        """Draw both; those of the test run are also kept as PNG files beside the checkpoint."""
        if scores.stage == "val" and trainer.current_epoch % self.every_n_epochs:
            return
        classes = trainer.datamodule.classes  # type: ignore[attr-defined]
        curve = plot_pr_curve(scores.probabilities, scores.targets, scores.threshold)
        counts = confusion_matrix(scores.probabilities, scores.targets, scores.threshold)
        matrix = plot_confusion(counts, classes)
        for name, figure in (("pr_curve", curve), ("confusion_matrix", matrix)):
            _show(trainer, scores.stage, name, figure_to_array(figure))


class WorstMistakes(ScoreCallback):
    """Shows the frames that the model gets most confidently wrong, with their names.

    Args:
        count: how many frames to show.
        every_n_epochs: validation epochs between two pictures.
    """

    def __init__(self, count: int = 12, every_n_epochs: int = 1) -> None:
        super().__init__()
        self.count = count
        self.every_n_epochs = every_n_epochs

    def on_scores(self, trainer: pl.Trainer, pl_module: pl.LightningModule, scores: EpochScores) -> None:
        """Draw the worst mistakes; those of the test run also go to `test_mistakes.png` and `.csv`."""
        if scores.stage == "val" and trainer.current_epoch % self.every_n_epochs:
            return
        worst = self._worst(scores)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        records = getattr(data.split, scores.stage)
        dataset = data.dataset([records[scores.indices[i]] for i in worst])
        if not len(dataset):
            return
        names = [
            record.path.relative_to(data.root).as_posix() if record.path.is_relative_to(data.root) else record.path.name
            for record in dataset.records
        ]
        probabilities, truths = scores.probabilities[worst], scores.targets[worst]
        images = [_rgb(data.preprocess.to_uint8(dataset[i]["image"].numpy())) for i in range(len(dataset))]
        labels = [data.classes.names[truth] for truth in truths]
        figure = plot_mistakes(images, names, truths, probabilities, data.classes)
        _show(trainer, scores.stage, "mistakes", figure_to_array(figure))
        folder = run_folder(trainer)
        if scores.stage == "test" and folder is not None:
            write_text(folder / "test_mistakes.csv", _table(names, labels, probabilities))

    def _worst(self, scores: EpochScores) -> npt.NDArray[np.int64]:
        """Positions of the wrong decisions, the most confident first."""
        wrong = np.flatnonzero((scores.probabilities >= scores.threshold) != (scores.targets == 1))
        error = np.abs(scores.probabilities - scores.targets)[wrong]
        return wrong[np.argsort(-error, kind="stable")][: self.count]


def _show(trainer: pl.Trainer, stage: str, name: str, picture: npt.NDArray[np.uint8]) -> None:
    add_picture(trainer, f"{stage}/{name}", picture)
    folder = run_folder(trainer)
    if stage == "test" and folder is not None:
        with replacing(folder / f"{stage}_{name}.png") as part:
            Image.fromarray(picture).save(part, format="png")


def _rgb(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)


def _table(names: list[str], labels: list[str], probabilities: npt.NDArray[np.float64]) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["path", "truth", "probability"])
    rows.writerows((name, label, f"{p:.6f}") for name, label, p in zip(names, labels, probabilities, strict=True))
    return text.getvalue()
