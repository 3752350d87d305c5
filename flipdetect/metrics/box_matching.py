"""Boxes found in a picture matched with the true ones, and COCO's table; without torchmetrics, slow to import."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

SUMMARY = {
    "map": "Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]",
    "map_50": "Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ]",
    "map_75": "Average Precision  (AP) @[ IoU=0.75      | area=   all | maxDets=100 ]",
    "map_small": "Average Precision  (AP) @[ IoU=0.50:0.95 | area= small | maxDets=100 ]",
    "map_medium": "Average Precision  (AP) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ]",
    "map_large": "Average Precision  (AP) @[ IoU=0.50:0.95 | area= large | maxDets=100 ]",
    "mar_1": "Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=  1 ]",
    "mar_10": "Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets= 10 ]",
    "mar_100": "Average Recall     (AR) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ]",
    "mar_small": "Average Recall     (AR) @[ IoU=0.50:0.95 | area= small | maxDets=100 ]",
    "mar_medium": "Average Recall     (AR) @[ IoU=0.50:0.95 | area=medium | maxDets=100 ]",
    "mar_large": "Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ]",
}
"""The twelve metrics in COCO's order and words. Small boxes have less than 32², large ones more than 96² pixels."""

MATCH_IOU = 0.5


def coco_table(values: Mapping[str, float], prefix: str = "") -> str:
    """The twelve metrics as COCO's own program prints them, then average precision and recall of each class.

    `values` are those of `BoxMetrics.values`, their names with a prefix such as `test_`.
    """
    lines = [f" {words} = {_shown(values.get(prefix + name))}" for name, words in SUMMARY.items()]
    start = f"{prefix}ap_"
    for key in values:
        if key.startswith(start):
            name = key.removeprefix(start)
            lines.append(f" {name}: AP {_shown(values[key])}, AR {_shown(values.get(f'{prefix}ar_{name}'))}")
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "   -" if value is None or math.isnan(value) else f"{value:.3f}"


class PictureResult(NamedTuple):
    """How well the boxes found in a picture fit the true ones.

    Attributes:
        found: number of true boxes that were found, each by a box of its class with an IoU of at least 0.5.
        missed: number of the others.
        false: number of found boxes that are no true one.
        iou: mean IoU of the true boxes, 0 for a missed one; 1 if there are none.
    """

    found: int
    missed: int
    false: int
    iou: float


def match_boxes(
    boxes: npt.NDArray[Any], labels: npt.NDArray[Any], true_boxes: npt.NDArray[Any], true_labels: npt.NDArray[Any]
) -> PictureResult:
    """Match boxes (N, 4) one to one, within classes, as COCO at an IoU of 0.5: the surest takes the best one left."""
    from torchvision.ops import box_iou  # torchvision is slow to import

    pairs = [torch.as_tensor(each, dtype=torch.float64).reshape(-1, 4) for each in (boxes, true_boxes)]
    overlap = box_iou(*pairs).nan_to_num().numpy() * (labels[:, None] == true_labels[None, :])
    best = np.zeros(len(true_boxes))
    matched = 0
    for row in overlap:
        free = np.where(best > 0, 0, row)
        if len(free) and free.max() >= MATCH_IOU:
            best[int(free.argmax())] = free.max()
            matched += 1
    return PictureResult(
        matched, len(true_boxes) - matched, len(boxes) - matched, float(best.mean()) if len(best) else 1.0
    )
