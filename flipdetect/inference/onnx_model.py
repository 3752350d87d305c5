"""A model exported to ONNX, run on the CPU by ONNX Runtime: no torch, started in a fraction of a second."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FlipdetectError, ModelError
from flipdetect.inference.cores import usable_cores
from flipdetect.inference.model import Inputs, Maps, PredictsFrames, Probabilities
from flipdetect.inference.onnx_file import read_onnx_facts
from flipdetect.records import ClassNames
from flipdetect.runs import CHECKPOINT_KEY, NO_TEMPERATURE, stored_temperature
from flipdetect.sources.naming import NamePattern

SUFFIX = ".onnx"
ONNX_VERSION = 1
"""Of what stands in the metadata, under the key `flipdetect`, and of the names below; another one is refused."""
INPUT, LOGITS, HANDS = "frames", "logits", "hands"

SIZE_LIMIT = 500_000_000
"""Bytes. Over a hundred million parameters in float32, and a model for frames of a book needs a hundredth of that; a
larger file is taken for another's, or for a mistake, before it fills the memory."""

REMEDY = "install it (pip install onnxruntime), or choose engine torch with a .ckpt or .safetensors file"


@dataclass(frozen=True)
class OnnxModel(PredictsFrames):
    """An exported model, ready to predict; for a prediction, to be used like a `TorchModel`, and from several threads.

    Attributes:
        session: ONNX Runtime's `InferenceSession`.
        classes: names of the classes.
        preprocess: what a frame becomes before the model sees it.
        threshold: from this probability on, a frame belongs to the positive class.
        naming: pattern of file names that the model was trained with; None for the default.
        path: the file it was loaded from.
        name: of the model.
        has_maps: whether `predict_with_maps` tells where hands are.
        source: SHA-256 of the file that it was exported from, as `file_digest` gives it.
        temperature: by which the graph divides its logits; for the record, nothing is left to do.
    """

    session: Any = field(repr=False)
    classes: ClassNames
    preprocess: PreprocessSpec
    threshold: float
    naming: NamePattern | None
    path: Path
    name: str
    has_maps: bool
    source: str
    temperature: float = NO_TEMPERATURE

    @property
    def runs_on(self) -> str:
        """Engine and device, for the user."""
        return "ONNX Runtime, cpu"

    @property
    def is_single_threaded(self) -> bool:
        """Whether a call computes in the calling thread alone."""
        return int(self.session.get_session_options().intra_op_num_threads) == 1

    def probabilities(self, frames: Inputs) -> Probabilities:
        """Preprocessed frames (B, C, H, W) float32 -> probability of the positive class (B,) float64.

        Raises:
            ModelError: if the frames have another size than the model was made for.
        """
        return _sigmoid(self._run(frames, [LOGITS])[0])

    def predict_with_maps(self, frames: Inputs) -> tuple[Probabilities, Maps | None]:
        """What `probabilities` gives, and where hands are.

        Args:
            frames: preprocessed, (B, C, H, W) float32.

        Returns:
            Probabilities of the positive class (B,) float64, and the share of each position of the frame that hands
            cover (B, h, w) float32; None if the model has no maps.

        Raises:
            ModelError: as `probabilities`.
        """
        if not self.has_maps:
            return self.probabilities(frames), None
        logits, hands = self._run(frames, [LOGITS, HANDS])
        return _sigmoid(logits), hands

    def _run(self, frames: Inputs, outputs: list[str]) -> list[Maps]:
        size = (self.preprocess.channels, self.preprocess.height, self.preprocess.width)
        if frames.shape[1:] != size:
            raise ModelError(f"{self.path} takes frames of shape (B, {', '.join(map(str, size))}), got {frames.shape}")
        return list(self.session.run(outputs, {INPUT: frames}))


def load_onnx(path: Path, threads: int | None = None) -> OnnxModel:
    """Load a model that `export_onnx` wrote. It is read whole, and judged before ONNX Runtime opens it.

    Args:
        path: the file.
        threads: that compute; None: one for each core that this process may use.

    Raises:
        ModelError: if ONNX Runtime is not installed; or the file is absent, damaged, larger than `SIZE_LIMIT`, not of
            this program, of another version, refers to other files, or needs operators other than ONNX's own.
    """
    data = _read(path)
    try:
        found = read_onnx_facts(data)
    except ModelError as error:
        raise ModelError(f"{path} cannot be used: {error}") from error
    if CHECKPOINT_KEY not in found.metadata:
        other = "an ONNX file, but not one that flipdetect wrote" if found.has_graph else "no ONNX file of flipdetect"
        raise ModelError(f"{path} is {other}; create one from a best.ckpt with `flipdetect export`")
    facts = _facts(path, found.metadata[CHECKPOINT_KEY])
    session = _session(path, data, usable_cores() if threads is None else threads)
    try:
        threshold = float(facts["threshold"])
        if not 0 <= threshold <= 1:
            raise ModelError(f"its threshold is {threshold}")
        preprocess = PreprocessSpec.from_dict(facts["preprocess"])
        return OnnxModel(
            session=session,
            classes=ClassNames(**facts["classes"]),
            preprocess=preprocess,
            threshold=threshold,
            naming=None if facts["naming"] is None else NamePattern(**facts["naming"]),
            path=path,
            name=str(facts["name"]),
            has_maps=_has_maps(session, preprocess),
            source=str(facts["source"]),
            temperature=stored_temperature(facts),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
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


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ModelError(f"there is no file {path}; create one from a best.ckpt with `flipdetect export`")
    try:
        size = path.stat().st_size
        if size > SIZE_LIMIT:
            raise ModelError(f"{path} has {size:,} bytes, an exported model {SIZE_LIMIT:,} at most; it is not loaded")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error


def _facts(path: Path, text: str) -> Mapping[str, Any]:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path} is damaged or was changed: its metadata is no JSON ({error})") from error
    if not isinstance(facts, dict):
        raise ModelError(f"{path} is damaged or was changed: its metadata is no JSON object")
    if facts.get("version") != ONNX_VERSION:
        raise ModelError(
            f"{path} has version {facts.get('version')} of an exported model, this program reads {ONNX_VERSION}; "
            "export it again with `flipdetect export`, or use the flipdetect release that wrote it"
        )
    return facts


def _session(path: Path, data: bytes, threads: int) -> Any:
    if threads < 1:
        raise ModelError(f"threads must be at least 1, got {threads}")
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"{path} is run by ONNX Runtime, which cannot be imported ({error}); {REMEDY}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Its threads would spin while they wait for each other, and so take cores from the decoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors: they are raised, too; what is milder nobody can act on
    # Judged as ONNX, so it must not be taken for ONNX Runtime's own format, which it would guess from the bytes.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors have no other class in common
        version = onnxruntime.__version__
        raise ModelError(f"{path} is damaged, or too new for this ONNX Runtime ({version}): {error}") from error


def _has_maps(session: Any, preprocess: PreprocessSpec) -> bool:
    """Whether hands are among the outputs; checks that inputs and outputs are what `export_onnx` makes.

    Raises:
        ModelError: if they are not.
    """
    inputs = [(one.name, one.type, one.shape[1:]) for one in session.get_inputs()]
    outputs = [one.name for one in session.get_outputs()]
    wanted = (INPUT, "tensor(float)", [preprocess.channels, preprocess.height, preprocess.width])
    if inputs != [wanted] or outputs not in ([LOGITS], [LOGITS, HANDS]):
        raise ModelError(f"its inputs {inputs} and outputs {outputs} do not fit its metadata; it was changed")
    return HANDS in outputs


def _sigmoid(logits: Maps) -> Probabilities:
    return np.asarray(np.exp(-np.logaddexp(0, -logits.astype(np.float64))))
