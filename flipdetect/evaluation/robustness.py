"""How much worse a model is on frames that a phone, a desk or a file format has corrupted.

Each file is decoded once, as for prediction: a JPEG no larger than the model's input needs, which is once to twice its
size. The corruptions are applied to that frame, before preprocessing scales and pads it. A model of grey frames gets
the grey frame in all three channels, corrupted and converted back.

Corruptions are pure functions from a frame (H, W, 3) uint8 RGB to a new one of the same shape and dtype. Lengths are
shares of the frame's shorter side, which no library offers: they mean the same at any size. Where a rotated or shrunken
image leaves an edge uncovered it is mirrored, as in the augmentation of training.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tabulate import tabulate

from flipdetect.data.index import FrameIndex
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError, FrameError
from flipdetect.evaluation.evaluate import metrics_with_oracle
from flipdetect.inference.model import Model
from flipdetect.progress import progress_bar
from flipdetect.sources.image import decode_frame, in_order

Frame = npt.NDArray[np.uint8]
Corruption = Callable[[Frame], Frame]
Corruptions = Mapping[str, Corruption]
"""Functions by their names."""

COMPARED = ("f1", "auroc")


def brightness(frame: Frame, factor: float) -> Frame:
    """Multiply all values, and clip them as a sensor does."""
    return _to_uint8(frame.astype(np.float32) * factor)


def contrast(frame: Frame, factor: float) -> Frame:
    """Stretch (above 1) or compress (below 1) values around the frame's mean."""
    mean = float(frame.mean())
    return _to_uint8((frame.astype(np.float32) - mean) * factor + mean)


def greyscale(frame: Frame) -> Frame:
    """Luma (Rec. 601) in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)


def hue_shift(frame: Frame, degrees: float) -> Frame:
    """Rotate the hue of HSV: red becomes yellow at 60 degrees; greys stay."""
    hsv = np.asarray(cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2HSV), np.float32)
    hsv[..., 0] = (hsv[..., 0] + degrees) % 360
    return _to_uint8(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32) * 255)


def mirror(frame: Frame) -> Frame:
    """Exchange left and right."""
    return np.ascontiguousarray(frame[:, ::-1])


def half_turn(frame: Frame) -> Frame:
    """Rotate by 180 degrees: the desk seen from its other side."""
    return np.ascontiguousarray(frame[::-1, ::-1])


def rotate_and_zoom(frame: Frame, degrees: float = 0.0, factor: float = 1.0) -> Frame:
    """Rotate counter-clockwise and enlarge (factor above 1) about the centre, keeping the size."""
    height, width = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, factor)
    warped = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )  # fmt: skip
    return warped.astype(np.uint8, copy=False)


def blur(frame: Frame, share: float) -> Frame:
    """Gaussian blur with a standard deviation of that share of the shorter side."""
    sigma = share * min(frame.shape[:2])
    return cv2.GaussianBlur(frame, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101).astype(np.uint8, copy=False)


def noise(frame: Frame, deviation: float) -> Frame:
    """Add Gaussian noise of that many levels of 255 to each value; the frame's own pixels are the seed."""
    stream = np.random.default_rng(zlib.crc32(frame.tobytes()))
    return _to_uint8(frame.astype(np.float32) + stream.normal(0.0, deviation, frame.shape).astype(np.float32))


def jpeg(frame: Frame, quality: int) -> Frame:
    """Compress as JPEG of that quality, 1 to 100, and decode."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[:, :, ::-1])


def low_resolution(frame: Frame, share: float) -> Frame:
    """Shrink to that share of each side, averaging, and enlarge to the old size again."""
    height, width = frame.shape[:2]
    small = (max(1, round(width * share)), max(1, round(height * share)))
    shrunk = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _to_uint8(values: npt.NDArray[np.float32]) -> Frame:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


BASIC: Corruptions = {
    "brightness +15%": partial(brightness, factor=1.15),
    "brightness -15%": partial(brightness, factor=0.85),
    "greyscale": greyscale,
    "hue +20 degrees": partial(hue_shift, degrees=20),
    "hue -20 degrees": partial(hue_shift, degrees=-20),
    "mirrored": mirror,
    "rotated 180 degrees": half_turn,
}
FULL: Corruptions = {
    **BASIC,
    "brightness +30%": partial(brightness, factor=1.3),
    "brightness -30%": partial(brightness, factor=0.7),
    "contrast +25%": partial(contrast, factor=1.25),
    "contrast -25%": partial(contrast, factor=0.75),
    "contrast -50%": partial(contrast, factor=0.5),
    "blur 0.5% of width": partial(blur, share=0.005),
    "blur 1% of width": partial(blur, share=0.01),
    "blur 2% of width": partial(blur, share=0.02),
    "noise 5 levels": partial(noise, deviation=5),
    "noise 10 levels": partial(noise, deviation=10),
    "noise 20 levels": partial(noise, deviation=20),
    "JPEG quality 60": partial(jpeg, quality=60),
    "JPEG quality 30": partial(jpeg, quality=30),
    "JPEG quality 10": partial(jpeg, quality=10),
    "rotated +10 degrees": partial(rotate_and_zoom, degrees=10),
    "rotated -10 degrees": partial(rotate_and_zoom, degrees=-10),
    "zoom 0.85": partial(rotate_and_zoom, factor=0.85),
    "zoom 1.15": partial(rotate_and_zoom, factor=1.15),
    "zoom 1.3": partial(rotate_and_zoom, factor=1.3),
    "1/2 resolution": partial(low_resolution, share=1 / 2),
    "1/3 resolution": partial(low_resolution, share=1 / 3),
    "1/4 resolution": partial(low_resolution, share=1 / 4),
}


@dataclass(frozen=True)
class Condition:
    """A model's metrics on frames with one corruption, and the changes of F1 and AUROC from clean frames."""

    name: str
    metrics: dict[str, float]
    changes: dict[str, float]


@dataclass(frozen=True)
class Robustness:
    """A model under several conditions on one data set."""

    conditions: tuple[Condition, ...]
    frames: int
    failed: tuple[str, ...]
    threshold: float

    def table(self) -> str:
        """A line per condition: F1 and AUROC with their changes, and the share of frames predicted positive."""
        rows = [
            (each.name, each.metrics["f1"], each.changes["f1"], each.metrics["auroc"], each.changes["auroc"],
             each.metrics["called_positive"])
            for each in self.conditions
        ]  # fmt: skip
        headers = ("frames", "F1", "change", "AUROC", "change", "predicted positive")
        formats = ("", ".3f", "+.3f", ".3f", "+.3f", ".3f")
        return tabulate(rows, headers=headers, floatfmt=formats, disable_numparse=[0])

    def as_dict(self) -> dict[str, Any]:
        """All metrics as JSON types."""
        conditions = [{"name": each.name, **each.metrics, "changes": each.changes} for each in self.conditions]
        return {
            "frames": self.frames,
            "unreadable": len(self.failed),
            "threshold": self.threshold,
            "conditions": conditions,
        }


def measure_robustness(
    model: Model, index: FrameIndex, corruptions: Corruptions, threshold: float | None = None
) -> Robustness:
    """Evaluate a model on clean frames and under each corruption; a `DataError` if no frame can be read."""
    threshold = model.threshold if threshold is None else threshold
    changes: dict[str, Corruption] = {"clean": np.copy, **corruptions}
    scores: list[npt.NDArray[np.float64]] = []
    targets: list[int] = []
    failed: list[str] = []

    def load(path: Path) -> npt.NDArray[np.float32] | FrameError:
        try:
            return corrupted_frames(model.preprocess, path, list(changes.values()))
        except FrameError as error:
            return error

    total, workers = len(index.records), os.cpu_count() or 1
    variants = in_order((partial(load, record.path) for record in index.records), workers, workers)
    shown = progress_bar(variants, total=total, desc="scoring", unit="frame", delay=2, mininterval=1)
    for record, frames in zip(index.records, shown, strict=True):
        if isinstance(frames, FrameError):
            failed.append(str(frames))
        else:
            scores.append(model.probabilities(frames))
            targets.append(model.classes.target(record.label))
    if not scores:
        raise DataError(f"none of the {total} frames under {index.root} can be read; first: {failed[0]}")
    conditions: list[Condition] = []
    for name, column in zip(changes, np.stack(scores).T, strict=True):
        metrics = metrics_with_oracle(column, targets, threshold)
        metrics["called_positive"] = float((column >= threshold).mean())
        clean = conditions[0].metrics if conditions else metrics
        conditions.append(Condition(name, metrics, {each: metrics[each] - clean[each] for each in COMPARED}))
    return Robustness(tuple(conditions), len(targets), tuple(failed), threshold)


def corrupted_frames(spec: PreprocessSpec, path: Path, changes: Sequence[Corruption]) -> npt.NDArray[np.float32]:
    """A file decoded once, corrupted in P ways and preprocessed: (P, channels, height, width) float32."""
    frame = decode_frame(path, min_size=(2 * spec.height, 2 * spec.width), channels=spec.channels)
    colour = frame if spec.channels == 3 else np.repeat(frame, 3, axis=2)
    changed = [change(colour) for change in changes]
    if spec.channels == 1:
        changed = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis].astype(np.uint8) for each in changed]
    return np.stack([spec.normalise(spec.resize(each)) for each in changed])
