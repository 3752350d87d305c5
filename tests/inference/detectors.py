"""Detectors for tests: a small trained-looking one of PyTorch, and a fixed one as ONNX that needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
from onnx import parser

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.runs import CHECKPOINT_KEY

CLASSES = ("book", "hand")
SPEC = PreprocessSpec(height=64, width=64, mean=(0.5,) * 3, std=(0.5,) * 3)
FACTS: dict[str, Any] = {
    "kind": "detection",
    "version": 1,
    "name": "Fixed",
    "classes": {"names": list(CLASSES)},
    "preprocess": SPEC.to_dict(),
    "threshold": 0.5,
    "selection": {},
    "precision": "float32",
    "source": "0" * 64,
    "flipdetect": "0.2.0",
}
# A book in the middle of the input with the picture's brightness in the middle as score, a hand at its left edge, and
# something doubtful. In a letterboxed wide picture the hand reaches into the padding.
_FIXED = """
<ir_version: 10, opset_import: ["" : 18]>
fixed (float[1, 3, 64, 64] frames) => (float[found, 4] boxes, float[found] scores, int64[found] labels) {
    boxes = Constant <value = float[3, 4] {16.0, 20.0, 48.0, 44.0, -2.0, 8.0, 10.0, 40.0, 1.0, 24.0, 5.0, 30.0}> ()
    labels = Constant <value = int64[3] {0, 1, 0}> ()
    rest = Constant <value = float[2] {0.625, 0.125}> ()
    start = Constant <value_ints = [0, 0, 32, 32]> ()
    stop = Constant <value_ints = [1, 1, 33, 33]> ()
    middle = Slice (frames, start, stop)
    flat = Constant <value_ints = [-1]> ()
    level = Reshape (middle, flat)
    one = Constant <value_float = 1.0> ()
    two = Constant <value_float = 2.0> ()
    above = Add (level, one)
    first = Div (above, two)
    scores = Concat <axis = 0> (first, rest)
}
"""


def write_fixed_detector(path: Path, **changes: Any) -> Path:
    """An exported detector that finds a book, a hand and, with a score of 0.125, another book in any picture.

    Args:
        path: the file.
        changes: of its metadata.
    """
    model = parser.parse_model(_FIXED)
    model.metadata_props.add(key=CHECKPOINT_KEY, value=json.dumps(FACTS | changes))
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path
