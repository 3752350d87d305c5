"""Whether an exported model says what the trained one does: both look at the same frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flipdetect.atomic import replacing
from flipdetect.errors import ModelError
from flipdetect.export.onnx import Precision, export_onnx
from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import load_onnx
from flipdetect.inference.torch_model import TorchModel

Inputs = npt.NDArray[np.float32]

LIMITS: dict[Precision, float] = {"float32": 1e-4, "float16": 1e-2}
"""Largest difference of probability. The order in which numbers are summed explains far less than the first; what
rounding weights to float16 (11 significant bits) brings stays below the second, and a mistake does not."""
BATCH = 8


@dataclass(frozen=True)
class Parity:
    """How far two engines are apart.

    Attributes:
        frames: that both looked at.
        probability: largest difference of probability, 0 to 1.
        hands: largest difference between maps of hands, 0 to 1; None without maps.
        flipped: frames that the threshold puts into another class.
    """

    frames: int
    probability: float
    hands: float | None
    flipped: int


def measure_parity(one: Model, other: Model, frames: Inputs) -> Parity:
    """Compare what two models say of frames.

    Args:
        one, other: two engines' models of the same preprocessing.
        frames: preprocessed, (N, C, H, W) float32, N at least 1.

    Raises:
        ModelError: if there is no frame, or one of the models alone has maps.
    """
    if not len(frames):
        raise ModelError("engines cannot be compared without a frame")
    differences, of_hands, flipped = [], [], 0
    for first in range(0, len(frames), BATCH):
        (left, left_hands), (right, right_hands) = (
            model.predict_with_maps(frames[first : first + BATCH]) for model in (one, other)
        )
        differences.append(np.abs(left - right).max())
        flipped += int(((left >= one.threshold) != (right >= other.threshold)).sum())
        if (left_hands is None) != (right_hands is None):
            raise ModelError(f"of {one.path} and {other.path}, one alone has maps of hands")
        if left_hands is not None and right_hands is not None:
            of_hands.append(np.abs(left_hands - right_hands).max())
    hands = float(np.max(of_hands)) if of_hands else None
    return Parity(len(frames), float(np.max(differences)), hands, flipped)


def export_checked(bundle: TorchModel, path: Path, frames: Inputs, *, precision: Precision = "float32") -> Parity:
    """Export a model and keep the file only if it says of some frames what the model does.

    Args:
        bundle: the model.
        path: the file to write.
        frames: preprocessed, (N, C, H, W) float32, N at least 1.
        precision: see `export_onnx`.

    Raises:
        ModelError: as `export_onnx`; or if the two differ by more than `LIMITS` allow. A file that was there stays.
        OSError: if the file cannot be written.
    """
    with replacing(path) as part:
        parity = measure_parity(bundle, load_onnx(export_onnx(bundle, part, precision=precision)), frames)
        if not parity.probability <= LIMITS[precision]:
            raise ModelError(
                f"exported, {bundle.path} gives probabilities that differ by up to {parity.probability:.2g} on "
                f"{parity.frames} frames; {LIMITS[precision]:g} is allowed. Nothing was written"
            )
    return parity
