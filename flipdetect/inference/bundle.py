"""A trained model with all that prediction needs: preprocessing, class names and threshold come from its file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, FlipdetectError, FrameError, ModelError
from flipdetect.models.packed import read_facts, read_tensors
from flipdetect.models.weights import load_without_code
from flipdetect.records import ClassNames
from flipdetect.runs import CHECKPOINT_KEY, CHECKPOINT_VERSION
from flipdetect.shipped import SUFFIX
from flipdetect.sources.naming import NamePattern
from flipdetect.tasks import FrameClassifier

Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Bundle:
    """A trained model, ready to predict.

    Attributes:
        task: in evaluation mode, on its device.
        classes: names of the classes.
        preprocess: what a frame becomes before the model sees it.
        threshold: from this probability on, a frame belongs to the positive class.
        naming: pattern of file names that the model was trained with; None for the default.
        path: the file it was loaded from.
    """

    task: FrameClassifier = field(repr=False)
    classes: ClassNames
    preprocess: PreprocessSpec
    threshold: float
    naming: NamePattern | None
    path: Path

    def probabilities(self, frames: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Preprocessed frames (B, C, H, W) float32 -> probability of the positive class (B,) float64."""
        with torch.inference_mode():
            logits = self.task(torch.from_numpy(frames).to(self.task.device))
            return np.asarray(logits.double().sigmoid().cpu().numpy())

    def predict(self, frames: Frame | Iterable[Frame], batch_size: int = 16) -> npt.NDArray[np.float64]:
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
        scores = [self.probabilities(np.stack(batch)) for batch in _batches(map(self._prepare, queue), batch_size)]
        return np.concatenate(scores) if scores else np.empty(0)

    def _prepare(self, frame: Frame) -> npt.NDArray[np.float32]:
        if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
            got = f"{frame.dtype} of shape {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise FrameError(f"a frame is a uint8 array (height, width, 3) in RGB, got {got}; convert it")
        if 0 in frame.shape:
            raise FrameError(f"a frame needs at least one pixel, got shape {frame.shape}; leave it out")
        if self.preprocess.channels == 1:  # grey as decoding makes it
            frame = np.asarray(Image.fromarray(frame).convert("L"))[:, :, np.newaxis]
        return self.preprocess.normalise(self.preprocess.resize(frame))


def _batches(frames: Iterator[npt.NDArray[np.float32]], size: int) -> Iterator[list[npt.NDArray[np.float32]]]:
    while batch := list(islice(frames, size)):
        yield batch


def load_bundle(path: Path, device: str = "auto") -> Bundle:
    """Load a trained model without executing anything in its file.

    Args:
        path: a `.ckpt` file of `train.py`, or a `.safetensors` file as it ships with the package.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises:
        ModelError: if the file is absent, damaged, no model of this program, or of another version; or if the
            device is not to be had.
    """
    place = _device(device)
    facts, tensors = read_model(path)
    if facts.get("version") != CHECKPOINT_VERSION:
        raise ModelError(
            f"{path} has checkpoint version {facts.get('version')}, this program reads {CHECKPOINT_VERSION}; "
            "use the flipdetect release that wrote it"
        )
    try:
        task = _task_class(facts["task"])(**{**facts["arguments"], "weights": "none"})
        task.load_state_dict(tensors)
        task.setup("predict")
        return Bundle(
            task=task.eval().to(place),
            classes=ClassNames(**facts["classes"]),
            preprocess=PreprocessSpec.from_dict(facts["preprocess"]),
            threshold=float(facts["threshold"]),
            naming=None if facts["naming"] is None else NamePattern(**facts["naming"]),
            path=path,
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path} is damaged or was changed: {error}") from error
    except FlipdetectError as error:
        raise ModelError(f"{path} cannot be used: {error}") from error


def read_model(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    """What a model's file says of it (see `Provenance`), unchecked, and its state dict.

    Raises:
        ModelError: if the file is absent, damaged, or no model of this program.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}; give the path of a best.ckpt")
    if path.suffix == SUFFIX:
        packed = read_facts(path)
        if packed is None:
            raise ModelError(
                f"{path} holds tensors alone, nothing of flipdetect about the model; give a best.ckpt, or a "
                f"{SUFFIX} that flipdetect wrote. As weights to start training from it may do"
            )
        return packed, read_tensors(path)
    content = load_without_code(path)
    facts = content.get(CHECKPOINT_KEY) if isinstance(content, Mapping) else None
    if not isinstance(facts, Mapping) or "state_dict" not in content:
        raise ModelError(f"{path} is no checkpoint that flipdetect's train.py wrote; give its best.ckpt")
    return facts, content["state_dict"]


def _task_class(name: str) -> type[FrameClassifier]:
    """The class a checkpoint names, among those already imported: a file must not decide what is imported."""
    module, _, attribute = str(name).rpartition(".")
    found = getattr(sys.modules.get(module), attribute, None)
    if not (isinstance(found, type) and issubclass(found, FrameClassifier)):
        raise ModelError(f"it names the task class {name!r}, which is not known; import the module that defines it")
    return found


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("no CUDA device is available; use --device cpu, or auto")
    return torch.device(name)
