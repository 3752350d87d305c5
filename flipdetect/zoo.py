"""The pretrained models: their names, and where their files are."""

from __future__ import annotations

import os
from pathlib import Path

from flipdetect.errors import ModelError

PRETRAINED = {"efficientnet_lite0": "EfficientNetLite0", "tiny_cnn": "TinyCNN", "mobilenet_v2": "MobileNetV2"}
"""Name of a pretrained network -> name of its class in `flipdetect.models`."""
ENSEMBLE = "ensemble"
"""The mean of the logits of efficientnet_lite0 and tiny_cnn, as ONNX alone (scripts/research/ensemble.py)."""
NAMES = (ENSEMBLE, *PRETRAINED)
DEFAULT = ENSEMBLE
"""The model that prediction uses unless another is asked for."""

FOLDER = Path(__file__).resolve().parent / "weights"
SUFFIX = ".safetensors"
PAGE_NETWORK = FOLDER / "page_outlines.onnx"
"""The network that finds the pages in a still; no classifier (scripts/research/page_outlines.py)."""
SIZE_LIMIT = 45_000_000
"""Bytes of all pretrained weights together: every wheel and clone contains them."""


def pretrained_path(name: str, folder: Path = FOLDER) -> Path:
    """The weights of a pretrained model; its card has the suffix `.md` instead.

    Raises:
        ModelError: if no pretrained model has that name.
    """
    if name == ENSEMBLE:
        return folder / f"{name}.onnx"
    if name not in PRETRAINED:
        raise ModelError(
            f"no pretrained model is called {name!r}; there are {', '.join(NAMES)}. A model of your own is named by "
            "the path of its file, such as logs/tiny_cnn/version_0/best.ckpt"
        )
    return folder / f"{name}{SUFFIX}"


def find_model(model: str | os.PathLike[str]) -> Path:
    """A pretrained model by name, or any file by path.

    A bare string that is a pretrained model's name means that model; `./tiny_cnn` or a `Path` is always a path.

    Raises:
        ModelError: if a string is neither a pretrained model's name, nor an existing file, nor looks like a path.
    """
    if not isinstance(model, str):
        return Path(model)
    path = Path(model).expanduser()
    if model in NAMES or not (path.exists() or path.suffix or path.name != model):
        return pretrained_path(model)
    return path
