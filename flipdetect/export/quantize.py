"""An exported model in 8-bit integers: a quarter of the size, and about half the time on processors made for it.

Post-training static quantisation by ONNX Runtime: activations get a scale for each tensor, from what they are on
calibration frames; weights one for each output channel (Krishnamoorthi, 2018, arXiv:1806.08342). Convolutions and what
lies between them are computed in integers; what turns maps into a logit, and is a thousandth of the work, is not.
"""

from __future__ import annotations

import logging
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from flipdetect.atomic import replacing
from flipdetect.errors import ModelError
from flipdetect.export.compact import compact
from flipdetect.export.onnx_writing import read_float32, write_model
from flipdetect.inference.onnx_model import INPUT, OnnxModel, load_onnx

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

Inputs = npt.NDArray[np.float32]
Method = Literal["minmax", "percentile", "entropy"]
Reduce = Literal["auto", "yes", "no"]

HEAVY = ("Conv", "Gemm", "MatMul")
"""Operators that do the work, if their weights are more than a few."""
LIGHT_WEIGHTS = 256
"""A layer of fewer numbers, such as the last one of a head, gains nothing in integers."""
BETWEEN = ("Add", "Clip", "Concat", "GlobalAveragePool", "MaxPool", "Mul", "Relu", "Resize")
"""Operators that are computed in integers, too, where they stand before a heavy one."""

MEAN_LIMIT = 0.05
"""Largest mean difference of probability for a file to be kept. The shipped models differ by 0.01; where an activation
overflows its scale, everything is far off."""

_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Quantisation:
    """How a model is brought to integers.

    Attributes:
        method: how an activation's range is taken from what was seen: "minmax" all of it; "percentile" and "entropy"
            leave outliers out (and take many times as long to find).
        reduce_range: weights get 7 bits. Processors of x86 without VNNI instructions add two products in 16 bits,
            which overflow with 8. "auto": as this machine needs it; "yes" for a file that is to run on any.
    """

    method: Method = "minmax"
    reduce_range: Reduce = "auto"

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("method", self.method, get_args(Method)),
            ("reduce_range", self.reduce_range, get_args(Reduce)),
        ):
            if value not in choices:
                raise ModelError(f"{name} must be one of {', '.join(choices)}, got {value!r}")

    @property
    def reduces(self) -> bool:
        """Whether weights get 7 bits, here."""
        return self.reduce_range == "yes" or (self.reduce_range == "auto" and not multiplies_bytes_safely())


def quantize_int8(source: Path, frames: Inputs, path: Path, how: Quantisation | None = None) -> Path:
    """Write an exported model in 8-bit integers, whole or not at all; it is loaded and used as any exported model.

    Args:
        source: an `.onnx` file of `export_onnx`.
        frames: to calibrate on, (N, C, H, W) float32, preprocessed: a hundred or more, such as it was trained on.
        path: the file to write.
        how: see `Quantisation`.

    Raises:
        ModelError: if packages are missing, the file is no exported model or in integers already, frames do not fit
            it, or there are none.
        OSError: if the file cannot be written.
    """
    how = how or Quantisation()
    model, facts = read_float32(source)
    _check_frames(load_onnx(source, 1), frames)
    facts |= {
        "precision": "int8",
        "quantisation": {"method": how.method, "reduced_range": how.reduces, "calibration_frames": len(frames)},
    }
    quantised = _quantised(model, frames, how)
    compact(quantised)
    write_model(quantised, facts, path)
    return path


@dataclass(frozen=True)
class Change:
    """What quantisation changed, on frames that it was not calibrated on.

    Attributes:
        frames: that were looked at.
        mean, largest: absolute difference of probability.
        flipped: frames that the threshold puts into another class.
    """

    frames: int
    mean: float
    largest: float
    flipped: int


def quantize_checked(
    source: Path, calibration: Inputs, others: Inputs, path: Path, how: Quantisation | None = None
) -> Change:
    """Quantise a model, and keep the file only if it says nearly the same of other frames.

    Args:
        source, calibration, path, how: as `quantize_int8` takes them.
        others: (N, C, H, W) float32, N at least 1.

    Raises:
        ModelError: as `quantize_int8`; or if probabilities differ by more than `MEAN_LIMIT` on average. A file that
            was there stays.
        OSError: if the file cannot be written.
    """
    whole = load_onnx(source, 1)
    _check_frames(whole, others)
    with replacing(path) as part:
        small = load_onnx(quantize_int8(source, calibration, part, how), 1)
        before, after = (_scores(model, others) for model in (whole, small))
        difference = np.abs(before - after)
        if not difference.mean() <= MEAN_LIMIT:
            raise ModelError(
                f"in integers, {source} gives probabilities that differ by {difference.mean():.2g} on average of "
                f"{len(others)} frames; {MEAN_LIMIT:g} is allowed. Nothing was written. Calibrate on more frames, such "
                "as the model was trained on"
            )
    flipped = int(((before >= whole.threshold) != (after >= whole.threshold)).sum())
    return Change(len(others), float(difference.mean()), float(difference.max()), flipped)


def multiplies_bytes_safely() -> bool:
    """Whether this processor adds products of bytes without overflow: VNNI on x86, all others as far as is known."""
    if platform.machine().lower() not in ("x86_64", "amd64", "i386", "i686"):
        return True
    try:
        text = _CPU_INFO.read_text("utf-8", errors="replace")
    except OSError:
        return False  # not Linux: nothing tells
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return bool(_VNNI & set(flags.split()))


def _check_frames(model: OnnxModel, frames: Inputs) -> None:
    spec = model.preprocess
    if not len(frames) or frames.shape[1:] != (spec.channels, spec.height, spec.width):
        raise ModelError(
            f"{model.path} is calibrated on frames of shape (N, {spec.channels}, {spec.height}, {spec.width}), "
            f"N at least 1, got {frames.shape}"
        )


def _scores(model: OnnxModel, frames: Inputs) -> npt.NDArray[np.float64]:
    return np.concatenate([model.probabilities(frames[place : place + 1]) for place in range(len(frames))])


def _quantised(model: ModelProto, frames: Inputs, how: Quantisation) -> ModelProto:
    import onnx
    from onnxruntime import quantization

    for place, node in enumerate(model.graph.node):  # by it, nodes are left out
        node.name = f"node_{place}"
    integers = _integer_nodes(model.graph)
    model.metadata_props.add(
        key="onnx.quant.pre_process", value="done"
    )  # batch norms are folded; it would ask for that
    methods = quantization.CalibrationMethod
    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "quantised.onnx"
        quantization.quantize_static(
            model,
            target,
            _Reader(frames),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=[*HEAVY, *BETWEEN],
            nodes_to_exclude=[node.name for node in model.graph.node if node.name not in integers],
            per_channel=True,
            reduce_range=how.reduces,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method={
                "minmax": methods.MinMax,
                "percentile": methods.Percentile,
                "entropy": methods.Entropy,
            }[how.method],
        )
        return onnx.load(target)


class _Reader:
    """Hands calibration frames to ONNX Runtime, one at a time: it keeps all activations of a batch."""

    def __init__(self, frames: Inputs) -> None:
        self._frames: Iterator[dict[str, Inputs]] = iter({INPUT: frame[np.newaxis]} for frame in frames)

    def get_next(self) -> dict[str, Inputs] | None:
        return next(self._frames, None)


def _integer_nodes(graph: GraphProto) -> set[str]:
    """Names of the heavy nodes, and of those before which no other but which a heavy one comes."""
    sizes = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    before_heavy: set[str] = set()
    found: set[str] = set()
    for node in reversed(graph.node):  # in order of computation: what uses a result stands behind it
        heavy = _is_heavy(node, sizes)
        if heavy or before_heavy.intersection(node.output):
            before_heavy.update(node.input)
            found.add(node.name)
    return found


def _is_heavy(node: NodeProto, sizes: dict[str, int]) -> bool:
    return node.op_type in HEAVY and any(sizes.get(name, 0) >= LIGHT_WEIGHTS for name in node.input)


@contextmanager
def _quiet() -> Iterator[None]:
    """ONNX Runtime's quantiser writes advice for its developers to the root logger."""
    root: Any = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)
