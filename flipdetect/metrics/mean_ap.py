"""COCO's metrics of object detection (Lin et al., 2014, arXiv:1405.0312) by torchmetrics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from flipdetect.metrics.box_matching import SUMMARY

PER_CLASS = {"map_per_class": "ap", "mar_100_per_class": "ar"}


class BoxMetrics(MeanAveragePrecision):
    """Collects the boxes of an epoch, then computes COCO's metrics at once; gathers those of all processes."""

    def __init__(self) -> None:
        # COCO's own thresholds: torchmetrics rounds them to float32, which changes the third decimal of small sets.
        super().__init__(
            iou_thresholds=np.linspace(0.5, 0.95, 10).tolist(),
            rec_thresholds=np.linspace(0, 1, 101).tolist(),
            class_metrics=True,
            extended_summary=True,
        )
        self.warn_on_many_detections = False

    def values(self, names: Sequence[str]) -> dict[str, float]:
        """The twelve metrics, `ap_<class>` and `ar_<class>` of each class, and `threshold` (see `best_threshold`).

        NaN where no true box is of that size or class; `names` are those of the classes, by label.
        """
        found: Mapping[str, Any] = self.compute()
        values = {name: _number(found[name]) for name in SUMMARY}
        labels = found["classes"].reshape(-1).tolist()
        for key, short in PER_CLASS.items():
            of_label = dict(zip(labels, found[key].reshape(-1).tolist(), strict=False))
            values |= {f"{short}_{name}": _number(of_label.get(label, -1.0)) for label, name in enumerate(names)}
        precision, scores = (found[name].numpy()[0, :, :, 0, -1] for name in ("precision", "scores"))
        values["threshold"] = best_threshold(precision, scores)
        return values


def best_threshold(precision: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]) -> float:
    """The score with the best mean F1 over the classes, at an IoU of 0.5; 0.5 if nothing was found.

    Args:
        precision: (101, K) at the recalls 0, 0.01, ..., 1; -1 for a class without true boxes.
        scores: (101, K), the lowest score with which each recall is reached; 0 where it is not.
    """
    recall = np.linspace(0, 1, len(precision))
    known = (precision > -1).all(axis=0)
    tried = np.unique(scores[:, known].round(3))
    tried = tried[tried > 0]
    if not len(tried):
        return 0.5
    f1 = np.where(precision > 0, 2 * precision * recall[:, None] / np.maximum(precision + recall[:, None], 1e-9), 0)
    # With a threshold, a class is at the last of its recalls whose score is not below it.
    means = [
        np.mean([f1[max(0, (scores[:, k] >= score).sum() - 1), k] for k in np.flatnonzero(known)]) for score in tried
    ]
    return float(tried[int(np.argmax(means))])


def _number(value: Tensor | float) -> float:
    number = float(value)
    return math.nan if number < 0 else number


def to_picture(boxes: Tensor, placement: Tensor, size: Tensor) -> Tensor:
    """Boxes (N, 4) in pixels of the model's input -> in pixels of the picture, clipped to its `size` (height, width).

    `placement` is (4,) factor and offset along x and y: input = picture * factor + offset.
    """
    factor, offset = placement[:2].repeat(2), placement[2:].repeat(2)
    limits = size.flip(0).repeat(2).to(boxes.dtype)
    return torch.minimum(((boxes - offset) / factor).clamp(min=0), limits)
