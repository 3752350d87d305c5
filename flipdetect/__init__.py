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

When pages were turned, in a video, a folder of frames, an iterator of frames, or before a camera:

>>> still = np.full((256, 144, 3), 200, np.uint8)
>>> flipdetect.detect_flips([still] * 30, "tiny_cnn", fps=10, device="cpu")  # three seconds without a turn
[]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from typing import Any

    from flipdetect.inference.detect import detect_flips, stream_flips
    from flipdetect.inference.torch_model import TorchModel

    __version__: str

__all__ = ["__version__", "detect_flips", "load", "stream_flips"]


def load(model: str | os.PathLike[str], device: str = "auto") -> TorchModel:
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
    from flipdetect.inference.torch_model import load_torch_model
    from flipdetect.zoo import find_model

    return load_torch_model(find_model(model), device)


def __getattr__(name: str) -> Any:
    """`detect_flips`, `stream_flips` and the version, found when they are first asked for."""
    if name in ("detect_flips", "stream_flips"):
        from flipdetect.inference import detect

        return getattr(detect, name)
    if name == "__version__":  # the package that knows it is half of what `--help` would import
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("flipdetect")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+unknown"
