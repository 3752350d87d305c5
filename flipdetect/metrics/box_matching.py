"""Which found boxes are which true ones, in one picture."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

MATCH_IOU = 0.5


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


def ious(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Intersection over union of boxes (N, 4) and (M, 4) -> (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2, dtype=np.float64)
    areas = [(each[:, 2:] - each[:, :2]).prod(axis=1, dtype=np.float64) for each in (first, second)]
    union = areas[0][:, None] + areas[1][None, :] - common
    return np.asarray(common / np.maximum(union, np.finfo(np.float64).tiny), np.float64)


def match_boxes(
    boxes: npt.NDArray[Any], labels: npt.NDArray[Any], true_boxes: npt.NDArray[Any], true_labels: npt.NDArray[Any]
) -> PictureResult:
    """Match boxes one to one, within classes, as COCO does at an IoU of 0.5: the surest takes the best one left.

    Args:
        boxes, labels: (N, 4) and (N,), the surest first.
        true_boxes, true_labels: (M, 4) and (M,).
    """
    overlap = ious(boxes, true_boxes) * (labels[:, None] == true_labels[None, :])
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
