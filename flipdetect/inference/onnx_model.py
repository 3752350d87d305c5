"""Models exported to ONNX, run on the CPU by ONNX Runtime: no torch, they start in a fraction of a second.

A detector's file contains the selection of boxes, too.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ModelError
from flipdetect.inference.detector import Detector, FoundBoxes
from flipdetect.inference.model import Inputs, Maps, Model, Probabilities, classifier_facts, naming_damage
from flipdetect.onnx_session import open_session
from flipdetect.runs import CHECKPOINT_KEY, DETECTION, KIND_KEY
from flipdetect.sources.image import usable_cores

SUFFIX = ".onnx"
ONNX_VERSION = ONNX_DETECTOR_VERSION = 1
"""Version of the metadata under the key `flipdetect` and of the names below; other versions are refused."""
INPUT, LOGITS, HANDS = "frames", "logits", "hands"
OUTPUTS = ("boxes", "scores", "labels")
"""Of a detector."""


@dataclass(frozen=True, kw_only=True)
class OnnxModel(Model):
    """An exported model, ready to predict; may be called from several threads.

    Attributes:
        session: ONNX Runtime's `InferenceSession`; its graph already divides the logits by `temperature`.
        has_maps: whether `predict_with_maps` returns maps of the hands.
        source: SHA-256 of the file that it was exported from, as `file_digest` computes it.
    """

    session: Any = field(repr=False)
    name: str
    has_maps: bool
    source: str

    runs_on = "ONNX Runtime, cpu"

    @property
    def is_single_threaded(self) -> bool:
        """Whether a call computes in the calling thread alone."""
        return int(self.session.get_session_options().intra_op_num_threads) == 1

    def probabilities(self, frames: Inputs) -> Probabilities:
        """See `Model.probabilities`; raises ModelError if the frames have another size than the model's input."""
        return self._run(frames, [LOGITS])[0]

    def predict_with_maps(self, frames: Inputs) -> tuple[Probabilities, Maps | None]:
        """See `Model.predict_with_maps`; raises ModelError if the frames have another size than the model's input."""
        return self._run(frames, [LOGITS, HANDS] if self.has_maps else [LOGITS])

    def _run(self, frames: Inputs, outputs: list[str]) -> tuple[Probabilities, Maps | None]:
        check_shape(self, frames)
        logits, *hands = self.session.run(outputs, {INPUT: frames})
        probabilities = np.asarray(np.exp(-np.logaddexp(0, -logits.astype(np.float64))))
        return self.checked(probabilities), hands[0] if hands else None


@dataclass(frozen=True, kw_only=True)
class OnnxDetector(Detector):
    """An exported detector, ready to predict; may be called from several threads."""

    session: Any = field(repr=False)
    name: str
    source: str
    runs_on = "ONNX Runtime, cpu"

    def boxes(self, inputs: Inputs) -> list[FoundBoxes]:
        """See `Detector.boxes`; raises ModelError if the pictures have another size than the network's input."""
        check_shape(self, inputs)
        return [
            self.checked(FoundBoxes(*self.session.run(list(OUTPUTS), {INPUT: inputs[place : place + 1]})))
            for place in range(len(inputs))
        ]


def check_shape(model: OnnxModel | OnnxDetector, frames: Inputs) -> None:
    """Raise a ModelError unless frames have the size of a model's input."""
    spec = model.preprocess
    size = (spec.channels, spec.height, spec.width)
    if frames.shape[1:] != size:
        raise ModelError(f"{model.path} takes frames of shape (B, {', '.join(map(str, size))}), got {frames.shape}")


def load_onnx(path: Path, threads: int | None = None) -> OnnxModel:
    """Load a classifier that `flipdetect export` wrote; raises as `load_exported`, also if it is a detector."""
    loaded = load_exported(path, threads)
    if isinstance(loaded, OnnxDetector):
        raise ModelError(f"{path} is a detector, which finds boxes in pictures; a classifier of frames is needed here")
    return loaded


def load_onnx_detector(path: Path, threads: int | None = None) -> OnnxDetector:
    """Load a detector that `flipdetect export` wrote; raises as `load_exported`, also if it is a classifier."""
    loaded = load_exported(path, threads)
    if isinstance(loaded, OnnxModel):
        raise ModelError(f"{path} cannot be used: it is a classifier of frames; a detector is needed here")
    return loaded


def load_exported(path: Path, threads: int | None = None) -> OnnxModel | OnnxDetector:
    """Load what `flipdetect export` wrote.

    Args:
        threads: number of threads that compute; None: one per core that this process may use.

    Raises:
        ModelError: if ONNX Runtime is not installed; or the file is absent, damaged, larger than `SIZE_LIMIT`, not
            written by this program, of another version, or refers to other files (external data).
    """
    session = open_session(path, usable_cores() if threads is None else threads)
    metadata = session.get_modelmeta().custom_metadata_map
    if CHECKPOINT_KEY not in metadata:
        raise ModelError(f"{path} is an ONNX file that flipdetect did not write; export a best.ckpt: flipdetect export")
    with naming_damage(path):
        facts = json.loads(metadata[CHECKPOINT_KEY])
        if not isinstance(facts, dict):
            raise ValueError("its metadata is no JSON object")
        is_detector = facts.get(KIND_KEY) == DETECTION
        version, kind = (ONNX_DETECTOR_VERSION, "detector") if is_detector else (ONNX_VERSION, "model")
        if facts["version"] != version:
            raise ModelError(
                f"it has version {facts['version']} of an exported {kind}, this program reads {version}; export it "
                "again with flipdetect export, or use the flipdetect release that wrote it"
            )
        spec = PreprocessSpec.from_dict(facts["preprocess"])
        size = [spec.channels, spec.height, spec.width]
        inputs = [(one.name, one.type, one.shape if is_detector else one.shape[1:]) for one in session.get_inputs()]
        outputs = tuple(one.name for one in session.get_outputs())
        known = [OUTPUTS] if is_detector else [(LOGITS,), (LOGITS, HANDS)]
        if inputs != [(INPUT, "tensor(float)", [1, *size] if is_detector else size)] or outputs not in known:
            raise ModelError(f"its inputs {inputs} and outputs {outputs} do not fit its metadata; it was changed")
        common: dict[str, Any] = {
            "session": session, "preprocess": spec, "threshold": float(facts["threshold"]), "path": path,
            "name": str(facts["name"]), "source": str(facts["source"]),
        }  # fmt: skip
        if is_detector:
            return OnnxDetector(classes=tuple(str(name) for name in facts["classes"]["names"]), **common)
        return OnnxModel(**common, **classifier_facts(facts), has_maps=HANDS in outputs)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
