"""Write ONNX files with all that prediction needs, and store their weights in fewer bytes. No torch."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import flipdetect
from flipdetect.atomic import replacing
from flipdetect.errors import ModelError
from flipdetect.inference.onnx_model import SIZE_LIMIT, load_onnx
from flipdetect.runs import CHECKPOINT_KEY

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
    """Check a model and write it with its metadata, atomically.

    Args:
        model: its format version, producer and metadata are replaced.
        facts: see `export_onnx`.
        path: the file; its folder is created if needed.

    Raises:
        ModelError: if the file would exceed the size that `load_onnx` accepts.
        OSError: if the file cannot be written.
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


def read_float32(source: Path) -> tuple[ModelProto, dict[str, Any]]:
    """An exported float32 model, and its metadata.

    Raises:
        ModelError: if onnx is missing, the file is not an exported flipdetect model, or its weights are smaller
            already.
    """
    check_packages(("onnx",))
    load_onnx(source, 1)  # checks the file
    import onnx

    model = onnx.load(source)
    facts = json.loads({entry.key: entry.value for entry in model.metadata_props}[CHECKPOINT_KEY])
    if facts.get("precision") != "float32":
        raise ModelError(f"{source} is in {facts.get('precision')} already; give the float32 export of the model")
    return model, facts


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
