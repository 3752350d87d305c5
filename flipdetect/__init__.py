"""Tell from a single frame whether a page of a book is being turned.

>>> import numpy as np
>>> import flipdetect
>>> model = flipdetect.load("tiny_cnn", device="cpu")
>>> frame = np.full((1280, 720, 3), 200, np.uint8)  # RGB, of any size, however it was decoded
>>> probability = model.predict(frame)
>>> probability.shape
(1,)
>>> flips = probability >= model.threshold
>>> model.predict([frame, frame[:640]]).shape  # several, of different sizes
(2,)
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

    from flipdetect.inference.bundle import Bundle

__all__ = ["__version__", "load"]

try:
    __version__ = version("flipdetect")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"


def load(model: str | os.PathLike[str], device: str = "auto") -> Bundle:
    """Load a trained model with its preprocessing and threshold, ready to `predict` on decoded frames.

    Args:
        model: "tiny_cnn" or "mobilenet_v2", which ship with the package, or the path of a `.ckpt` of `train.py` or
            of a `.safetensors` file of flipdetect.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".

    Raises:
        ModelError: if there is no such model, its file is damaged or of another version, or the device is not to
            be had.
    """
    # Here, not above: torch takes seconds to import, and much of the package does without it.
    from flipdetect.inference.bundle import load_bundle
    from flipdetect.shipped import find_model

    return load_bundle(find_model(model), device)
