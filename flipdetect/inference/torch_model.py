"""A trained model with all that prediction needs: preprocessing, class names and threshold come from its file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ModelError
from flipdetect.inference.detector import Detector, FoundBoxes
from flipdetect.inference.model import Inputs, Maps, Model, Probabilities, classifier_facts, naming_damage
from flipdetect.models.evidence_maps import MAPS
from flipdetect.models.weights import load_without_code, read_facts, read_tensors
from flipdetect.runs import CHECKPOINT_KEY, CHECKPOINT_VERSION, DETECTION, KIND_KEY
from flipdetect.tasks import FrameClassifier, Trainable
from flipdetect.zoo import SUFFIX

if TYPE_CHECKING:
    from flipdetect.tasks.box_detectors import ObjectDetector

Task = TypeVar("Task", bound=Trainable)


@dataclass(frozen=True, kw_only=True)
class TorchModel(Model):
    """A trained model, ready to predict with PyTorch.

    Attributes:
        task: in evaluation mode, on its device.
    """

    task: FrameClassifier = field(repr=False)

    @property
    def runs_on(self) -> str:
        """Engine and device, for the user."""
        return f"PyTorch, {self.task.device}"

    def probabilities(self, frames: Inputs) -> Probabilities:
        """See `Model.probabilities`."""
        with torch.inference_mode():
            return self._probabilities_of(self.task(torch.from_numpy(frames).to(self.task.device)))

    def predict_with_maps(self, frames: Inputs) -> tuple[Probabilities, Maps | None]:
        """See `Model.predict_with_maps`."""
        if not self.task.model.has_maps:
            return self.probabilities(frames), None
        with torch.inference_mode():
            logits, maps = self.task.forward_maps(torch.from_numpy(frames).to(self.task.device))
            hands = maps[:, MAPS.index("hands")].sigmoid()
            return self._probabilities_of(logits), np.asarray(hands.cpu().numpy())

    def _probabilities_of(self, logits: Tensor) -> Probabilities:
        return self.checked(np.asarray((logits.double() / self.temperature).sigmoid().cpu().numpy()))


def load_torch_model(path: Path, device: str = "auto") -> TorchModel:
    """Load a trained model from a `.ckpt` or `.safetensors` file, without executing anything in it.

    Raises:
        ModelError: if the file is absent, damaged, no model of this program, or of another version; or if the device,
            "auto", "cpu" or "cuda", is not to be had.
    """
    loaded = load_checkpoint(path, device)
    if isinstance(loaded, TorchDetector):
        needed = "a classifier of frames is needed here"
        raise ModelError(f"{path} cannot be used: it is a detector, which finds boxes in pictures; {needed}")
    return loaded


def load_checkpoint(path: Path, device: str = "auto") -> TorchModel | TorchDetector:
    """Load what training wrote, a classifier or a detector; arguments and errors as `load_torch_model`."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("no CUDA device is available; use --device cpu, or auto")
    chosen = "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(chosen if device == "auto" else device)
    facts, tensors = read_model(path)
    if facts.get("version") != CHECKPOINT_VERSION:
        raise ModelError(
            f"{path} has checkpoint version {facts.get('version')}, this program reads {CHECKPOINT_VERSION}; "
            "use the flipdetect release that wrote it"
        )
    with naming_damage(path):
        common: dict[str, Any] = {
            "preprocess": PreprocessSpec.from_dict(facts["preprocess"]),
            "threshold": float(facts["threshold"]),
            "path": path,
        }
        if facts.get(KIND_KEY) == DETECTION:
            # With it the classes that files name, and torchvision.
            from flipdetect.tasks.box_detectors import ObjectDetector

            detector = restored_task(facts, tensors, ObjectDetector).to(place)
            return TorchDetector(task=detector, classes=tuple(facts["classes"]["names"]), **common)
        task = restored_task(facts, tensors, FrameClassifier).to(place)
        return TorchModel(task=task, **common, **classifier_facts(facts))


def restored_task(facts: Mapping[str, Any], tensors: Mapping[str, Tensor], base: type[Task]) -> Task:
    """The task that a file describes, with its weights, in evaluation mode; call it in `naming_damage`.

    Its class is one of those already imported: a file must not decide what is imported.
    """
    module, _, attribute = str(facts["task"]).rpartition(".")
    found = getattr(sys.modules.get(module), attribute, None)
    if not isinstance(found, type) or not issubclass(found, Trainable):
        named = f"it names the task class {facts['task']!r}, which is not known"
        raise ModelError(f"{named}; import the module that defines it")
    if not issubclass(found, base):
        raise ModelError(f"{found.__name__} is no {base.__name__}")
    task = found(**{**facts["arguments"], "weights": "none"})
    task.load_state_dict(tensors)
    if any(torch.isnan(tensor).any() for tensor in tensors.values()):
        raise ModelError("some of its weights are no numbers (NaN): its training diverged; use another checkpoint")
    task.setup("predict")
    return task.eval()


def read_model(path: Path) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    """What a model's file says of it (see `Provenance`), unchecked, and its state dict.

    Raises:
        ModelError: if the file is absent, damaged, or no model of this program.
    """
    if not path.is_file():
        raise ModelError(f"there is no checkpoint {path}; give the path of a best.ckpt")
    if path.suffix == ".onnx":
        raise ModelError(f"{path} is exported and cannot be loaded by PyTorch; give its .ckpt or .safetensors file")
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
