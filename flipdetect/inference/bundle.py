"""A trained model with all that prediction needs: preprocessing, class names and threshold come from its file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FlipdetectError, ModelError
from flipdetect.models.weights import load_without_code
from flipdetect.records import ClassNames
from flipdetect.runs import CHECKPOINT_KEY, CHECKPOINT_VERSION
from flipdetect.sources.naming import NamePattern
from flipdetect.tasks import FrameClassifier


@dataclass(frozen=True)
class Bundle:
    """A trained model, ready to predict.

    Attributes:
        task: in evaluation mode, on its device.
        classes: names of the classes.
        preprocess: what a frame becomes before the model sees it.
        threshold: from this probability on, a frame belongs to the positive class.
        naming: pattern of file names that the model was trained with; None for the default.
        path: the checkpoint.
    """

    task: FrameClassifier
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


def load_bundle(path: Path, device: str = "auto") -> Bundle:
    """Load a checkpoint of `train.py` without executing anything in it.

    Args:
        path: the `.ckpt` file.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises:
        ModelError: if the file is absent, damaged, no checkpoint of this program, or of another version; or if the
            device is not to be had.
    """
    place = _device(device)
    content = _read(path)
    facts = content.get(CHECKPOINT_KEY)
    if not isinstance(facts, Mapping) or "state_dict" not in content:
        raise ModelError(f"{path} is no checkpoint that flipdetect's train.py wrote; give its best.ckpt")
    if facts.get("version") != CHECKPOINT_VERSION:
        raise ModelError(
            f"{path} has checkpoint version {facts.get('version')}, this program reads {CHECKPOINT_VERSION}; "
            "use the flipdetect release that wrote it"
        )
    try:
        task = _task_class(facts["task"])(**{**facts["arguments"], "weights": "none"})
        task.load_state_dict(content["state_dict"])
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


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}; give the path of a best.ckpt")
    content = load_without_code(path)
    return content if isinstance(content, Mapping) else {}


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
