"""What all trained models have in common, whatever runs them: decoded frames in, probabilities out. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, FrameError
from flipdetect.records import ClassNames
from flipdetect.sources.naming import NamePattern

Frame = npt.NDArray[np.uint8]
Inputs = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float64]
Maps = npt.NDArray[np.float32]


class ScoringModel(Protocol):
    """What `PredictsFrames` needs of a model."""

    @property
    def preprocess(self) -> PreprocessSpec:
        """What a frame becomes before the model sees it."""

    def probabilities(self, frames: Inputs) -> Probabilities:
        """(B, C, H, W) float32 -> (B,) float64."""


class Model(ScoringModel, Protocol):
    """A trained model with all that prediction needs; see `TorchModel` (PyTorch) and `OnnxModel` (ONNX Runtime)."""

    @property
    def classes(self) -> ClassNames:
        """Names of the classes."""

    @property
    def threshold(self) -> float:
        """From this probability on, a frame belongs to the positive class."""

    @property
    def naming(self) -> NamePattern | None:
        """Pattern of file names that the model was trained with; None for the default."""

    @property
    def path(self) -> Path:
        """The file it was loaded from."""

    @property
    def runs_on(self) -> str:
        """Engine and device, for the user."""

    @property
    def is_single_threaded(self) -> bool:
        """Whether a call computes in the calling thread alone, and may run beside others."""

    def predict_with_maps(self, frames: Inputs) -> tuple[Probabilities, Maps | None]:
        """(B, C, H, W) float32 -> probabilities (B,) and maps of the hands (B, h, w) 0 to 1, None if it has none."""

    def predict(self, frames: Frame | Iterable[Frame], batch_size: int = 16) -> Probabilities:
        """Decoded frames of any size -> (N,) float64."""


class PredictsFrames:
    """Gives a model with `preprocess` and `probabilities` the method `predict`."""

    def predict(self: ScoringModel, frames: Frame | Iterable[Frame], batch_size: int = 16) -> Probabilities:
        """Decoded frames of any size -> probability of the positive class (a flip), one per frame.

        Frames are scaled and normalised as the model was trained; from `threshold` on, a probability means a flip.
        Scores of files (`inference.py`) can differ by a trace: a JPEG is scaled while it is decoded.

        Args:
            frames: one frame (H, W, 3) uint8 RGB, several of one size (N, H, W, 3), or an iterable of frames whose
                sizes may differ, such as the frames of a video: no more than a batch is held at a time.
            batch_size: frames scored at a time.

        Returns:
            (N,) float64, 0 to 1; of length 1 for one frame.

        Raises:
            FrameError: if a frame has another shape or dtype, or no pixels.
            ConfigError: if `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {batch_size}")
        queue = iter([frames] if isinstance(frames, np.ndarray) and frames.ndim != 4 else frames)
        inputs = (prepare_frame(self.preprocess, frame) for frame in queue)
        scores = [self.probabilities(np.stack(batch)) for batch in _batches(inputs, batch_size)]
        return np.concatenate(scores) if scores else np.empty(0)


def prepare_frame(spec: PreprocessSpec, frame: Frame) -> Inputs:
    """A decoded frame (H, W, 3) uint8 RGB -> what a model sees, (channels, height, width) float32.

    Raises:
        FrameError: if the frame has another shape or dtype, or no pixels.
    """
    if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
        got = f"{frame.dtype} of shape {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise FrameError(f"a frame is a uint8 array (height, width, 3) in RGB, got {got}; convert it")
    if 0 in frame.shape:
        raise FrameError(f"a frame needs at least one pixel, got shape {frame.shape}; leave it out")
    return spec.normalise(resize_frame(spec, frame))


def resize_frame(spec: PreprocessSpec, frame: Frame) -> Frame:
    """A decoded frame (H, W, 3) uint8 RGB -> (height, width, channels) uint8: a model's input but for normalisation."""
    frame = _halved(frame, spec)
    if spec.channels == 1:  # grey as decoding makes it
        frame = np.asarray(Image.fromarray(frame).convert("L"))[:, :, np.newaxis]
    return spec.resize(frame)


def _halved(frame: Frame, spec: PreprocessSpec) -> Frame:
    """The frame at half its size, once or more, while it stays twice as large as the input: as a JPEG is when decoded.

    From 1080x1920 to 144x256 the resizing that follows takes half the time so; pixels differ by less than a level on
    average.
    """
    while min(frame.shape[0] // spec.height, frame.shape[1] // spec.width) >= 4:
        if frame.shape[0] % 2 or frame.shape[1] % 2:
            break
        size = (frame.shape[1] // 2, frame.shape[0] // 2)
        frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    return frame


def _batches(inputs: Iterator[Inputs], size: int) -> Iterator[list[Inputs]]:
    while batch := list(islice(inputs, size)):
        yield batch
