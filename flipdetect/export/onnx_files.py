"""Write, shrink and compare ONNX files that hold all that prediction needs. No torch."""

from __future__ import annotations

import importlib.util
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import flipdetect
from flipdetect.atomic import replacing
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError, FrameError, ModelError
from flipdetect.inference.detector import Detector, FoundBoxes
from flipdetect.inference.model import Inputs, Model
from flipdetect.onnx_session import SIZE_LIMIT
from flipdetect.runs import CHECKPOINT_KEY
from flipdetect.sources.folder import find_files

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

IR_VERSION = 10
"""Version of the file format (ONNX 1.16). Fixed, so that ONNX Runtime 1.18 and later read the file."""
SMALL = 64
"""Tensors with fewer elements, such as biases and sizes, stay float32."""


def check_packages(names: Sequence[str]) -> None:
    """Raise a `ModelError` with the command that installs them if packages are missing."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"to write ONNX files, {' and '.join(missing)} is needed; pip install {' '.join(missing)}")


def write_model(model: ModelProto, facts: Mapping[str, Any], path: Path) -> None:
    """Check a model, and write it with `facts` as its only metadata, atomically.

    Raises:
        ModelError: if the file would exceed the size that `load_onnx` accepts.
    """
    from onnx import checker

    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "flipdetect", flipdetect.__version__
    del model.metadata_props[:]
    text = json.dumps(dict(facts), allow_nan=False, ensure_ascii=False, sort_keys=True)
    model.metadata_props.add(key=CHECKPOINT_KEY, value=text)
    checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    if len(data) > SIZE_LIMIT:
        raise ModelError(f"as ONNX, {path.name} has {len(data):,} bytes; {SIZE_LIMIT:,} at most are loaded again")
    with replacing(path) as part:
        part.write_bytes(data)


def store_float16(graph: GraphProto) -> None:
    """Store large float32 tensors as float16, each followed by a cast to float32.

    ONNX Runtime casts them once, when it loads the file.

    Raises:
        ModelError: if a value is too large for float16.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALL:
            continue
        values, name = numpy_helper.to_array(tensor), tensor.name
        if np.abs(values).max() > np.finfo(np.float16).max:
            raise ModelError(f"the weights {name!r} are too large for float16; export in float32")
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def shrink_graph(graph: GraphProto) -> None:
    """Merge equal constants and shorten the names between input and output; the graph computes the same.

    A quantised graph stores a scale and a zero point per channel, most of them equal, under long names: without this
    the small models' files are 17 to 19% larger.

    Args:
        graph: without subgraphs; changed in place.
    """
    first: dict[bytes, str] = {}
    renamed = {value.name: value.name for value in (*graph.input, *graph.output)}
    for tensor in graph.initializer:
        name = tensor.name
        tensor.name = ""
        tensor.name = renamed[name] = first.setdefault(tensor.SerializeToString(deterministic=True), f"c{len(first)}")
    kept = {tensor.name: tensor for tensor in graph.initializer}
    used = {name for node in graph.node for name in node.input}
    kept = {renamed[name]: kept[renamed[name]] for name in sorted(used & renamed.keys()) if renamed[name] in kept}
    del graph.initializer[:], graph.value_info[:]
    graph.initializer.extend(kept.values())
    for node in graph.node:
        node.ClearField("name")
        for field in (node.input, node.output):
            field[:] = [name and renamed.setdefault(name, f"v{len(renamed)}") for name in field]


BATCH = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelDifference:
    """How much the outputs of two models differ.

    Attributes:
        mean, largest: absolute difference of probability, 0 to 1.
        hands: largest absolute difference between maps of hands, 0 to 1; None without maps.
        flipped: frames whose class at the threshold changes.
    """

    frames: int
    mean: float
    largest: float
    hands: float | None
    flipped: int


def compare_models(one: Model, other: Model, frames: Inputs, batch_size: int = BATCH) -> ModelDifference:
    """Compare two models with the same preprocessing on frames (N, C, H, W) float32, `batch_size` at a time.

    Raises:
        ModelError: if there is no frame, or only one of the models has maps.
    """
    if not len(frames):
        raise ModelError("models cannot be compared without a frame")
    differences, of_hands, flipped = [], [], 0
    for first in range(0, len(frames), batch_size):
        batch = frames[first : first + batch_size]
        (left, left_hands), (right, right_hands) = one.predict_with_maps(batch), other.predict_with_maps(batch)
        differences.append(np.abs(left - right))
        flipped += int(((left >= one.threshold) != (right >= other.threshold)).sum())
        if (left_hands is None) != (right_hands is None):
            raise ModelError(f"only one of {one.path} and {other.path} has maps of hands")
        if left_hands is not None and right_hands is not None:
            of_hands.append(np.abs(left_hands - right_hands).max())
    difference = np.concatenate(differences)
    hands = float(np.max(of_hands)) if of_hands else None
    return ModelDifference(len(frames), float(difference.mean()), float(difference.max()), hands, flipped)


def sample_frames(folder: Path, spec: PreprocessSpec, most: int) -> Inputs:
    """At most `most` frames of a folder and its subfolders, evenly spaced and preprocessed, (N, C, H, W) float32.

    Unreadable ones are skipped with a warning.

    Raises:
        DataError: if the folder is absent, or contains no readable frame.
    """
    files = find_files(folder.expanduser()).files
    frames = []
    for place in np.linspace(0, len(files) - 1, min(most, len(files))).round().astype(int):
        try:
            frames.append(spec.load(files[place]))
        except FrameError as error:
            logger.warning("skipped: %s", error)
    if not frames:
        raise DataError(f"the folder {folder} contains no readable frame")
    return np.stack(frames)


PIXELS, SCORE = 1.0, 1e-3
"""Edges of one detection may differ by so many pixels of the network's input, and its score by so much."""


@dataclass(frozen=True)
class DetectionParity:
    """How much the detections of two detectors agree.

    Attributes:
        detections: of both, each pair counted once.
        same: how many of them both have, within the limits.
    """

    frames: int
    detections: int
    same: int

    @property
    def share(self) -> float:
        """`same` among `detections`, 0 to 1; 1 if neither finds anything."""
        return self.same / self.detections if self.detections else 1.0


def compare_detectors(
    one: Detector,
    other: Detector,
    frames: Inputs,
    least_score: float = 0.0,
    pixels: float = PIXELS,
    score: float = SCORE,
) -> DetectionParity:
    """Compare two detectors with the same preprocessing on pictures (N, C, H, W) float32.

    Args:
        least_score: detections that have a lower score in both are not compared.

    Raises:
        ModelError: if there is no picture.
    """
    if not len(frames):
        raise ModelError("detectors cannot be compared without a picture")
    total = same = 0
    for frame in frames:
        (left,), (right,) = one.boxes(frame[np.newaxis]), other.boxes(frame[np.newaxis])
        pairs = matched(left, right, pixels, score)
        high = np.maximum(left.scores[pairs[:, 0]], right.scores[pairs[:, 1]]) >= least_score
        alone = [np.delete(found.scores, pairs[:, side]) for side, found in enumerate((left, right))]
        same += int(high.sum())
        total += int(high.sum()) + sum(int((scores >= least_score).sum()) for scores in alone)
    return DetectionParity(len(frames), total, same)


def matched(left: FoundBoxes, right: FoundBoxes, pixels: float, score: float) -> npt.NDArray[np.int64]:
    """As many pairs as possible of detections with one label whose edges and scores differ little, each in one pair.

    Returns:
        (M, 2) int64, positions in `left` and `right`.
    """
    from scipy.optimize import linear_sum_assignment

    fits = np.abs(left.boxes[:, None] - right.boxes).max(axis=2, initial=0) <= pixels
    fits &= np.abs(left.scores[:, None] - right.scores) <= score
    fits &= left.labels[:, None] == right.labels
    pairs = np.stack(linear_sum_assignment(fits, maximize=True), axis=1)
    return np.asarray(pairs[fits[pairs[:, 0], pairs[:, 1]]])
