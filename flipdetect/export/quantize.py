"""An exported model in 8-bit integers: a quarter of the size, about half the time on processors with VNNI. No torch.

Post-training static quantisation by ONNX Runtime: activations get one scale per tensor, from their range on calibration
frames; weights one per output channel (Krishnamoorthi, 2018, arXiv:1806.08342). Convolutions and the operators between
them are computed in integers. What turns maps into a logit, a thousandth of the work, stays in float32.
"""

from __future__ import annotations

import json
import logging
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flipdetect.atomic import replacing
from flipdetect.errors import ModelError
from flipdetect.export.onnx_files import (
    DetectionParity,
    ModelDifference,
    check_packages,
    compare_detectors,
    compare_models,
    shrink_graph,
    write_model,
)
from flipdetect.inference.model import Inputs
from flipdetect.inference.onnx_model import INPUT, OnnxDetector, OnnxModel, load_exported
from flipdetect.runs import CHECKPOINT_KEY

if TYPE_CHECKING:
    from onnx import ModelProto

HEAVY = ("Conv", "Gemm", "MatMul")
"""Operators that do the work, if they have at least `LIGHT_WEIGHTS` weights."""
LIGHT_WEIGHTS = 256
BETWEEN = ("Add", "Clip", "Concat", "GlobalAveragePool", "MaxPool", "Mul", "Relu", "Resize")
"""Operators that are computed in integers, too, where they precede a heavy one."""

MEAN_LIMIT = 0.05
"""Largest accepted mean difference of probability. The pretrained models differ by 0.01; where an activation overflows
its scale, all probabilities are far off."""
INT8_EDGE, INT8_SCORE = 0.05, 0.2
"""Edges of a detection may differ by this share of the input's longer side, and its score by so much."""
INT8_SHARE = 0.8
"""Least accepted share of detections that stay."""

_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
CPU_INFO = Path("/proc/cpuinfo")


def quantize_checked(
    source: Path, calibration: Inputs, others: Inputs, path: Path, *, reduce_range: bool | None = None
) -> ModelDifference | DetectionParity:
    """Write an exported model in 8-bit integers, if it says nearly the same of other frames.

    The file is loaded and used as any exported model. Of a detector, decoding and selecting boxes stays in float32.

    Args:
        source: an `.onnx` file that `flipdetect export` wrote, in float32.
        calibration: frames (N, C, H, W) float32, preprocessed: a hundred or more, such as it was trained on.
        others: frames to compare on, of the same shape, N at least 1.
        reduce_range: use 7 bits for weights. x86 processors without VNNI add two products in 16 bits, which overflow
            with 8-bit weights. None: if this processor needs it; True for a file that runs on any.

    Returns:
        How much the probabilities differ; of a detector, how many of the detections that reach its threshold are the
        same: edges within `INT8_EDGE`, scores within `INT8_SCORE`.

    Raises:
        ModelError: if packages are missing, the file is not an exported float32 model, or the frames do not fit it; if
            probabilities differ by more than `MEAN_LIMIT` on average, or less than `INT8_SHARE` of the detections are
            the same. An existing file is kept then.
        OSError: if the file cannot be written.
    """
    check_packages(("onnx",))
    import onnx

    whole = load_exported(source, 1)  # checks the file
    model = onnx.load(source)
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}[CHECKPOINT_KEY])
    if facts.get("precision") != "float32":
        raise ModelError(f"{source} is in {facts.get('precision')} already; give the float32 export of the model")
    shape = (whole.preprocess.channels, whole.preprocess.height, whole.preprocess.width)
    for frames in (calibration, others):
        if not len(frames) or frames.shape[1:] != shape:
            raise ModelError(
                f"{source} is calibrated on frames of shape (N, {', '.join(map(str, shape))}), N at least 1, "
                f"got {frames.shape}"
            )
    reduced = not multiplies_bytes_safely() if reduce_range is None else reduce_range
    how = {"method": "minmax", "reduced_range": reduced, "calibration_frames": len(calibration)}
    quantised = _quantised(model, calibration, reduced)
    with replacing(path) as part:
        write_model(quantised, facts | {"precision": "int8", "quantisation": how}, part)
        found = load_exported(part, 1)
        if isinstance(whole, OnnxModel):
            assert isinstance(found, OnnxModel)
            difference = compare_models(whole, found, others, batch_size=1)
            if difference.mean <= MEAN_LIMIT:
                return difference
            what = f"the probabilities of {source} differ by {difference.mean:.2g} on average of {len(others)} frames; "
            what += f"{MEAN_LIMIT:g} is allowed"
        else:
            assert isinstance(found, OnnxDetector)
            pixels = INT8_EDGE * max(whole.preprocess.height, whole.preprocess.width)
            parity = compare_detectors(whole, found, others, whole.threshold, pixels, INT8_SCORE)
            if parity.share >= INT8_SHARE:
                return parity
            what = f"{source} has {parity.share:.0%} of {parity.detections} detections in common with the float32 file "
            what += f"on {len(others)} pictures; {INT8_SHARE:.0%} are needed"
        raise ModelError(
            f"in integers, {what}. Nothing was written. Calibrate on more frames, such as the model was trained on"
        )


def multiplies_bytes_safely() -> bool:
    """Whether this processor adds products of bytes without overflow: VNNI on x86, and all other architectures."""
    if platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686"):
        return True
    try:
        text = CPU_INFO.read_text("utf-8", errors="replace")
    except OSError:
        return False  # not Linux: unknown
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return bool(_VNNI & set(flags.split()))


def _quantised(model: ModelProto, frames: Inputs, reduced: bool) -> ModelProto:
    """A float32 model in integers; its nodes are renamed."""
    import onnx
    from onnxruntime import quantization

    for place, node in enumerate(model.graph.node):  # nodes are excluded by name
        node.name = f"node_{place}"
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    before_heavy: set[str] = set()
    integers: set[str] = set()  # the heavy nodes, and those whose output a heavy node depends on
    for node in reversed(model.graph.node):  # nodes are in the order of computation
        heavy = node.op_type in HEAVY and any(sizes.get(name, 0) >= LIGHT_WEIGHTS for name in node.input)
        if heavy or before_heavy.intersection(node.output):
            before_heavy.update(node.input)
            integers.add(node.name)
    # Batch norms are folded already; without this entry ONNX Runtime asks for its own preprocessing.
    model.metadata_props.add(key="onnx.quant.pre_process", value="done")
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)  # hides the advice to developers that the quantiser writes there
    try:
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "quantised.onnx"
            quantization.quantize_static(
                model,
                target,
                _CalibrationReader(frames),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=[*HEAVY, *BETWEEN],
                nodes_to_exclude=[node.name for node in model.graph.node if node.name not in integers],
                per_channel=True,
                reduce_range=reduced,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
            quantised = onnx.load(target)
    finally:
        logging.root.setLevel(before)
    shrink_graph(quantised.graph)
    for entry in [each for each in quantised.opset_import if each.domain not in ("", "ai.onnx")]:
        quantised.opset_import.remove(entry)  # of onnxruntime's own operators; none is used
    return quantised


class _CalibrationReader:
    """Feeds frames to ONNX Runtime one at a time: it keeps all activations of a batch in memory."""

    def __init__(self, frames: Inputs) -> None:
        self._frames: Iterator[dict[str, Inputs]] = iter({INPUT: frame[np.newaxis]} for frame in frames)

    def get_next(self) -> dict[str, Inputs] | None:
        return next(self._frames, None)
