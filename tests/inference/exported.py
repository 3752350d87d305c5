"""A small ONNX file in the form that `export_onnx` writes, made by hand in no time: how bright the first channel is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.inference.onnx_model import HANDS, INPUT, LOGITS, ONNX_VERSION
from flipdetect.runs import CHECKPOINT_KEY

SPEC = PreprocessSpec(height=16, width=8)
FACTS: dict[str, Any] = {
    "version": ONNX_VERSION,
    "name": "brightness",
    "classes": {"negative": "open", "positive": "closed"},
    "preprocess": SPEC.to_dict(),
    "threshold": 0.25,
    "naming": {"pattern": r"(?P<video>\w+)-(?P<frame>\d+)", "labels": None},
    "precision": "float32",
    "source": "0" * 64,
    "flipdetect": "1.2.3",
}


def brightness_model(spec: PreprocessSpec = SPEC, *, hands: bool = True) -> ModelProto:
    """Logit: mean of the first channel; hands: the sigmoid of that channel at a quarter of its size."""
    size = ["batch", spec.channels, spec.height, spec.width]
    bounds = [("zero", [0]), ("one", [1]), ("axes", [1])]
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in bounds]
    nodes = [
        helper.make_node("Slice", [INPUT, "zero", "one", "axes"], ["first"]),
        helper.make_node("Flatten", ["first"], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "axes"], [LOGITS], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["batch"])]
    if hands:
        nodes += [
            helper.make_node("AveragePool", ["first"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
            helper.make_node("Squeeze", ["pooled", "axes"], ["map"]),
            helper.make_node("Sigmoid", ["map"], [HANDS]),
        ]
        outputs.append(helper.make_tensor_value_info(HANDS, TensorProto.FLOAT, ["batch", None, None]))
    graph = helper.make_graph(
        nodes, "brightness", [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, size)], outputs, constants
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write_exported(path: Path, model: ModelProto | None = None, **changes: Any) -> Path:
    """Write a model with `FACTS`, changed by the arguments."""
    model = model or brightness_model()
    del model.metadata_props[:]
    model.metadata_props.add(key=CHECKPOINT_KEY, value=json.dumps(FACTS | changes))
    path.write_bytes(model.SerializeToString())
    return path
