"""A detector on annotated pictures: COCO's metrics, the pictures with the most mistakes, tables and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from flipdetect.atomic import write_csv, writing
from flipdetect.data.boxes.annotations import PictureBoxes
from flipdetect.data.boxes.box_index import EMPTY, index_boxes
from flipdetect.data.splits import read_split
from flipdetect.errors import DataError, FrameError
from flipdetect.inference.detector import Detector, FoundBoxes
from flipdetect.metrics.box_matching import SUMMARY, PictureResult, coco_table, match_boxes
from flipdetect.outputs.box_files import draw_boxes, side_by_side
from flipdetect.outputs.html_report import embed_jpeg, page_template
from flipdetect.outputs.plots.canvas import save_figure
from flipdetect.outputs.plots.frames import plot_batch
from flipdetect.progress import progress_bar
from flipdetect.records import FrameRecord
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import decode_frame

BATCH = 8
TEMPLATE = "box_report.html.j2"
PICTURE_COLUMNS = ("path", "found", "missed", "false", "mean_iou")
REPORT_SIZE, REPORT_QUALITY = (960, 640), 80
"""Of the pictures in a report, true and found boxes side by side."""


class PictureEvaluation(NamedTuple):
    """What was found in a picture above the threshold, and what is there; `name` is its file's, below the data set."""

    record: FrameRecord
    name: str
    found: FoundBoxes
    truth: PictureBoxes
    result: PictureResult

    def row(self) -> tuple[str, int, int, int, str]:
        """The values of `PICTURE_COLUMNS`."""
        return (self.name, *self.result[:3], f"{self.result.iou:.4f}")

    def drawn(self, names: Sequence[str]) -> npt.NDArray[np.uint8]:
        """The picture with its true boxes, and right of it with the found ones: (H, W', 3) uint8."""
        picture, (boxes, labels, _), found = decode_frame(self.record.path), self.truth, self.found
        left = draw_boxes(picture, boxes, labels.tolist(), names)
        return side_by_side(left, draw_boxes(picture, found.boxes, found.labels.tolist(), names, found.scores.tolist()))


@dataclass(frozen=True)
class BoxEvaluation:
    """A detector's metrics on a data set.

    Attributes:
        model, data_set: names, as they were given.
        classes: names, by label.
        threshold: score from which boxes count in `pictures`; the metrics take all.
        values: the twelve metrics and those of each class, by the names of `BoxMetrics.values`.
        pictures: those with the most mistakes first.
        problems: number of boxes and files that could not be used.
    """

    model: str
    data_set: str
    classes: tuple[str, ...]
    threshold: float
    values: dict[str, float]
    pictures: list[PictureEvaluation]
    problems: int

    def as_dict(self) -> dict[str, Any]:
        """All but the pictures, as JSON takes it."""
        counts = np.sum([each.result[:3] for each in self.pictures], axis=0).tolist()
        about = {
            "model": self.model,
            "data": self.data_set,
            "pictures": len(self.pictures),
            "threshold": self.threshold,
        }
        return {**about, **dict(zip(("found", "missed", "false"), counts, strict=True)), **self.values}

    def table(self) -> str:
        """COCO's table under a line that says of what."""
        facts = self.as_dict()
        return (
            f"{self.model} on {self.data_set}: {facts['pictures']:,} pictures. At a score of {self.threshold:.2f} and "
            f"an IoU of 0.5: {facts['found']:,} boxes found, {facts['missed']:,} missed, {facts['false']:,} false.\n"
            + coco_table(self.values)
        )


def evaluate_boxes(
    name: str,
    detector: Detector,
    folder: Path,
    *,
    split: str | None = None,
    split_file: Path | None = None,
    threshold: float | None = None,
) -> BoxEvaluation:
    """Evaluate a detector on annotated pictures; boxes of classes that it does not know are left out.

    Args:
        split: "train", "val" or "test"; None for all pictures.
        split_file: of that split; None: the one next to the detector.
        threshold: score from which boxes are counted; None: the detector's own.

    Raises:
        DataError: if there are no annotations, or no picture of the split.
    """
    index = index_boxes(folder, "auto", detector.classes)
    records: Sequence[FrameRecord] = index.frames.records
    if split is not None:
        file = split_file or detector.path.with_name("splits.csv")
        records = read_split(file, records, folder, EMPTY, both_classes=False).of(split)
    if not records:
        raise DataError(f"the {split} split has no pictures; choose another with --split")
    least = detector.threshold if threshold is None else threshold
    from flipdetect.metrics.mean_ap import BoxMetrics  # brings most of torchmetrics

    metrics = BoxMetrics()
    pictures = []
    bar = progress_bar(total=len(records), desc=f"evaluating {name}", unit="picture", delay=2)
    problems = len(index.frames.problems)
    queue = iter(records)
    while batch := list(islice(queue, BATCH)):
        frames, readable = [], []
        for record in batch:
            try:
                frames.append(decode_frame(record.path))
                readable.append(record)
            except FrameError:
                problems += 1
        for record, found in zip(readable, detector.find(frames) if frames else [], strict=True):
            truth = index.boxes[record.file]
            metrics.update([_tensors(found)], [_tensors(truth)])
            pictures.append(evaluate_picture(record, folder, found.above(least), truth))
        bar.update(len(batch))
    bar.close()
    pictures.sort(key=mistakes_first)
    values = metrics.values(detector.classes)
    del values["threshold"]
    return BoxEvaluation(name, str(folder), detector.classes, least, values, pictures, problems)


def evaluate_picture(record: FrameRecord, root: Path, found: FoundBoxes, truth: PictureBoxes) -> PictureEvaluation:
    """Compare the boxes found in a picture of the data set `root` with the true ones."""
    result = match_boxes(found.boxes, found.labels, truth.boxes, truth.labels)
    return PictureEvaluation(record, name_below(record.path, root), found, truth, result)


def mistakes_first(each: PictureEvaluation) -> tuple[int, float]:
    """By which pictures are sorted: most mistakes first, among equals the worst boxes."""
    return -each.result.missed - each.result.false, each.result.iou


def _tensors(boxes: FoundBoxes | PictureBoxes) -> dict[str, torch.Tensor]:
    found = {"boxes": torch.from_numpy(boxes.boxes.astype(np.float32)), "labels": torch.from_numpy(boxes.labels)}
    if isinstance(boxes, FoundBoxes):
        found["scores"] = torch.from_numpy(boxes.scores)
    return found


def draw_worst(path: Path, evaluation: BoxEvaluation, count: int) -> None:
    """Write a sheet of the pictures with the most mistakes, true boxes left and found ones right, as PNG."""
    worst = evaluation.pictures[:count]
    images = [each.drawn(evaluation.classes) for each in worst]
    titles = [f"{each.name}: {each.result.missed} missed, {each.result.false} false" for each in worst]
    with writing(path) as part:
        save_figure(plot_batch(images, titles), part)


def write_pictures(path: Path, evaluations: Sequence[BoxEvaluation]) -> None:
    """Write a row per picture with the numbers of boxes found, missed and false, and the mean IoU, as CSV."""
    rows = ((each.model, *picture.row()) for each in evaluations for picture in each.pictures)
    write_csv(path, ("model", *PICTURE_COLUMNS), rows)


def write_box_report(folder: Path, evaluations: Sequence[BoxEvaluation], count: int) -> Path:
    """Write `index.html` with COCO's metrics and the worst pictures of each detector; it needs no other file."""
    template = page_template("flipdetect.evaluation", [TEMPLATE], {})
    parts = [
        {
            "facts": each.as_dict(),
            "summary": [(words, each.values[name]) for name, words in SUMMARY.items()],
            "per_class": [(c, each.values[f"ap_{c}"], each.values[f"ar_{c}"]) for c in each.classes],
            "worst": [
                (p, embed_jpeg(p.drawn(each.classes), *REPORT_SIZE, REPORT_QUALITY)["address"])
                for p in each.pictures[:count]
            ],
        }
        for each in evaluations
    ]
    path = folder / "index.html"
    with writing(path) as part:
        part.write_text(template.render(parts=parts), encoding="utf-8")
    return path
