"""The trained models that come with the package: their names, and where their files lie."""

from __future__ import annotations

import os
from pathlib import Path

from flipdetect.errors import ModelError

SHIPPED = {"efficientnet_lite0": "EfficientNetLite0", "tiny_cnn": "TinyCNN", "mobilenet_v2": "MobileNetV2"}
"""Name of a pretrained network -> name of its class in `flipdetect.models`."""
ENSEMBLE = "ensemble"
"""The mean of the logits of efficientnet_lite0 and tiny_cnn, as ONNX alone (scripts/research/ensemble.py)."""
NAMES = (ENSEMBLE, *SHIPPED)
DEFAULT = ENSEMBLE
"""The model that prediction uses unless another is asked for."""

FOLDER = Path(__file__).resolve().parent / "weights"
SUFFIX = ".safetensors"
SIZE_LIMIT = 45_000_000
"""Bytes of all shipped weights together: they travel in every wheel and clone."""


def shipped_path(name: str, folder: Path = FOLDER) -> Path:
    """Where the weights of a shipped model lie; its card has the suffix `.md` instead.

    Raises:
        ModelError: if no shipped model has that name.
    """
    if name == ENSEMBLE:
        return folder / f"{name}.onnx"
    if name not in SHIPPED:
        raise ModelError(
            f"no shipped model is called {name!r}; there are {', '.join(NAMES)}. A model of your own is named by "
            "the path of its file, such as logs/tiny_cnn/version_0/best.ckpt"
        )
    return folder / f"{name}{SUFFIX}"


def find_model(model: str | os.PathLike[str]) -> Path:
    """The file that a user means: a shipped model by name, or any file by path.

    A bare string that is a shipped model's name means that model; `./tiny_cnn` or a `Path` is always a path.

    Raises:
        ModelError: if a string is neither a shipped name, nor an existing file, nor looks like a path.
    """
    if not isinstance(model, str):
        return Path(model)
    path = Path(model).expanduser()
    if model in NAMES or not (path.exists() or path.suffix or path.name != model):
        return shipped_path(model)
    return path


def shipped_bytes(folder: Path = FOLDER) -> dict[str, int]:
    """Size of each shipped model's weights that lie in a folder, by name."""
    paths = {name: shipped_path(name, folder) for name in NAMES}
    return {name: path.stat().st_size for name, path in paths.items() if path.is_file()}
