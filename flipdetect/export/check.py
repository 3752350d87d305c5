"""Check an exported model: compare its probabilities with the original's on the same frames. No torch."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError, FrameError, ModelError
from flipdetect.inference.model import Inputs, Model
from flipdetect.sources.folder import find_files

BATCH = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelDifference:
    """How much the outputs of two models differ.

    Attributes:
        frames: number of frames compared.
        mean, largest: absolute difference of probability, 0 to 1.
        hands: largest absolute difference between maps of hands, 0 to 1; None without maps.
        flipped: frames whose class at the threshold changes.
    """

    frames: int
    mean: float
    largest: float
    hands: float | None
    flipped: int


def compare_models(one: Model, other: Model, frames: Inputs, batch_size: int = BATCH) -> ModelDifference:
    """Compare two models with the same preprocessing on frames.

    Args:
        one, other: run by any engine.
        frames: preprocessed, (N, C, H, W) float32, N at least 1.
        batch_size: frames scored at a time.

    Raises:
        ModelError: if there is no frame, or only one of the models has maps.
    """
    if not len(frames):
        raise ModelError("models cannot be compared without a frame")
    differences, of_hands, flipped = [], [], 0
    for first in range(0, len(frames), batch_size):
        batch = frames[first : first + batch_size]
        (left, left_hands), (right, right_hands) = one.predict_with_maps(batch), other.predict_with_maps(batch)
        differences.append(np.abs(left - right))
        flipped += int(((left >= one.threshold) != (right >= other.threshold)).sum())
        if (left_hands is None) != (right_hands is None):
            raise ModelError(f"only one of {one.path} and {other.path} has maps of hands")
        if left_hands is not None and right_hands is not None:
            of_hands.append(np.abs(left_hands - right_hands).max())
    difference = np.concatenate(differences)
    hands = float(np.max(of_hands)) if of_hands else None
    return ModelDifference(len(frames), float(difference.mean()), float(difference.max()), hands, flipped)


def sample_frames(folder: Path, spec: PreprocessSpec, most: int) -> Inputs:
    """Frames of a folder and its subfolders, evenly spaced; unreadable ones are skipped with a warning.

    Args:
        folder: with frame files.
        spec: the model's preprocessing.
        most: number of frames at most.

    Returns:
        Preprocessed frames (N, C, H, W) float32 in the order of the folder.

    Raises:
        DataError: if the folder is absent, or contains no readable frame.
    """
    files = find_files(folder.expanduser()).files
    frames = []
    for place in np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int):
        try:
            frames.append(spec.load(files[place]))
        except FrameError as error:
            logger.warning("skipped: %s", error)
    if not frames:
        raise DataError(f"the folder {folder} contains no readable frame")
    return np.stack(frames)
