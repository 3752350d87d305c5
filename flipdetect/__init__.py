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
    from flipdetect.inference.model import Model

    __version__: str

__all__ = ["__version__", "detect_flips", "load", "stream_flips"]


def load(model: str | os.PathLike[str] | None = None, device: str = "auto") -> Model:
    """Load a trained model with its preprocessing and threshold, ready to `predict` on decoded frames.

    ONNX Runtime runs exported models, such as the pretrained ones; torch is imported only for others.

    Args:
        model: a pretrained model's name ("efficientnet_lite0", "tiny_cnn", "mobilenet_v2"), an `.onnx`, `.ckpt` or
            `.safetensors` file, a run's folder, or "last" for the newest run under logs/; None for the default.
        device: "auto", "cpu" or "cuda"; "cuda" means PyTorch.

    Raises:
        ModelError: if there is no such model, its file is damaged or of another version, or the device is not
            available.
    """
    from flipdetect.inference.load import load_model

    return load_model(model, device=device)


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
