"""Export a trained model to one ONNX file with all that prediction needs: see `flipdetect.inference.onnx_model`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor, nn

import flipdetect
from flipdetect.atomic import replacing
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ModelError
from flipdetect.export.onnx_files import ModelDifference, check_packages, compare_models, store_float16, write_model
from flipdetect.inference.model import Inputs
from flipdetect.inference.onnx_model import HANDS, INPUT, LOGITS, ONNX_VERSION, file_digest, load_onnx
from flipdetect.inference.torch_model import TorchModel
from flipdetect.models.base import FrameModel
from flipdetect.models.evidence_maps import MAPS
from flipdetect.runs import NO_TEMPERATURE
from flipdetect.zoo import SUFFIX

if TYPE_CHECKING:
    from onnx import ModelProto

Precision = Literal["float32", "float16"]

OPSET = 18
"""The version of ONNX's operators that torch's exporter writes without a conversion."""
PACKAGES = ("onnx", "onnxscript")
"""What torch's exporter needs in addition to torch."""
LIMITS: dict[Precision, float] = {"float32": 1e-4, "float16": 1e-2}
"""Largest accepted difference of probability. Another order of summation causes far less than the first; rounding
weights to float16 (11 significant bits) stays below the second, and a mistake does not."""

EXAMPLE_BATCH = 2  # with one frame, the exporter would treat the batch size as a constant


class _Exported(nn.Module):
    """Frames -> logits at a temperature, and probabilities of hands if the model has maps."""

    def __init__(self, model: FrameModel, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, frames: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if not self.model.has_maps:
            return self._scaled(self.model(frames))
        logits, maps = self.model.forward_maps(frames)
        return self._scaled(logits), maps[:, MAPS.index("hands")].sigmoid()

    def _scaled(self, logits: Tensor) -> Tensor:
        return logits if self.temperature == NO_TEMPERATURE else logits / self.temperature


def export_onnx(model: TorchModel, path: Path, *, precision: Precision = "float32") -> Path:
    """Write a trained model as one ONNX file, atomically.

    docs/guides/onnx-contract.md describes inputs, outputs and metadata. Operators are those of ONNX's opset 18.

    Args:
        precision: of the stored weights. With "float16" the file is half as large; everything is computed in float32,
            because CPUs are not faster in float16.

    Raises:
        ModelError: if `precision` is unknown, packages are missing, the model cannot be expressed in ONNX, does not
            fit float16, or exceeds the size that `load_onnx` accepts.
    """
    if precision not in get_args(Precision):
        raise ModelError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    proto = trace(
        _Exported(model.task.model, model.temperature),
        model.preprocess,
        [LOGITS, HANDS] if model.task.model.has_maps else [LOGITS],
    )
    if precision == "float16":
        store_float16(proto.graph)
    packed = model.path.suffix == SUFFIX
    facts = {
        "version": ONNX_VERSION,
        "name": model.path.stem if packed else type(model.task.model).__name__,
        "classes": asdict(model.classes),
        "preprocess": model.preprocess.to_dict(),
        "threshold": model.threshold,
        **({} if model.temperature == NO_TEMPERATURE else {"temperature": model.temperature}),
        "naming": None if model.naming is None else asdict(model.naming),
        "precision": precision,
        "source": file_digest(model.path),
        "flipdetect": flipdetect.__version__,
    }
    write_model(proto, facts, path)
    return path


def export_checked(
    model: TorchModel, path: Path, frames: Inputs, *, precision: Precision = "float32"
) -> ModelDifference:
    """Export a model, and keep the file only if its probabilities equal the model's.

    Args:
        frames: to compare on, preprocessed, (N, C, H, W) float32, N at least 1.

    Raises:
        ModelError: as in `export_onnx`; or if probabilities differ by more than `LIMITS` allow. An existing file is
            kept then.
        OSError: if the file cannot be written.
    """
    with replacing(path) as part:
        exported = load_onnx(export_onnx(model, part, precision=precision))
        difference = compare_models(model, exported, frames)
        if not difference.largest <= LIMITS[precision]:
            raise ModelError(
                f"the probabilities of the exported {model.path} differ by up to {difference.largest:.2g} on "
                f"{difference.frames} frames; {LIMITS[precision]:g} is allowed. Nothing was written"
            )
    return difference


def trace(network: nn.Module, spec: PreprocessSpec, outputs: Sequence[str], *, batch: int | None = None) -> ModelProto:
    """Trace a network by torch's exporter, from `frames` (B, C, H, W) float32; `batch` is B, or None for any.

    Raises:
        ModelError: if packages are missing, or the network cannot be expressed in ONNX.
    """
    check_packages(PACKAGES)
    try:
        program = torch.onnx.export(
            copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format).eval(),
            (torch.zeros(batch or EXAMPLE_BATCH, spec.channels, spec.height, spec.width),),
            input_names=[INPUT],
            output_names=list(outputs),
            dynamic_shapes=None if batch else {INPUT: {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        raise ModelError(f"{type(network).__name__} cannot be expressed in ONNX: {error}") from error
    assert program is not None
    proto: ModelProto = program.model_proto
    # What the exporter notes contains paths of this machine.
    del proto.graph.value_info[:]
    for part in (proto.graph, *proto.graph.node, *proto.graph.initializer, *proto.graph.input, *proto.graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return proto
