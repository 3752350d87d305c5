"""Pictures of boxes in TensorBoard and in the run's folder, true beside found; and what a training achieved."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

from flipdetect.atomic import replacing, write_csv
from flipdetect.callbacks.checkpoints import run_folder
from flipdetect.callbacks.images import add_picture, rgb_of
from flipdetect.callbacks.scores import CollectingCallback
from flipdetect.inference.detector import FoundBoxes
from flipdetect.metrics.box_matching import match_boxes
from flipdetect.outputs.drawn_boxes import draw_boxes, side_by_side
from flipdetect.outputs.plots.canvas import figure_to_array
from flipdetect.outputs.plots.frames import plot_batch
from flipdetect.records import FrameRecord
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import decode_frame

logger = logging.getLogger(__name__)

FEW_PICTURES = 20
"""Of a split, below which its metrics say little."""


class DetectionCallback(CollectingCallback):
    """Base class: collects the boxes found in each complete validation and test run (of the main process).

    Args:
        every_n_epochs: validation epochs between two calls of `on_boxes`.
    """

    def __init__(self, every_n_epochs: int = 1) -> None:
        self.every_n_epochs = every_n_epochs
        self._found: dict[int, FoundBoxes] = {}

    def on_boxes(self, trainer: Trainer, module: Any, stage: str, found: Mapping[int, FoundBoxes]) -> None:
        """Use the boxes found in a split, by position in its records; a subclass overrides this."""

    def keep(self, outputs: Mapping[str, Any]) -> None:
        """Keep the boxes of a batch."""
        for index, each in zip(outputs["index"].tolist(), outputs["detections"], strict=True):
            arrays = (each[name].detach().cpu().numpy() for name in ("boxes", "scores", "labels"))
            self._found[index] = FoundBoxes(*arrays)

    def finish(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Pass on the boxes of a run."""
        found, self._found = self._found, {}
        due = stage == "test" or trainer.current_epoch % self.every_n_epochs == 0
        if found and due and trainer.is_global_zero and not trainer.sanity_checking:
            self.on_boxes(trainer, pl_module, stage, found)


class BoxPictures(DetectionCallback):
    """Shows the first training batch with its boxes, and in validation and test pictures with true and found boxes.

    The found ones are those above the threshold. Those of the test run are also written to `test_boxes.png`.

    Args:
        count: how many pictures.
        every_n_epochs: validation epochs between two images.
    """

    def __init__(self, count: int = 8, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.count = count

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

    def on_boxes(self, trainer: Trainer, module: Any, stage: str, found: Mapping[int, FoundBoxes]) -> None:
        """Draw pictures spread over the split, always the same ones."""
        places = sorted(found)
        chosen = places[:: max(1, len(places) // self.count)][: self.count]
        _show(trainer, module, stage, "boxes", {place: found[place] for place in chosen})


class WorstPictures(DetectionCallback):
    """Shows the pictures with the most missed and false boxes at the threshold, with their file names.

    Those of the test run (without a test split, of the last validation) are also written to `<stage>_worst.png`, and
    the counts of all pictures to `<stage>_pictures.csv`.

    Args:
        count: how many pictures.
        every_n_epochs: validation epochs between two images.
    """

    def __init__(self, count: int = 12, every_n_epochs: int = 1) -> None:
        super().__init__(every_n_epochs)
        self.count = count

    def on_boxes(self, trainer: Trainer, module: Any, stage: str, found: Mapping[int, FoundBoxes]) -> None:
        """Draw the worst, and list all."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        records, threshold = getattr(data.split, stage), float(module.threshold)
        rows = {}
        for place, each in found.items():
            kept, truth = each.above(threshold), data.boxes.boxes[records[place].file]
            rows[place] = match_boxes(kept.boxes, kept.labels, truth.boxes, truth.labels)
        worst = sorted(rows, key=lambda place: (-rows[place].missed - rows[place].false, rows[place].iou))
        folder = run_folder(trainer)
        if folder is not None:
            names = [name_below(records[place].path, data.root) for place in worst]
            cells = [(*rows[place][:3], f"{rows[place].iou:.4f}") for place in worst]
            table = [(name, *row) for name, row in zip(names, cells, strict=True)]
            write_csv(folder / f"{stage}_pictures.csv", ("path", "found", "missed", "false", "mean_iou"), table)
        _show(trainer, module, stage, "worst", {place: found[place] for place in worst[: self.count]})


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


def _show(trainer: Trainer, module: Any, stage: str, name: str, found: Mapping[int, FoundBoxes]) -> None:
    """Draw true and found boxes of pictures; of a test also into `<stage>_<name>.png`."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    records = getattr(data.split, stage)
    images, titles = [], []
    for place, each in found.items():
        record = records[place]
        images.append(truth_beside(record, each.above(float(module.threshold)), data.boxes.boxes, data.class_names))
        titles.append(name_below(record.path, data.root))
    if not images:
        return
    sheet = figure_to_array(plot_batch(images, titles))
    add_picture(trainer, f"{stage}/{name}", sheet)
    folder = run_folder(trainer)
    if folder is not None and (stage == "test" or not data.split.test):
        with replacing(folder / f"{stage}_{name}.png") as part:
            Image.fromarray(sheet).save(part, format="png")


def truth_beside(
    record: FrameRecord, found: FoundBoxes, boxes: Mapping[str, Any], names: Sequence[str]
) -> npt.NDArray[np.uint8]:
    """The picture with its true boxes, beside it with the found ones: (H, W', 3) uint8."""
    picture, truth = decode_frame(record.path), boxes[record.file]
    left = draw_boxes(picture, truth.boxes, truth.labels.tolist(), names)
    right = draw_boxes(picture, found.boxes, found.labels.tolist(), names, found.scores.tolist())
    return side_by_side(left, right)
