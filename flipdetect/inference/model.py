"""`Model`: a trained model, whatever engine runs it. Decoded frames in, probabilities out. No torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, FlipdetectError, ModelError
from flipdetect.records import ClassNames
from flipdetect.runs import NO_TEMPERATURE, stored_temperature
from flipdetect.sources.image import check_frame
from flipdetect.sources.naming import NamePattern

Frame = npt.NDArray[np.uint8]
Inputs = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float64]
Maps = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Model(ABC):
    """A trained model, ready to predict; see `TorchModel` (PyTorch) and `OnnxModel` (ONNX Runtime).

    Attributes:
        threshold: a frame with at least this probability belongs to the positive class.
        naming: pattern of file names that the model was trained with; None for the default.
        temperature: the logits are divided by this to become probabilities.
    """

    classes: ClassNames
    preprocess: PreprocessSpec
    threshold: float
    naming: NamePattern | None
    path: Path
    temperature: float = NO_TEMPERATURE

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:  # also of NaN
            raise ModelError(f"its threshold is {self.threshold}, and must lie between 0 and 1")

    def checked(self, probabilities: Probabilities) -> Probabilities:
        """Probabilities as they are; raises ModelError if one is not finite: weights are damaged, or diverged."""
        if not np.isfinite(probabilities).all():
            raise ModelError(
                f"{self.path} gives scores that are no numbers: its weights are damaged, or its training "
                "diverged; use another checkpoint"
            )
        return probabilities

    @property
    @abstractmethod
    def runs_on(self) -> str:
        """Engine and device, for the user."""

    @property
    def is_single_threaded(self) -> bool:
        """Whether a call computes in the calling thread alone, so that several threads may call at the same time."""
        return False

    @abstractmethod
    def probabilities(self, frames: Inputs) -> Probabilities:
        """Preprocessed frames (B, C, H, W) float32 -> probability of the positive class (B,) float64."""

    @abstractmethod
    def predict_with_maps(self, frames: Inputs) -> tuple[Probabilities, Maps | None]:
        """Probabilities, and where the hands are.

        Args:
            frames: preprocessed, (B, C, H, W) float32.

        Returns:
            Probabilities of the positive class (B,) float64, and the share of each grid cell of the frame that hands
            cover (B, h, w) float32; None if the model has no maps.
        """

    def predict(self, frames: Frame | Iterable[Frame], batch_size: int = 16) -> Probabilities:
        """Decoded frames of any size -> probability of the positive class (a flip), one per frame.

        Frames are resized and normalised as in training. Scores of files (`flipdetect predict`) can differ slightly:
        JPEGs are scaled while they are decoded.

        Args:
            frames: one frame (H, W, 3) uint8 RGB, several of one size (N, H, W, 3), or an iterable of frames whose
                sizes may differ, such as the frames of a video; at most one batch is held in memory.

        Returns:
            (N,) float64, 0 to 1; of length 1 for one frame.

        Raises:
            FrameError: if a frame has another shape or dtype, or no pixels.
            ConfigError: if `batch_size` is below 1.
        """
        scores = [
            self.probabilities(np.stack([prepare_frame(self.preprocess, frame) for frame in batch]))
            for batch in batches(frames, batch_size)
        ]
        return np.concatenate(scores) if scores else np.empty(0)


def batches(frames: Frame | Iterable[Frame], size: int) -> Iterator[list[Frame]]:
    """One frame, (H, W, 3), or several, some at a time; raises ConfigError if the size is below 1."""
    if size < 1:
        raise ConfigError(f"batch_size must be at least 1, got {size}")
    queue = iter([frames] if isinstance(frames, np.ndarray) and frames.ndim != 4 else frames)
    while batch := list(islice(queue, size)):
        yield batch


def classifier_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What the file of a classifier says besides what that of a detector says; call it in `naming_damage`."""
    return {
        "classes": ClassNames(**facts["classes"]),
        "naming": None if facts["naming"] is None else NamePattern(**facts["naming"]),
        "temperature": stored_temperature(facts),
    }


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Whatever is wrong with what a file says becomes a ModelError that names the file."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:  # RecursionError is a RuntimeError
        raise ModelError(f"{path} is damaged or was changed: {error}") from error
    except FlipdetectError as error:
        raise ModelError(f"{path} cannot be used: {error}") from error


def prepare_frame(spec: PreprocessSpec, frame: Frame) -> Inputs:
    """A decoded frame (H, W, 3) uint8 RGB -> the model's input, (channels, height, width) float32.

    Raises:
        FrameError: if the frame has another shape or dtype, or no pixels.
    """
    check_frame(frame)
    return spec.normalise(resize_frame(spec, frame))


def resize_frame(spec: PreprocessSpec, frame: Frame) -> Frame:
    """A decoded frame (H, W, 3) uint8 RGB -> (height, width, channels) uint8: the model's input before normalisation.

    Large frames are halved first while they stay at least twice as large as the input, as JPEGs are when decoded: from
    1080x1920 to 144x256 this halves the time; pixels differ by less than one level on average.
    """
    while min(frame.shape[0] // spec.height, frame.shape[1] // spec.width) >= 4:
        if frame.shape[0] % 2 or frame.shape[1] % 2:
            break
        size = (frame.shape[1] // 2, frame.shape[0] // 2)
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    if spec.channels == 1:  # the same grey as in decoded files
        frame = np.asarray(Image.fromarray(frame).convert("L"))[:, :, np.newaxis]
    return spec.resize(frame)
