"""An ONNX file is judged by its bytes, before anything runs it."""

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, TensorProto, helper

from flipdetect.errors import ModelError
from flipdetect.inference.onnx_file import read_onnx_facts
from tests.inference.exported import brightness_model


def external_tensor() -> TensorProto:
    tensor = TensorProto(name="secret", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return tensor


def in_constant(graph: GraphProto, tensor: TensorProto) -> None:
    graph.node.append(helper.make_node("Constant", [], ["c"], value=tensor))


def in_branch(graph: GraphProto, tensor: TensorProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [tensor])
    graph.node.append(helper.make_node("If", ["condition"], ["out"], then_branch=branch, else_branch=branch))


def in_sparse(graph: GraphProto, tensor: TensorProto) -> None:
    graph.sparse_initializer.add(dims=[4]).values.CopyFrom(tensor)


def test_metadata_is_read_as_onnx_itself_reads_it() -> None:
    model = brightness_model()
    for key, value in (("flipdetect", '{"name": "ä"}'), ("author", "somebody"), ("empty", "")):
        model.metadata_props.add(key=key, value=value)
    found = read_onnx_facts(model.SerializeToString())
    assert found.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert found.has_graph
    assert not read_onnx_facts(b"").has_graph


@pytest.mark.parametrize(
    "place", [lambda graph, tensor: graph.initializer.append(tensor), in_constant, in_branch, in_sparse]
)
@pytest.mark.parametrize("hidden", ["location", "entries"])
def test_tensors_in_other_files_are_refused_wherever_they_hang(place, hidden: str) -> None:
    model, tensor = brightness_model(), external_tensor()
    tensor.ClearField("external_data" if hidden == "location" else "data_location")
    place(model.graph, tensor)
    with pytest.raises(ModelError, match="external data"):
        read_onnx_facts(model.SerializeToString())


def with_import(model: ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.example", 1))


def with_node(model: ModelProto) -> None:
    model.graph.node.append(helper.make_node("Run", [], ["out"], domain="com.example"))


def with_function(model: ModelProto) -> None:
    model.functions.add(name="f", domain="com.example")


@pytest.mark.parametrize("add", [with_import, with_node, with_function])
def test_operators_of_others_are_refused(add) -> None:
    model = brightness_model()
    add(model)
    with pytest.raises(ModelError, match="not ONNX's own"):
        read_onnx_facts(model.SerializeToString())


def test_onnx_own_domain_has_two_names() -> None:
    model = brightness_model()
    model.opset_import.append(helper.make_opsetid("ai.onnx", 18))
    assert read_onnx_facts(model.SerializeToString()).has_graph


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_an_error_that_says_so_or_goes_unnoticed_but_nothing_else(seed: int) -> None:
    model = brightness_model()
    model.metadata_props.add(key="flipdetect", value="{}")
    whole, rng = model.SerializeToString(), np.random.default_rng(seed)
    damaged = [whole[: int(rng.integers(len(whole)))] for _ in range(100)] + [rng.bytes(200) for _ in range(100)]
    for _ in range(200):
        changed = bytearray(whole)
        for place in rng.integers(len(whole), size=3):
            changed[place] = int(rng.integers(256))
        damaged.append(bytes(changed))
    refused = 0
    for data in damaged:
        try:
            read_onnx_facts(data)
        except ModelError:
            refused += 1
    assert refused > len(damaged) // 4


def test_numbers_without_end_and_metadata_that_is_no_text_are_damage() -> None:
    for data in (b"\x08" + b"\xff" * 20, b"\x08", b"\x0b", b"\x3a\xff\xff\xff\xff\x0f"):
        with pytest.raises(ModelError, match="damaged"):
            read_onnx_facts(data)
    with pytest.raises(ModelError, match="UTF-8"):
        read_onnx_facts(b"\x72\x04\x0a\x02\xff\xfe")
