"""A trained model becomes one ONNX file, with all that prediction needs: see `flipdetect.inference.onnx_model`."""

from __future__ import annotations

import copy
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from torch import Tensor, nn

import flipdetect
from flipdetect.errors import ModelError
from flipdetect.export.onnx_writing import check_packages, store_float16, write_model
from flipdetect.inference.onnx_model import HANDS, INPUT, LOGITS, ONNX_VERSION, file_digest
from flipdetect.inference.torch_model import TorchModel
from flipdetect.models.base import FrameModel
from flipdetect.models.evidence_maps import MAPS
from flipdetect.runs import NO_TEMPERATURE
from flipdetect.zoo import SUFFIX

if TYPE_CHECKING:
    from onnx import ModelProto

Precision = Literal["float32", "float16"]

OPSET = 18
"""The version of ONNX's operators that torch's exporter writes by itself, without converting."""
PACKAGES = ("onnx", "onnxscript")
"""What torch's exporter needs besides torch."""

EXAMPLE_BATCH = 2  # of one frame, the exporter would take the batch's size for a constant


class _Exported(nn.Module):
    """Frames -> logits at a temperature, and probabilities of hands if the model has maps."""

    def __init__(self, model: FrameModel, temperature: float) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature

    def forward(self, frames: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if not self.model.has_maps:
            return self._tempered(self.model(frames))
        logits, maps = self.model.forward_maps(frames)
        return self._tempered(logits), maps[:, MAPS.index("hands")].sigmoid()

    def _tempered(self, logits: Tensor) -> Tensor:
        return logits if self.temperature == NO_TEMPERATURE else logits / self.temperature


def export_onnx(bundle: TorchModel, path: Path, *, precision: Precision = "float32") -> Path:
    """Write a trained model as one ONNX file, whole or not at all.

    Its input is `frames` (B, C, H, W) float32, preprocessed, of any B; its outputs are `logits` (B,) float32, divided
    by the model's temperature, and, if it has maps, `hands` (B, h, w) float32, 0 to 1. Under the
    metadata key `flipdetect` stands a JSON object: `version` of its meaning, `name` of the model, `classes`,
    `preprocess` (`PreprocessSpec.to_dict`), `threshold`, `temperature` (unless it is 1; for the record), `naming`,
    `precision`, `source` (SHA-256 of the file that the model was loaded from) and `flipdetect`, the version that wrote
    it. Operators are those of ONNX's opset 18.

    Args:
        bundle: the model, on any device.
        path: the file; its folder is made if need be.
        precision: of the stored weights. With "float16" the file is half as large; all is computed in float32, because
            CPUs compute no faster in float16.

    Raises:
        ModelError: if `precision` is no choice, packages are missing, the model cannot be expressed in
            ONNX, does not fit float16, or makes a larger file than is loaded.
        OSError: if the file cannot be written.
    """
    if precision not in get_args(Precision):
        raise ModelError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    check_packages(PACKAGES)
    model = _graph(bundle)
    _strip(model)
    if precision == "float16":
        store_float16(model.graph)
    write_model(model, _facts(bundle, precision), path)
    return path


def _facts(bundle: TorchModel, precision: Precision) -> dict[str, Any]:
    shipped = bundle.path.suffix == SUFFIX
    return {
        "version": ONNX_VERSION,
        "name": bundle.path.stem if shipped else type(bundle.task.model).__name__,
        "classes": asdict(bundle.classes),
        "preprocess": bundle.preprocess.to_dict(),
        "threshold": bundle.threshold,
        **({} if bundle.temperature == NO_TEMPERATURE else {"temperature": bundle.temperature}),
        "naming": None if bundle.naming is None else asdict(bundle.naming),
        "precision": precision,
        "source": file_digest(bundle.path),
        "flipdetect": flipdetect.__version__,
    }


def _graph(bundle: TorchModel) -> ModelProto:
    """The model as torch's exporter makes it of what it traces.

    That exporter (`dynamo=True`), not the older one of TorchScript: the latter needs no further package but is
    deprecated since torch 2.9.
    """
    spec = bundle.preprocess
    model = copy.deepcopy(bundle.task.model).cpu().to(memory_format=torch.contiguous_format)
    frames = torch.zeros(EXAMPLE_BATCH, spec.channels, spec.height, spec.width)
    try:
        program = torch.onnx.export(
            _Exported(model, bundle.temperature).eval(),
            (frames,),
            input_names=[INPUT],
            output_names=[LOGITS, HANDS] if model.has_maps else [LOGITS],
            dynamic_shapes={INPUT: {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        raise ModelError(f"{type(model).__name__} cannot be expressed in ONNX: {error}") from error
    assert program is not None
    proto: ModelProto = program.model_proto
    return proto


def _strip(model: ModelProto) -> None:
    """Take out what describes the export rather than the model: shapes between nodes, and traces that name paths."""
    graph = model.graph
    del graph.value_info[:]
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
