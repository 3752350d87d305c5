"""Detect page turns in photos and videos of books, and extract one clean image per spread.

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

Page turns in a video, a folder of frames, an iterable of frames, or before a camera:

>>> still = np.full((256, 144, 3), 200, np.uint8)
>>> flipdetect.detect_flips([still] * 30, "tiny_cnn", fps=10, device="cpu")  # three seconds without a turn
[]

With the still to keep of each spread; `extract_pages("book.mp4", stills="pages/")` writes them as JPEG files:

>>> result = flipdetect.extract_pages([still] * 30, "tiny_cnn", fps=10, device="cpu")
>>> len(result.events), len(result.stills)
(0, 1)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from typing import Any

    from flipdetect.inference.detector import Detector
    from flipdetect.inference.model import Model
    from flipdetect.pipeline.api import detect_flips, extract_pages, stream_flips

    __version__: str

__all__ = ["__version__", "detect_flips", "extract_pages", "load", "stream_flips"]

_HOMES = {
    "detect_flips": "flipdetect.pipeline.api",
    "stream_flips": "flipdetect.pipeline.api",
    "extract_pages": "flipdetect.pipeline.api",
}
"""Where the public functions are defined; they are imported when they are first used, as NumPy and OpenCV are slow."""


def load(model: str | os.PathLike[str] | None = None, device: str = "auto") -> Model | Detector:
    """Load a trained model with its preprocessing and threshold, ready to `predict` on decoded frames.

    Of a classifier, `predict` returns probabilities; of a detector of objects, `FoundBoxes`.

    ONNX Runtime runs exported models, such as the pretrained ones; torch is imported only for others.

    Args:
        model: a pretrained model's name ("ensemble", "efficientnet_lite0", "tiny_cnn", "mobilenet_v2"), an `.onnx`,
            `.ckpt` or `.safetensors` file, a run's folder, or "last" for the newest run under logs/; None for the
            default.
        device: "auto", "cpu" or "cuda"; "cuda" means PyTorch.

    Raises:
        ModelError: if there is no such model, its file is damaged or of another version, or the device is not
            available.
    """
    from flipdetect.inference.load import load_trained

    return load_trained(model, device=device)


def __getattr__(name: str) -> Any:
    """The public functions and the version, found when they are first used."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("flipdetect")
        except PackageNotFoundError:  # run from a source tree that was never installed
            return "0+unknown"
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, for completion in a shell, those that are not imported yet included."""
    return sorted({*globals(), *__all__})
