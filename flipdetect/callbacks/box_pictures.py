"""Pictures of boxes in TensorBoard and in the run's folder, true beside found; and what a training achieved."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from flipdetect.atomic import write_csv
from flipdetect.callbacks.checkpoints import run_folder
from flipdetect.callbacks.images import add_picture, rgb_of, show
from flipdetect.callbacks.scores import CollectingCallback
from flipdetect.evaluation.box_evaluation import PICTURE_COLUMNS, PictureEvaluation, evaluate_picture, mistakes_first
from flipdetect.inference.detector import FoundBoxes
from flipdetect.outputs.box_files import draw_boxes
from flipdetect.outputs.plots.canvas import figure_to_array
from flipdetect.outputs.plots.frames import plot_batch
from flipdetect.records import FrameRecord

logger = logging.getLogger(__name__)

FEW_PICTURES = 20
"""Of a split, below which its metrics say little."""


class DetectionCallback(CollectingCallback):
    """Base class: collects the boxes found in each complete validation and test run (of the main process).

    Args:
        count: how many pictures are shown.
        every_n_epochs: validation epochs between two images.
    """

    def __init__(self, count: int = 8, every_n_epochs: int = 1) -> None:
        self.count = count
        self.every_n_epochs = every_n_epochs
        self._found: dict[int, FoundBoxes] = {}

    def on_boxes(self, trainer: Trainer, stage: str, pictures: Sequence[PictureEvaluation]) -> None:
        """Use the boxes above the threshold in a split's pictures; a subclass overrides this."""

    def keep(self, outputs: Mapping[str, Any]) -> None:
        """Keep the boxes of a batch."""
        for index, each in zip(outputs["index"].tolist(), outputs["detections"], strict=True):
            arrays = (each[name].detach().cpu().numpy() for name in ("boxes", "scores", "labels"))
            self._found[index] = FoundBoxes(*arrays)

    def finish(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Pass on the boxes of a run."""
        found, self._found = self._found, {}
        due = stage == "test" or trainer.current_epoch % self.every_n_epochs == 0
        if not (found and due and trainer.is_global_zero) or trainer.sanity_checking:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        records, boxes = getattr(data.split, stage), data.boxes.boxes
        threshold = float(pl_module.get_buffer("threshold"))
        pictures = [
            evaluate_picture(records[place], data.root, each.above(threshold), boxes[records[place].file])
            for place, each in sorted(found.items())
        ]
        self.on_boxes(trainer, stage, pictures)

    def show(self, trainer: Trainer, stage: str, name: str, pictures: Sequence[PictureEvaluation]) -> None:
        """Draw true and found boxes; those of the test run, or without one of validation, also as a file."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        sheet = plot_batch([each.drawn(data.class_names) for each in pictures], [each.name for each in pictures])
        show(trainer, stage, name, sheet, keep=stage == "test" or not data.split.test)


class BoxPictures(DetectionCallback):
    """Shows the first training batch with its boxes, and in validation and test pictures with true and found boxes.

    The found ones are those above the threshold. Those of the test run are also written to `test_boxes.png`.
    """

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Draw the run's very first batch, augmented, at input size."""
        if trainer.global_step > 0 or not trainer.is_global_zero:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        images = [
            draw_boxes(rgb_of(data, image), each["boxes"].cpu().numpy(), each["labels"].tolist(), data.class_names)
            for image, each in list(zip(batch["image"], batch["targets"], strict=True))[: 2 * self.count]
        ]
        add_picture(trainer, "train/augmented_batch", figure_to_array(plot_batch(images, [""] * len(images))))

    def on_boxes(self, trainer: Trainer, stage: str, pictures: Sequence[PictureEvaluation]) -> None:
        """Draw pictures spread over the split, always the same ones."""
        self.show(trainer, stage, "boxes", pictures[:: max(1, len(pictures) // self.count)][: self.count])


class WorstPictures(DetectionCallback):
    """Shows the pictures with the most missed and false boxes at the threshold, with their file names.

    Those of the test run (without a test split, of the last validation) are also written to `<stage>_worst.png`, and
    the counts of all pictures to `<stage>_pictures.csv`.

    Args:
        count: how many pictures.
        every_n_epochs: validation epochs between two images.
    """

    def __init__(self, count: int = 12, every_n_epochs: int = 1) -> None:
        super().__init__(count, every_n_epochs)

    def on_boxes(self, trainer: Trainer, stage: str, pictures: Sequence[PictureEvaluation]) -> None:
        """Draw the worst, and list all."""
        worst = sorted(pictures, key=mistakes_first)
        if (folder := run_folder(trainer)) is not None:
            write_csv(folder / f"{stage}_pictures.csv", PICTURE_COLUMNS, [each.row() for each in worst])
        self.show(trainer, stage, "worst", worst[: self.count])


class DetectionSummary(Callback):
    """Summarises the test of the best checkpoint (without a test split: its validation) in `text`, and logs warnings.

    Attributes:
        text: a sentence; empty until the run has ended.
    """

    def __init__(self) -> None:
        self.text = ""

    def on_results(self, trainer: Trainer, results: dict[str, float]) -> None:
        """Write `text` and log the warnings."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        stage = "test" if "test_map" in results else "val"
        records: Sequence[FrameRecord] = getattr(data.split, stage)
        split = "Test" if stage == "test" else "Validation"
        self.text = (
            f"{split} mAP {results[f'{stage}_map']:.3f}, {results[f'{stage}_map_50']:.3f} at an IoU of 0.5, on "
            f"{len(records):,} pictures of {len({record.video for record in records}):,} videos; boxes are shown "
            f"from a score of {results[f'{stage}_threshold']:.2f}."
        )
        if stage != "test":
            logger.warning(
                "There is no test split: threshold and checkpoint were chosen on the validation pictures, so these "
                "metrics are optimistic. Set data.test_fraction"
            )
        if len(records) < FEW_PICTURES:
            logger.warning("mAP on %d pictures says little about others: annotate more.", len(records))
