"""A trained detector with all that prediction needs: preprocessing, class names and threshold come from its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ModelError
from flipdetect.inference.detector import Detector, FoundBoxes
from flipdetect.inference.model import Inputs
from flipdetect.inference.torch_model import (
    check_version,
    naming_damage,
    read_model,
    restored_task,
    torch_device,
)
from flipdetect.runs import DETECTION, KIND_KEY
from flipdetect.tasks.box_detectors import ObjectDetector


@dataclass(frozen=True, kw_only=True)
class TorchDetector(Detector):
    """A trained detector, ready to predict with PyTorch.

    Attributes:
        task: in evaluation mode, on its device.
    """

    task: ObjectDetector = field(repr=False)

    @property
    def runs_on(self) -> str:
        """Engine and device, for the user."""
        return f"PyTorch, {self.task.device}"

    def boxes(self, inputs: Inputs) -> list[FoundBoxes]:
        """See `Detector.boxes`."""
        with torch.inference_mode():
            found = self.task(torch.from_numpy(inputs).to(self.task.device))
        columns = ("boxes", "scores", "labels")
        return [self.checked(FoundBoxes(*(each[name].cpu().numpy() for name in columns))) for each in found]


def load_detector(path: Path, device: str = "auto") -> TorchDetector:
    """Load a trained detector without executing anything in its file.

    Args:
        path: a `.ckpt` file of `train.py`, or a `.safetensors` file of `flipdetect.models.weights.write_packed`.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises:
        ModelError: if the file is absent, damaged, no detector, or of another version; or if the device is not to be
            had.
    """
    place = torch_device(device)
    facts, tensors = read_model(path)
    check_version(facts, path)
    if facts.get(KIND_KEY) != DETECTION:
        raise ModelError(f"{path} is no detector, but a classifier ({facts.get('task')}); give a detector's best.ckpt")
    return detector_of(facts, tensors, path, place)


def detector_of(
    facts: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path, place: torch.device
) -> TorchDetector:
    """The detector that a file describes; raises ModelError if it is damaged."""
    with naming_damage(path):
        return TorchDetector(
            task=restored_task(facts, tensors, ObjectDetector).to(place),
            classes=tuple(facts["classes"]["names"]),
            preprocess=PreprocessSpec.from_dict(facts["preprocess"]),
            threshold=float(facts["threshold"]),
            path=path,
        )
