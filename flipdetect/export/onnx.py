"""A trained model becomes one ONNX file, with all that prediction needs: see `flipdetect.inference.onnx_model`."""

from __future__ import annotations

import copy
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

import flipdetect
from flipdetect.atomic import replacing
from flipdetect.errors import ModelError
from flipdetect.inference.bundle import Bundle
from flipdetect.inference.onnx_model import HANDS, INPUT, LOGITS, ONNX_VERSION, SIZE_LIMIT, file_digest
from flipdetect.models.base import FrameModel
from flipdetect.models.evidence import MAPS
from flipdetect.runs import CHECKPOINT_KEY, NO_TEMPERATURE
from flipdetect.shipped import SUFFIX
from flipdetect.tasks import SequenceClassifier

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

Precision = Literal["float32", "float16"]

OPSET = 18
"""The version of ONNX's operators that torch's exporter writes by itself, without converting."""
IR_VERSION = 10
"""The version of the file format (ONNX 1.16). Fixed, so that ONNX Runtime reads the file from 1.18 on whichever torch
made it."""
PACKAGES = ("onnx", "onnxscript")
"""What torch's exporter needs besides torch."""

EXAMPLE_BATCH = 2  # of one frame, the exporter would take the batch's size for a constant
SMALL = 64
"""Tensors of fewer numbers, such as biases and sizes, stay as they are in float16: nothing is gained on them."""


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


def export_onnx(bundle: Bundle, path: Path, *, precision: Precision = "float32") -> Path:
    """Write a trained model as one ONNX file, whole or not at all.

    Its input is `frames` (B, C, H, W) float32, preprocessed, of any B; its outputs are `logits` (B,) float32, divided
    by the model's temperature, and, if it has maps, `hands` (B, h, w) float32, 0 to 1 (see `Bundle.look`). Under the
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
        ModelError: if `precision` is no choice, packages are missing, the model judges clips, cannot be expressed in
            ONNX, does not fit float16, or makes a larger file than is loaded.
        OSError: if the file cannot be written.
    """
    if precision not in get_args(Precision):
        raise ModelError(f"precision must be one of {', '.join(get_args(Precision))}, got {precision!r}")
    if isinstance(bundle.task, SequenceClassifier):
        raise ModelError(f"{bundle.path} judges clips; a model of single frames is exported, such as the one in it")
    _check_packages()
    from onnx import checker

    model = _graph(bundle)
    model.ir_version = IR_VERSION
    _strip(model)
    if precision == "float16":
        _store_float16(model.graph)
    model.producer_name, model.producer_version = "flipdetect", flipdetect.__version__
    del model.metadata_props[:]
    facts = json.dumps(_facts(bundle, precision), allow_nan=False, ensure_ascii=False, sort_keys=True)
    model.metadata_props.add(key=CHECKPOINT_KEY, value=facts)
    checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    if len(data) > SIZE_LIMIT:
        raise ModelError(f"exported, {bundle.path} has {len(data):,} bytes; {SIZE_LIMIT:,} at most are loaded again")
    with replacing(path) as part:
        part.write_bytes(data)
    return path


def _facts(bundle: Bundle, precision: Precision) -> dict[str, Any]:
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


def _check_packages() -> None:
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"to export a model, torch needs {' and '.join(missing)}; pip install {' '.join(missing)}")


def _graph(bundle: Bundle) -> ModelProto:
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


def _store_float16(graph: GraphProto) -> None:
    """Store large float32 tensors as float16, each followed by a cast to float32.

    ONNX Runtime undoes the cast once, when it loads the file.

    Raises:
        ModelError: if a number is too large for float16.
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
