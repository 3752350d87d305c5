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
from flipdetect.export.detector_parity import DetectionParity, compare_detectors
from flipdetect.export.onnx_files import ModelDifference, check_packages, compare_models, shrink_graph, write_model
from flipdetect.inference.model import Inputs
from flipdetect.inference.onnx_detector import OnnxDetector, load_onnx_detector
from flipdetect.inference.onnx_model import INPUT, OnnxModel, load_onnx
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
) -> ModelDifference:
    """Write an exported model in 8-bit integers, if its probabilities on other frames are nearly the same.

    The file is loaded and used as any exported model.

    Args:
        source: an `.onnx` file of `export_onnx`, in float32.
        calibration: frames (N, C, H, W) float32, preprocessed: a hundred or more, such as it was trained on.
        others: frames to compare on, of the same shape, N at least 1.
        reduce_range: use 7 bits for weights. x86 processors without VNNI add two products in 16 bits, which overflow
            with 8-bit weights. None: if this processor needs it; True for a file that runs on any.

    Raises:
        ModelError: if packages are missing, the file is not an exported float32 model, the frames do not fit it, or
            probabilities differ by more than `MEAN_LIMIT` on average. An existing file is kept then.
        OSError: if the file cannot be written.
    """
    whole = load_onnx(source, 1)  # checks the file
    with replacing(path) as part:
        _write_quantised(whole, calibration, others, part, reduce_range)
        difference = compare_models(whole, load_onnx(part, 1), others, batch_size=1)
        if not difference.mean <= MEAN_LIMIT:
            raise ModelError(
                f"in integers, the probabilities of {source} differ by {difference.mean:.2g} on average of "
                f"{len(others)} frames; {MEAN_LIMIT:g} is allowed. Nothing was written. Calibrate on more frames, such "
                "as the model was trained on"
            )
    return difference


def quantize_detector_checked(
    source: Path, calibration: Inputs, others: Inputs, path: Path, *, reduce_range: bool | None = None
) -> DetectionParity:
    """Write an exported detector in 8-bit integers, if it finds nearly the same in other pictures.

    Decoding and selecting boxes stays in float32. Arguments are those of `quantize_checked`.

    Returns:
        How many of the detections that reach the detector's threshold are those of `source`: edges within `INT8_EDGE`,
        scores within `INT8_SCORE`.

    Raises:
        ModelError: as `quantize_checked`; or if less than `INT8_SHARE` of them are.
        OSError: if the file cannot be written.
    """
    whole = load_onnx_detector(source, 1)
    with replacing(path) as part:
        _write_quantised(whole, calibration, others, part, reduce_range)
        pixels = INT8_EDGE * max(whole.preprocess.height, whole.preprocess.width)
        parity = compare_detectors(
            whole, load_onnx_detector(part, 1), others, least_score=whole.threshold, pixels=pixels, score=INT8_SCORE
        )
        if not parity.share >= INT8_SHARE:
            raise ModelError(
                f"in integers, {source} has {parity.share:.0%} of {parity.detections} detections in common with the "
                f"float32 file on {len(others)} pictures; {INT8_SHARE:.0%} are needed. Nothing was written. Calibrate "
                "on more pictures, such as it was trained on"
            )
    return parity


def _write_quantised(
    whole: OnnxModel | OnnxDetector, calibration: Inputs, others: Inputs, path: Path, reduce_range: bool | None
) -> None:
    check_packages(("onnx",))
    import onnx

    model = onnx.load(whole.path)
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}[CHECKPOINT_KEY])
    if facts.get("precision") != "float32":
        raise ModelError(f"{whole.path} is in {facts.get('precision')} already; give the float32 export of the model")
    shape = (whole.preprocess.channels, whole.preprocess.height, whole.preprocess.width)
    for frames in (calibration, others):
        if not len(frames) or frames.shape[1:] != shape:
            raise ModelError(
                f"{whole.path} is calibrated on frames of shape (N, {', '.join(map(str, shape))}), N at least 1, "
                f"got {frames.shape}"
            )
    reduced = not multiplies_bytes_safely() if reduce_range is None else reduce_range
    quantised = _quantised(model, calibration, reduced)
    how = {"method": "minmax", "reduced_range": reduced, "calibration_frames": len(calibration)}
    write_model(quantised, facts | {"precision": "int8", "quantisation": how}, path)


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
