"""Write ONNX files with all that prediction needs, and store their weights smaller. No torch."""

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
from flipdetect.inference.onnx_model import SIZE_LIMIT
from flipdetect.runs import CHECKPOINT_KEY

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

IR_VERSION = 10
"""The version of the file format (ONNX 1.16). Fixed, so that ONNX Runtime reads the file from 1.18 on whichever library
made it."""
SMALL = 64
"""Tensors of fewer numbers, such as biases and sizes, stay as they are in float16: nothing is gained on them."""


def check_packages(names: Sequence[str]) -> None:
    """Refuse to go on without packages.

    Raises:
        ModelError: if one is not installed.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(f"to write ONNX files, {' and '.join(missing)} is needed; pip install {' '.join(missing)}")


def write_model(model: ModelProto, facts: Mapping[str, Any], path: Path) -> None:
    """Write a model, checked, with its metadata; whole or not at all.

    Args:
        model: is changed: its format version, producer and metadata.
        facts: see `export_onnx`.
        path: the file; its folder is made if need be.

    Raises:
        ModelError: if the file would be larger than is loaded again.
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


def facts_of(model: ModelProto) -> dict[str, Any]:
    """The metadata that `write_model` wrote, of a file that `load_onnx` takes."""
    facts: dict[str, Any] = json.loads({entry.key: entry.value for entry in model.metadata_props}[CHECKPOINT_KEY])
    return facts


def store_float16(graph: GraphProto) -> None:
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


def write_float16(source: Path, path: Path) -> Path:
    """Store an exported model's weights as float16: half the file; all is computed in float32 as before.

    Args:
        source: an `.onnx` file of `export_onnx`, in float32.
        path: the file to write.

    Raises:
        ModelError: if packages are missing, the file is no such model, or does not fit float16.
        OSError: if the file cannot be written.
    """
    model, facts = read_float32(source)
    store_float16(model.graph)
    write_model(model, facts | {"precision": "float16"}, path)
    return path


def read_float32(source: Path) -> tuple[ModelProto, dict[str, Any]]:
    """An exported float32 model, and its metadata.

    Raises:
        ModelError: if packages are missing, it is no model that flipdetect exported, or was made smaller already.
    """
    from flipdetect.inference.onnx_model import load_onnx

    check_packages(("onnx",))
    load_onnx(source, 1)  # judges the file
    import onnx

    model = onnx.load(source)
    facts = facts_of(model)
    if facts.get("precision") != "float32":
        raise ModelError(f"{source} is in {facts.get('precision')} already; give the float32 export of the model")
    return model, facts
