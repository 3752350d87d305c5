"""From what a user names to a `Model` on the engine that suits it. Torch only where needed."""

from __future__ import annotations

import importlib.util
import logging
import os
from typing import Literal, get_args

from flipdetect.errors import ModelError
from flipdetect.inference.detector import Detector
from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import SUFFIX, file_digest, load_exported
from flipdetect.inference.resolve import check_contents, resolve_model
from flipdetect.onnx_session import REMEDY
from flipdetect.start.lean_imports import defer_torchmetrics, paused_collection
from flipdetect.zoo import FOLDER

Engine = Literal["auto", "torch", "onnx"]
RUNTIME = "onnxruntime"
INT8_SUFFIX = ".int8.onnx"
TORCH_MODEL = "efficientnet_lite0"
"""The best pretrained model that PyTorch runs."""

logger = logging.getLogger(__name__)


def load_model(
    model: str | os.PathLike[str] | None = None,
    engine: Engine = "auto",
    device: str = "auto",
    threads: int | None = None,
    *,
    fast: bool = False,
) -> Model:
    """Load a trained classifier of frames; arguments and errors are those of `load_trained`.

    Raises:
        ModelError: also if the model is a detector of objects.
    """
    loaded = load_trained(model, engine, device, threads, fast=fast)
    if isinstance(loaded, Detector):
        raise ModelError(
            f"{loaded.path} is a detector, which finds boxes in pictures: flipdetect predict and the demo take it; "
            "a classifier of frames is needed here"
        )
    return loaded


def load_trained(
    model: str | os.PathLike[str] | None = None,
    engine: Engine = "auto",
    device: str = "auto",
    threads: int | None = None,
    *,
    fast: bool = False,
) -> Model | Detector:
    """Load a trained model, a classifier of frames or a detector of objects, with the engine that suits it.

    ONNX Runtime runs `.onnx` files, on the CPU. It also runs a `.safetensors` or `.ckpt` file that has the same model
    next to it, exported (`best.onnx` for `best.ckpt`), unless engine "torch" or a GPU is asked for. PyTorch runs the
    others.

    Args:
        model: as for `resolve_model`.
        device: "auto", "cpu" or "cuda". ONNX Runtime always uses the CPU, PyTorch on "auto" a GPU if there is one.
        threads: of ONNX Runtime; None: one per core, or if `fast`, 1. With 1, `Predictor` and `score_video` call the
            model from several threads.
        fast: prefer the 8-bit file next to an exported model (`NAME.int8.onnx`): for films with thousands of frames.

    Raises:
        ModelError: if the model cannot be loaded, the engine cannot run it, or it was exported from another file than
            the one next to it.
    """
    if engine not in get_args(Engine):
        raise ModelError(f"engine must be one of {', '.join(get_args(Engine))}, got {engine!r}")
    threads = 1 if fast and threads is None else threads
    path = resolve_model(model)
    is_exported = path.suffix == SUFFIX
    if is_exported and engine == "torch":
        raise ModelError(
            f"PyTorch does not run {path}; choose engine onnx, a .ckpt or .safetensors file, or the model {TORCH_MODEL}"
        )
    if device not in ("auto", "cpu") and (is_exported or engine == "onnx"):
        raise ModelError(
            f"exported models such as {path.name} run on the CPU, not on {device!r}; choose device cpu, or a model "
            f"that PyTorch runs, such as {TORCH_MODEL}"
        )
    if is_exported:
        small = path.with_suffix(INT8_SUFFIX)
        return load_exported(small if fast and path.parent == FOLDER and small.is_file() else path, threads)
    if engine == "onnx" or (engine == "auto" and device != "cuda"):
        exported, small = path.with_suffix(SUFFIX), path.with_suffix(INT8_SUFFIX)
        remedy, level = f"export it with: flipdetect export --model {path} --output {exported}", logging.INFO
        exported = small if fast and small.is_file() else exported
        if not exported.is_file():
            reason = f"{path} was not exported: there is no {exported}; {remedy}"
        elif engine == "auto" and importlib.util.find_spec(RUNTIME) is None:
            reason = f"ONNX Runtime is not installed; {REMEDY}"
        else:
            model_beside = load_exported(exported, threads)
            if not path.is_file() or file_digest(path) == model_beside.source:  # the export may stand alone
                return model_beside
            reason = f"{exported} was exported from another {path.name} than the one next to it; {remedy}"
            level = logging.WARNING
        if engine == "onnx":
            raise ModelError(reason)
        logger.log(level, "PyTorch runs %s: %s", path, reason)
    if path.is_file():
        check_contents(path)
    with paused_collection():
        defer_torchmetrics()
        from flipdetect.inference.torch_model import load_checkpoint

    return load_checkpoint(path, device)
