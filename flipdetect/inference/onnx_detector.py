"""A detector exported to ONNX, run on the CPU by ONNX Runtime: no torch; the selection of boxes is in the graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FlipdetectError, ModelError
from flipdetect.inference.detector import Detector, FoundBoxes
from flipdetect.inference.model import Inputs
from flipdetect.inference.onnx_model import INPUT, OnnxModel, onnx_model_of, open_session, stored_facts
from flipdetect.runs import DETECTION, KIND_KEY
from flipdetect.sources.image import usable_cores

ONNX_DETECTOR_VERSION = 1
"""Version of the metadata under the key `flipdetect` and of the names below; other versions are refused."""
OUTPUTS = ("boxes", "scores", "labels")


@dataclass(frozen=True, kw_only=True)
class OnnxDetector(Detector):
    """An exported detector, ready to predict; may be called from several threads.

    Attributes:
        session: ONNX Runtime's `InferenceSession`.
        name: of the network.
        source: SHA-256 of the file that it was exported from, as `file_digest` computes it.
    """

    session: Any = field(repr=False)
    name: str
    source: str

    @property
    def runs_on(self) -> str:
        """Engine and device, for the user."""
        return "ONNX Runtime, cpu"

    def boxes(self, inputs: Inputs) -> list[FoundBoxes]:
        """See `Detector.boxes`; raises ModelError if the pictures have another size than the network's input."""
        size = (self.preprocess.channels, self.preprocess.height, self.preprocess.width)
        if inputs.shape[1:] != size:
            raise ModelError(
                f"{self.path} takes pictures of shape (B, {', '.join(map(str, size))}), got {inputs.shape}"
            )
        return [
            self.checked(FoundBoxes(*self.session.run(list(OUTPUTS), {INPUT: inputs[place : place + 1]})))
            for place in range(len(inputs))
        ]


def load_onnx_detector(path: Path, threads: int | None = None) -> OnnxDetector:
    """Load a detector that `flipdetect export` wrote; arguments and errors are those of `load_onnx`."""
    session = open_session(path, usable_cores() if threads is None else threads)
    return onnx_detector_of(session, stored_facts(session, path), path)


def onnx_detector_of(session: Any, facts: dict[str, Any], path: Path) -> OnnxDetector:
    """The detector that a session runs; raises ModelError as `load_onnx_detector` does."""
    try:
        if facts.get(KIND_KEY) != DETECTION:
            raise ModelError("it is a classifier of frames; a detector is needed here")
        if facts["version"] != ONNX_DETECTOR_VERSION:
            raise ModelError(
                f"it has version {facts['version']} of an exported detector, this program reads "
                f"{ONNX_DETECTOR_VERSION}; export it again with flipdetect export, or use the flipdetect release that "
                "wrote it"
            )
        spec = PreprocessSpec.from_dict(facts["preprocess"])
        inputs = [(one.name, one.type, one.shape) for one in session.get_inputs()]
        outputs = tuple(one.name for one in session.get_outputs())
        if inputs != [(INPUT, "tensor(float)", [1, spec.channels, spec.height, spec.width])] or outputs != OUTPUTS:
            raise ModelError(f"its inputs {inputs} and outputs {outputs} do not fit its metadata; it was changed")
        return OnnxDetector(
            session=session,
            classes=tuple(str(name) for name in facts["classes"]["names"]),
            preprocess=spec,
            threshold=float(facts["threshold"]),
            path=path,
            name=str(facts["name"]),
            source=str(facts["source"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged or was changed: {error}") from error
    except FlipdetectError as error:
        raise ModelError(f"{path} cannot be used: {error}") from error


def load_exported(path: Path, threads: int | None = None) -> OnnxModel | OnnxDetector:
    """Load whatever `flipdetect export` wrote, a classifier or a detector; arguments and errors as `load_onnx`."""
    session = open_session(path, usable_cores() if threads is None else threads)
    facts = stored_facts(session, path)
    return (onnx_detector_of if facts.get(KIND_KEY) == DETECTION else onnx_model_of)(session, facts, path)
