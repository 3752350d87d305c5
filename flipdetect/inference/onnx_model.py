"""A model exported to ONNX, run on the CPU by ONNX Runtime: no torch, starts in a fraction of a second."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FlipdetectError, ModelError
from flipdetect.inference.model import Inputs, Maps, Model, Probabilities
from flipdetect.records import ClassNames
from flipdetect.runs import CHECKPOINT_KEY, DETECTION, KIND_KEY, stored_temperature
from flipdetect.sources.image import usable_cores
from flipdetect.sources.naming import NamePattern

SUFFIX = ".onnx"
ONNX_VERSION = 1
"""Version of the metadata under the key `flipdetect` and of the names below; other versions are refused."""
INPUT, LOGITS, HANDS = "frames", "logits", "hands"

SIZE_LIMIT = 500_000_000
"""Bytes: over a hundred million parameters in float32, a hundred times what a frame classifier needs. Larger files are
refused before they fill the memory."""

# From 1.29 on, ONNX Runtime sends names and hashes of models to Microsoft, unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

REMEDY = "install it (pip install onnxruntime), or choose engine torch with a .ckpt or .safetensors file"


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

    @property
    def runs_on(self) -> str:
        """Engine and device, for the user."""
        return "ONNX Runtime, cpu"

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
        size = (self.preprocess.channels, self.preprocess.height, self.preprocess.width)
        if frames.shape[1:] != size:
            raise ModelError(f"{self.path} takes frames of shape (B, {', '.join(map(str, size))}), got {frames.shape}")
        logits, *hands = self.session.run(outputs, {INPUT: frames})
        probabilities = np.asarray(np.exp(-np.logaddexp(0, -logits.astype(np.float64))))
        return self.checked(probabilities), hands[0] if hands else None


def load_onnx(path: Path, threads: int | None = None) -> OnnxModel:
    """Load a classifier that `flipdetect export` wrote.

    Args:
        threads: number of threads that compute; None: one per core that this process may use.

    Raises:
        ModelError: if ONNX Runtime is not installed; or the file is absent, damaged, larger than `SIZE_LIMIT`, not
            written by this program, of another version, a detector, or refers to other files (external data).
    """
    session = open_session(path, usable_cores() if threads is None else threads)
    return onnx_model_of(session, stored_facts(session, path), path)


def stored_facts(session: Any, path: Path) -> dict[str, Any]:
    """What an exported model's file says of it, unchecked; raises ModelError if this program did not write it."""
    metadata = session.get_modelmeta().custom_metadata_map
    if CHECKPOINT_KEY not in metadata:
        raise ModelError(f"{path} is an ONNX file that flipdetect did not write; export a best.ckpt: flipdetect export")
    try:
        facts = json.loads(metadata[CHECKPOINT_KEY])
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged or was changed: {error}") from error
    if not isinstance(facts, dict):
        raise ModelError(f"{path} is damaged or was changed: its metadata is no JSON object")
    return facts


def onnx_model_of(session: Any, facts: dict[str, Any], path: Path) -> OnnxModel:
    """The classifier that a session runs; raises ModelError as `load_onnx` does."""
    try:
        if facts.get(KIND_KEY) == DETECTION:
            raise ModelError("it is a detector, which finds boxes in pictures; a classifier of frames is needed here")
        if facts.get("version") != ONNX_VERSION:
            raise ModelError(
                f"it has version {facts.get('version')} of an exported model, this program reads {ONNX_VERSION}; "
                "export it again with flipdetect export, or use the flipdetect release that wrote it"
            )
        preprocess = PreprocessSpec.from_dict(facts["preprocess"])
        inputs = [(one.name, one.type, one.shape[1:]) for one in session.get_inputs()]
        outputs = [one.name for one in session.get_outputs()]
        wanted = (INPUT, "tensor(float)", [preprocess.channels, preprocess.height, preprocess.width])
        if inputs != [wanted] or outputs not in ([LOGITS], [LOGITS, HANDS]):
            raise ModelError(f"its inputs {inputs} and outputs {outputs} do not fit its metadata; it was changed")
        return OnnxModel(
            session=session,
            classes=ClassNames(**facts["classes"]),
            preprocess=preprocess,
            threshold=float(facts["threshold"]),
            naming=None if facts["naming"] is None else NamePattern(**facts["naming"]),
            path=path,
            name=str(facts["name"]),
            has_maps=HANDS in outputs,
            source=str(facts["source"]),
            temperature=stored_temperature(facts),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged or was changed: {error}") from error
    except FlipdetectError as error:
        raise ModelError(f"{path} cannot be used: {error}") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_session(path: Path, threads: int) -> Any:
    """ONNX Runtime's session for a file that need not be trusted; raises ModelError as `load_onnx` does."""
    if threads < 1:
        raise ModelError(f"threads must be at least 1, got {threads}")
    if not path.is_file():
        raise ModelError(f"there is no file {path}; make one from a best.ckpt with flipdetect export")
    try:
        if (size := path.stat().st_size) > SIZE_LIMIT:
            raise ModelError(f"{path} has {size:,} bytes, an exported model {SIZE_LIMIT:,} at most; it is not loaded")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"{path} is run by ONNX Runtime, which cannot be imported ({error}); {REMEDY}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors are raised as well
    # Threads that spin while they wait take cores from the decoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Otherwise the format would be guessed from the bytes.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # A path that is no folder: a model must not make us open other files (external data).
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path))
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no other class in common
        if "external data" in str(error).lower():
            reason = "has tensors in other files (external data), which are not opened; export it as one file"
        else:
            reason = f"is damaged, or not supported by this ONNX Runtime ({onnxruntime.__version__})"
        raise ModelError(f"{path} {reason}: {error}") from error
