"""A graph for any runtime: RGB pictures of any size in, probabilities out, preprocessing inside. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.errors import ModelError
from flipdetect.export.onnx_files import IR_VERSION, check_packages, write_model
from flipdetect.inference.onnx_model import INPUT, LOGITS, OnnxModel
from flipdetect.runs import CHECKPOINT_KEY

if TYPE_CHECKING:
    from onnx import ModelProto

IMAGE, PROBABILITY, FLIP = "image", "probability", "flip"
PREFIX = "network_"
"""Of the names in the network, which else might be those of the preprocessing."""
LEAST_OPSET = 18
"""Of ONNX, for which the text below is written."""

# Names that end in f are sizes as float32. Pad knows one value, so level 0 is the padding colour while it pads.
_GRAPH = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
prepare (uint8[height, width, 3] image) => (float[1, 3, {height}, {width}] prepared) {{
    size = Shape <end = 2> (image)
    sizef = Cast <to = 1> (size)
    roomf = Constant <value_floats = [{height}.0, {width}.0]> ()
    ratios = Div (roomf, sizef)
    ratio = {ratio} (ratios)
    exactf = Mul (sizef, ratio)
    roundf = Round (exactf)
    zero = Constant <value_float = 0.0> ()
    half = Constant <value_float = 0.5> ()
    one = Constant <value_float = 1.0> ()
    scaledf = Max (roundf, one)
    scaled = Cast <to = 7> (scaledf)
    levels = Cast <to = 1> (image)
    channels = Transpose <perm = [2, 0, 1]> (levels)
    {weights_y}
    {weights_x}
    across = Transpose (weights_x)
    lower = MatMul (weights_y, channels)
    resized = MatMul (lower, across)
    rounded = Round (resized)
    colour = Constant <value = float[3, 1, 1] {{{padding}}}> ()
    shifted = Sub (rounded, colour)
    room = Constant <value_ints = [{height}, {width}]> ()
    free = Sub (room, scaled)
    two = Constant <value_ints = [2]> ()
    before = Div (free, two)
    after = Sub (free, before)
    none = Constant <value_ints = [0]> ()
    pads = Concat <axis = 0> (none, before, none, after)
    padded = Pad (shifted, pads)
    unshifted = Add (padded, colour)
    mean = Constant <value = float[3, 1, 1] {{{mean}}}> ()
    deviation = Constant <value = float[3, 1, 1] {{{std}}}> ()
    centred = Sub (unshifted, mean)
    normal = Div (centred, deviation)
    prepared = Unsqueeze (normal, none)
}}
"""
# (new, old) weights of one axis: shares of area for shrinking, linear for enlarging, as `PreprocessSpec.resize` does.
# ONNX has Resize, but none that averages areas: with its antialiasing, probabilities differed by up to 0.1.
_WEIGHTS = """
    which_{axis} = Constant <value_int = {place}> ()
    old_{axis} = Gather (sizef, which_{axis})
    new_{axis} = Gather (scaledf, which_{axis})
    step_{axis} = Div (old_{axis}, new_{axis})
    from_{axis} = Range (zero, old_{axis}, one)
    upto_{axis} = Add (from_{axis}, one)
    row_{axis} = Range (zero, new_{axis}, one)
    last_{axis} = Constant <value_ints = [1]> ()
    to_{axis} = Unsqueeze (row_{axis}, last_{axis})
    low_{axis} = Mul (to_{axis}, step_{axis})
    high_{axis} = Add (low_{axis}, step_{axis})
    left_{axis} = Max (low_{axis}, from_{axis})
    right_{axis} = Min (high_{axis}, upto_{axis})
    overlap_{axis} = Sub (right_{axis}, left_{axis})
    shared_{axis} = Max (overlap_{axis}, zero)
    area_{axis} = Div (shared_{axis}, step_{axis})
    middle_{axis} = Add (to_{axis}, half)
    place_{axis} = Mul (middle_{axis}, step_{axis})
    pixel_{axis} = Sub (place_{axis}, half)
    end_{axis} = Sub (old_{axis}, one)
    above_{axis} = Max (pixel_{axis}, zero)
    inside_{axis} = Min (above_{axis}, end_{axis})
    offset_{axis} = Sub (from_{axis}, inside_{axis})
    distance_{axis} = Abs (offset_{axis})
    near_{axis} = Sub (one, distance_{axis})
    linear_{axis} = Max (near_{axis}, zero)
    shrinks_{axis} = GreaterOrEqual (step_{axis}, one)
    weights_{axis} = Where (shrinks_{axis}, area_{axis}, linear_{axis})
"""
_DECISION = """
<ir_version: {ir}, opset_import: ["" : {opset}]>
decide (float[batch] logit) => (float[batch] probability, bool[batch] flip) {{
    probability = Sigmoid (logit)
    threshold = Constant <value_float = {threshold:.9g}> ()
    flip = GreaterOrEqual (probability, threshold)
}}
"""


def export_portable(model: OnnxModel, output: Path) -> Path:
    """Write an exported model with its preprocessing, sigmoid and threshold inside, for programs in any language.

    Input: `image`, uint8 RGB (height, width, 3). Outputs: `probability`, float32 (1,), and `flip`, bool (1,).

    Args:
        model: a float32 or 8-bit file that `flipdetect export` wrote.

    Raises:
        ModelError: if packages are missing, or the model takes grey or cropped frames.
        OSError: if the file cannot be written.
    """
    check_packages(["onnx"])
    import onnx
    from onnx import compose, parser

    spec = model.preprocess
    if spec.channels != 3 or spec.fit == "crop":
        raise ModelError(
            f"{model.path} takes {spec.channels} channel(s), {spec.fit}; RGB, letterbox or stretch, can be"
        )
    network: ModelProto = onnx.load(model.path)
    versions = {one.domain: one.version for one in network.opset_import}
    if versions[""] < LEAST_OPSET:
        raise ModelError(f"{model.path} has opset {versions['']}, {LEAST_OPSET} is needed; export it again")
    network.ir_version = IR_VERSION
    network = compose.add_prefix(network, PREFIX)
    values = {
        "ir": IR_VERSION, "opset": versions[""], "height": spec.height, "width": spec.width,
        "ratio": "ReduceMin" if spec.fit == "letterbox" else "Identity",
        "padding": ", ".join(f"{level}.0" for level in spec.padding),
        "mean": ", ".join(f"{255 * value!r}" for value in spec.mean),
        "std": ", ".join(f"{255 * value!r}" for value in spec.std),
        "threshold": model.threshold,
        "weights_y": _WEIGHTS.format(axis="y", place=0), "weights_x": _WEIGHTS.format(axis="x", place=1),
    }  # fmt: skip
    before, after = (parser.parse_model(text.format(**values)) for text in (_GRAPH, _DECISION))
    for extra in network.opset_import:
        if extra.domain:
            for part in (before, after):
                part.opset_import.append(extra)
    whole = compose.merge_models(before, network, [("prepared", PREFIX + INPUT)], outputs=[PREFIX + LOGITS])
    whole = compose.merge_models(whole, after, [(PREFIX + LOGITS, "logit")], outputs=[PROBABILITY, FLIP])
    facts = json.loads(model.session.get_modelmeta().custom_metadata_map[CHECKPOINT_KEY])
    write_model(whole, {**facts, "input": IMAGE}, output)
    return output
