"""Export a trained detector to one ONNX file: the network by torch's exporter, the selection of boxes by ONNX."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

import flipdetect
from flipdetect.atomic import replacing
from flipdetect.errors import ModelError
from flipdetect.export.onnx import OPSET, Precision, trace
from flipdetect.export.onnx_files import (
    IR_VERSION,
    SCORE,
    DetectionParity,
    compare_detectors,
    store_float16,
    write_model,
)
from flipdetect.inference.model import Inputs
from flipdetect.inference.onnx_model import ONNX_DETECTOR_VERSION, OUTPUTS, file_digest, load_onnx_detector
from flipdetect.inference.torch_model import TorchDetector
from flipdetect.models.box_model import (
    LOWEST_SCORE,
    MOST_CANDIDATES,
    MOST_DETECTIONS,
    OVERLAP,
    Candidates,
    DenseBoxModel,
)
from flipdetect.runs import DETECTION, KIND_KEY

LEAST_SHARE: dict[Precision, float] = {"float32": 0.999, "float16": 0.95}
"""Share of detections that an exported detector must have in common with the trained one. Rounding weights to float16
moves candidates across the limits of the selection now and then."""
SCORES: dict[Precision, float] = {"float32": SCORE, "float16": 1e-2}
"""By which the score of a common detection may differ."""
SELECTION = {
    "lowest_score": LOWEST_SCORE,
    "candidates": MOST_CANDIDATES,
    "overlap": OVERLAP,
    "detections": MOST_DETECTIONS,
}
"""Candidates up to the lowest score are dropped, and all but so many with the highest; of two of one class that overlap
more (intersection over union), that with the lower score is dropped; so many detections are kept."""
CANDIDATES = ("candidate_boxes", "candidate_scores")

# What `flipdetect.models.box_model.select` does, as a graph. Candidates below the k-th highest score get -1, which is
# no score; NonMaxSuppression gives (picture, class, candidate) of those that stay.
_SELECTION = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
select (float[1, {count}, 4] any_box, float[1, {count}, {classes}] any_score)
    => (float[found, 4] boxes, float[found] scores, int64[found] labels) {{
    origin = Constant <value_float = 0.0> ()
    corner = Constant <value = float[4] {{{width}.0, {height}.0, {width}.0, {height}.0}}> ()
    above = Max (any_box, origin)
    inside = Min (above, corner)
    by_class = Transpose <perm = [0, 2, 1]> (any_score)
    whole = Constant <value_ints = [-1]> ()
    flat = Reshape (by_class, whole)
    candidates = Constant <value_ints = [{candidates}]> ()
    highest, highest_at = TopK (flat, candidates)
    last = Constant <value_int = {last}> ()
    limit = Gather (highest, last)
    is_candidate = GreaterOrEqual (by_class, limit)
    none = Constant <value_float = -1.0> ()
    likely = Where (is_candidate, by_class, none)
    overlap = Constant <value_floats = [{overlap!r}]> ()
    lowest = Constant <value_floats = [{lowest_score!r}]> ()
    chosen = NonMaxSuppression (inside, likely, candidates, overlap, lowest)
    score = GatherND (likely, chosen)
    columns = Constant <value_ints = [0, 2]> ()
    place = Gather <axis = 1> (chosen, columns)
    box = GatherND (inside, place)
    column = Constant <value_int = 1> ()
    label = Gather <axis = 1> (chosen, column)
    number = Shape (score)
    most = Constant <value_ints = [{detections}]> ()
    kept = Min (number, most)
    scores, order = TopK (score, kept)
    boxes = Gather (box, order)
    labels = Gather (label, order)
}}
"""


def export_detector(detector: TorchDetector, path: Path, *, precision: Precision = "float32") -> Path:
    """Write a trained detector as one ONNX file, atomically.

    docs/guides/onnx-contract.md describes inputs, outputs and metadata; raises ModelError as `export_onnx` does.
    """
    network = detector.task.model
    if not isinstance(network, DenseBoxModel):
        raise ModelError(
            f"{type(network).__name__} has several stages and cannot be exported; FCOSLite and SSDLite can be"
        )
    from onnx import compose, parser

    spec = detector.preprocess
    proto = trace(_Candidates(network), spec, CANDIDATES, batch=1)
    if precision == "float16":
        store_float16(proto.graph)
    _, count, classes = (dim.dim_value for dim in proto.graph.output[1].type.tensor_type.shape.dim)
    candidates = min(MOST_CANDIDATES, count * classes)
    selection = _SELECTION.format(
        ir=IR_VERSION, opset=OPSET, count=count, classes=classes, width=spec.width, height=spec.height,
        last=candidates - 1, **{**SELECTION, "candidates": candidates},
    )  # fmt: skip
    proto.ir_version = IR_VERSION
    proto = compose.add_prefix(proto, "network_", rename_inputs=False)
    joints = [(f"network_{CANDIDATES[0]}", "any_box"), (f"network_{CANDIDATES[1]}", "any_score")]
    proto = compose.merge_models(proto, parser.parse_model(selection), joints, outputs=list(OUTPUTS))
    del proto.opset_import[1:]  # of the second part, the same
    facts = {
        KIND_KEY: DETECTION,
        "version": ONNX_DETECTOR_VERSION,
        "name": type(network).__name__,
        "classes": {"names": list(detector.classes)},
        "preprocess": spec.to_dict(),
        "threshold": detector.threshold,
        "selection": SELECTION,
        "precision": precision,
        "source": file_digest(detector.path),
        "flipdetect": flipdetect.__version__,
    }
    write_model(proto, facts, path)
    return path


def export_detector_checked(
    detector: TorchDetector, path: Path, frames: Inputs, *, precision: Precision = "float32"
) -> DetectionParity:
    """Export a detector, and keep the file only if it finds what the detector finds.

    Args:
        frames: to compare on, preprocessed, (N, C, H, W) float32, N at least 1.

    Raises:
        ModelError: as in `export_detector`; or if less than `LEAST_SHARE` of the detections are the same. An existing
            file is kept then.
    """
    with replacing(path) as part:
        exported = load_onnx_detector(export_detector(detector, part, precision=precision))
        assert exported is not None
        parity = compare_detectors(detector, exported, frames, score=SCORES[precision])
        if not parity.share >= LEAST_SHARE[precision]:
            raise ModelError(
                f"the exported {detector.path} has {parity.share:.2%} of {parity.detections} detections on "
                f"{parity.frames} frames in common with the trained one; {LEAST_SHARE[precision]:.1%} are needed. "
                "Nothing was written"
            )
    return parity


class _Candidates(nn.Module):
    """Frames -> candidate boxes and scores, as `forward`."""

    def __init__(self, network: DenseBoxModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> Candidates:
        return self.network.candidates(frames)
