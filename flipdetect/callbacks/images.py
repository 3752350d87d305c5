"""Images in TensorBoard and in the run's folder: training batches, evaluation curves, worst mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from flipdetect.atomic import replacing, write_csv
from flipdetect.callbacks.checkpoints import run_folder
from flipdetect.callbacks.scores import EpochScores, ScoreCallback
from flipdetect.metrics.threshold import confusion_matrix
from flipdetect.outputs.plots.canvas import figure_to_array
from flipdetect.outputs.plots.curves import plot_confusion, plot_pr_curve
from flipdetect.outputs.plots.frames import plot_batch, plot_mistakes
from flipdetect.sources.folder import name_below


class AugmentedBatch(Callback):
    """Shows the first training batch as the model receives it: augmented, at input size.

    Args:
        frames: how many frames of the batch to show.
    """

    def __init__(self, frames: int = 16) -> None:
        self.frames = frames

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Draw the run's very first batch."""
        if trainer.global_step > 0 or not trainer.is_global_zero or "image" not in batch:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        images = [rgb_of(data, image) for image in batch["image"][: self.frames]]
        titles = [data.classes.names[int(target)] for target in batch["target"][: self.frames]]
        add_picture(trainer, "train/augmented_batch", figure_to_array(plot_batch(images, titles)))


class EvaluationCurves(ScoreCallback):
    """Draws the precision-recall curve and the confusion matrix of each validation and test run.

    Args:
        every_n_epochs: validation epochs between two images.
    """

    def on_scores(self, trainer: Trainer, pl_module: LightningModule, scores: EpochScores) -> None:
        """Draw both; those of the test run are also written as PNG files to the run's folder."""
        classes = trainer.datamodule.classes  # type: ignore[attr-defined]
        values = (scores.probabilities, scores.targets, scores.threshold)
        for name, figure in (
            ("pr_curve", plot_pr_curve(*values)),
            ("confusion_matrix", plot_confusion(confusion_matrix(*values), classes)),
        ):
            show(trainer, scores.stage, name, figure, keep=scores.stage == "test")


class WorstMistakes(ScoreCallback):
    """Shows the most confident wrong predictions, with their file names.

    Args:
        count: how many frames to show.
        every_n_epochs: validation epochs between two images.
    """

    def __init__(self, count: int = 12, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.count = count

    def on_scores(self, trainer: Trainer, pl_module: LightningModule, scores: EpochScores) -> None:
        """Draw the worst mistakes; those of the test run are also written to `test_mistakes.png` and `.csv`."""
        wrong = np.flatnonzero((scores.probabilities >= scores.threshold) != (scores.targets == 1))
        error = np.abs(scores.probabilities - scores.targets)[wrong]
        worst = wrong[np.argsort(-error, kind="stable")][: self.count]
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        records = getattr(data.split, scores.stage)
        dataset = data.dataset([records[scores.indices[i]] for i in worst])
        if not len(dataset):
            return
        names = [name_below(record.path, data.root) for record in dataset.records]
        probabilities, truths = scores.probabilities[worst], scores.targets[worst]
        images = [rgb_of(data, dataset[i]["image"]) for i in range(len(dataset))]
        sheet, is_test = plot_mistakes(images, names, truths, probabilities, data.classes), scores.stage == "test"
        show(trainer, scores.stage, "mistakes", sheet, keep=is_test)
        if is_test and (folder := run_folder(trainer)) is not None:
            texts = (f"{probability:.6f}" for probability in probabilities)
            rows = zip(names, (data.classes.names[truth] for truth in truths), texts, strict=True)
            write_csv(folder / "test_mistakes.csv", ("path", "truth", "probability"), rows)


def add_picture(trainer: Trainer, tag: str, picture: npt.NDArray[np.uint8]) -> None:
    """Add an image (H, W, 3) uint8 to every TensorBoard log of the run."""
    for log in trainer.loggers:
        if isinstance(log, TensorBoardLogger):
            log.experiment.add_image(tag, picture, trainer.current_epoch, dataformats="HWC")


def show(trainer: Trainer, stage: str, name: str, figure: Figure, *, keep: bool) -> None:
    """Add a figure of a split's run to the logs; keep: also write it to the run's folder, as `<stage>_<name>.png`."""
    picture = figure_to_array(figure)
    add_picture(trainer, f"{stage}/{name}", picture)
    folder = run_folder(trainer)
    if keep and folder is not None:
        with replacing(folder / f"{stage}_{name}.png") as part:
            Image.fromarray(picture).save(part, format="png")


def rgb_of(data: Any, image: torch.Tensor) -> npt.NDArray[np.uint8]:
    """A preprocessed frame (C, H, W) float32 as an image (H, W, 3) uint8."""
    picture: npt.NDArray[np.uint8] = data.preprocess.to_uint8(image.cpu().numpy())
    return picture if picture.shape[2] == 3 else np.repeat(picture, 3, axis=2)
