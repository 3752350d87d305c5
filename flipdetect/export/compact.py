"""Take out of an ONNX graph what says nothing: long names, constants that stand in it twice, shapes between nodes.

A quantised graph of a small network is weights by half and bookkeeping by the other half: each weight has a scale and
a zero per channel, each bias both again. What remains computes the same numbers.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

STANDARD_DOMAINS = ("", "ai.onnx")
DEQUANTIZE = "DequantizeLinear"
SAME_SCALE = 1e-5
"""Relative difference up to which a bias's scale is the product of its input's and weight's: float32 rounding."""


def compact(model: ModelProto) -> None:
    """Make a model smaller in place, without a change of what it computes.

    Names of inputs and outputs stay. Zeros that a bias's dequantisation states are left out (the standard demands
    that they be zero), and its scale is given as the product that it is, which ONNX Runtime computes when it loads the
    file.

    Args:
        model: without subgraphs.
    """
    graph = model.graph
    _shrink_biases(graph)
    _share_constants(graph)
    _drop_unused(graph)
    _shorten_names(graph)
    del graph.value_info[:]
    for entry in [each for each in model.opset_import if each.domain not in STANDARD_DOMAINS]:
        if all(node.domain != entry.domain for node in graph.node):
            model.opset_import.remove(entry)


def _shrink_biases(graph: GraphProto) -> None:
    from onnx import helper, numpy_helper

    constants = {tensor.name: tensor for tensor in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    products: dict[str, NodeProto] = {}
    for node in list(graph.node):
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
            continue
        data, weight, bias = (made_by.get(name) for name in node.input[:3])
        if not all(part is not None and part.op_type == DEQUANTIZE for part in (data, weight, bias)):
            continue
        assert data is not None
        assert weight is not None
        assert bias is not None
        if any(name not in constants for name in (bias.input[0], *(each.input[1] for each in (data, weight, bias)))):
            continue
        of_data, of_weight, scale = (numpy_helper.to_array(constants[each.input[1]]) for each in (data, weight, bias))
        product = of_data * of_weight
        if product.shape != scale.shape or not np.allclose(product, scale, rtol=SAME_SCALE, atol=0):
            continue
        del bias.input[2:]
        bias.input[1] = f"{bias.input[0]}_product"
        products[bias.input[1]] = helper.make_node("Mul", [data.input[1], weight.input[1]], [bias.input[1]])
    nodes = [*products.values(), *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _share_constants(graph: GraphProto) -> None:
    """Keep one of the constants that are equal."""
    first: dict[bytes, str] = {}
    other: dict[str, str] = {}
    for tensor in graph.initializer:
        other[tensor.name] = first.setdefault(_content(tensor), tensor.name)
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = other.get(name, name)


def _content(tensor: TensorProto) -> bytes:
    from onnx import TensorProto

    unnamed = TensorProto()
    unnamed.CopyFrom(tensor)
    unnamed.ClearField("name")
    content: bytes = unnamed.SerializeToString(deterministic=True)
    return content


def _drop_unused(graph: GraphProto) -> None:
    used = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _shorten_names(graph: GraphProto) -> None:
    fixed = {value.name for value in (*graph.input, *graph.output)} | {""}
    short: dict[str, str] = {}
    names = _letters(fixed)
    for node in graph.node:
        node.ClearField("name")
        for field in (node.input, node.output):
            for place, name in enumerate(field):
                if name in fixed:
                    continue
                if name not in short:
                    short[name] = next(names)
                field[place] = short[name]
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)


def _letters(taken: set[str]) -> Iterator[str]:
    """0, 1, ..., 9, a, ..., z, 10, ...: but for names that are taken."""
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    for number in count():
        name, rest = "", number
        while rest or not name:
            rest, digit = divmod(rest, len(digits))
            name = digits[digit] + name
        if name not in taken:
            yield name
