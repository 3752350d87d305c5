"""What an ONNX file says of itself, read without running it: metadata, and whether it asks for more than itself.

An ONNX file is a protocol buffer. The few fields that matter here are read from its bytes (the wire format:
https://protobuf.dev/programming-guides/encoding, the fields: onnx.proto of https://github.com/onnx/onnx), so that a
file is judged before a runtime opens it, and prediction needs no further package.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from flipdetect.errors import ModelError

DOMAINS = (b"", b"ai.onnx")
"""Both name ONNX's own operators; any other domain is one of extensions."""

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_WIDTHS = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
_LONGEST_VARINT = 10

# Messages, and which messages lie in which of their fields.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 14: "entry", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "function": {},
    "tensor": {},
    "opset": {},
    "entry": {},
}
_OPSET_DOMAIN, _NODE_DOMAIN = 1, 7
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
_KEY, _VALUE = 1, 2

Value = int | memoryview


class OnnxFacts(NamedTuple):
    """What was found.

    Attributes:
        metadata: the model's `metadata_props`.
        has_graph: whether there is anything to run.
    """

    metadata: dict[str, str]
    has_graph: bool


def read_onnx_facts(data: bytes) -> OnnxFacts:
    """Read an ONNX file's metadata, and refuse one that names other files or operators that are not ONNX's own.

    Args:
        data: the whole file.

    Raises:
        ModelError: if the bytes are no protocol buffer, tensors lie in other files (external data), or operators are
            not of ONNX's own domain. The message does not name the file.
    """
    metadata: dict[str, str] = {}
    has_graph = False
    waiting: list[tuple[str, memoryview]] = [("model", memoryview(data))]
    while waiting:
        kind, message = waiting.pop()
        if kind == "entry":
            key, value = _entry(message)
            metadata[key] = value
            continue
        inside = _INSIDE[kind]
        for number, field in _fields(message):
            _refuse(kind, number, field)
            if number in inside and isinstance(field, memoryview):
                has_graph |= inside[number] == "graph"
                waiting.append((inside[number], field))
    return OnnxFacts(metadata, has_graph)


def _refuse(kind: str, number: int, field: Value) -> None:
    """Raise ModelError if a field of a message means that the file needs more than itself."""
    if kind == "tensor" and (number == _EXTERNAL_DATA or (number == _DATA_LOCATION and field)):
        raise ModelError("its tensors lie in other files (external data), which are not opened; export it as one file")
    domain = (kind, number) in (("opset", _OPSET_DOMAIN), ("node", _NODE_DOMAIN))
    if kind == "function" or (domain and isinstance(field, memoryview) and bytes(field) not in DOMAINS):
        named = f" ({bytes(field).decode('utf-8', 'replace')[:80]!r})" if domain and not isinstance(field, int) else ""
        raise ModelError(f"it needs operators that are not ONNX's own{named}; they are not run")


def _entry(message: memoryview) -> tuple[str, str]:
    parts = {number: bytes(value) for number, value in _fields(message) if isinstance(value, memoryview)}
    try:
        return parts.get(_KEY, b"").decode(), parts.get(_VALUE, b"").decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"its metadata is no UTF-8 ({error})") from error


def _fields(message: memoryview) -> Iterator[tuple[int, Value]]:
    """Number and value of each field of a message, in order: an integer, or the bytes of what has a length."""
    position, end = 0, len(message)
    while position < end:
        tag, position = _varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == _LENGTH:
            length, position = _varint(message, position)
        elif wire in _WIDTHS:
            length = _WIDTHS[wire]
        else:
            raise _damaged()
        if number == 0 or position + length > end:
            raise _damaged()
        yield number, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """The integer of variable length at a position, and the position behind it."""
    result = 0
    for place, byte in enumerate(message[position : position + _LONGEST_VARINT]):
        result |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return result, position + place + 1
    raise _damaged()


def _damaged() -> ModelError:
    return ModelError("it is damaged, or no ONNX file")
