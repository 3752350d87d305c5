"""What runs a trained model: PyTorch, or ONNX Runtime for an exported one. PyTorch is imported only where it runs."""

from __future__ import annotations

import importlib.util
import logging
import os
from pathlib import Path
from typing import Literal, get_args

from flipdetect.errors import ModelError
from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import REMEDY, SUFFIX, OnnxModel, file_digest, load_onnx
from flipdetect.runs import best_checkpoints
from flipdetect.zoo import SUFFIX as PACKED_SUFFIX
from flipdetect.zoo import find_model

Engine = Literal["auto", "torch", "onnx"]
RUNTIME = "onnxruntime"
INT8_SUFFIX = ".int8.onnx"

logger = logging.getLogger(__name__)


def load_model(
    model: str | os.PathLike[str],
    engine: Engine = "auto",
    device: str = "auto",
    threads: int | None = None,
    *,
    fast: bool = False,
) -> Model:
    """Load a trained model of frames with the engine that suits it.

    An `.onnx` file is run by ONNX Runtime, on the CPU. The others are run by PyTorch, unless the same model lies beside
    them, exported (`best.onnx` beside `best.ckpt`), and may be taken: with engine "onnx" it must be; with "auto" it is
    in place of a `.safetensors` file, such as the models that ship with the package, but not of a `.ckpt`.

    Args:
        model: a shipped model by name, or the path of an `.onnx`, `.safetensors` or `.ckpt` file.
        engine: "auto", "torch" or "onnx".
        device: "auto", "cpu" or "cuda". ONNX Runtime takes the CPU. PyTorch takes a GPU on "auto" if there is one; but
            where "auto" finds an exported model it does not look for one: looking means importing PyTorch.
        threads: with which ONNX Runtime computes; None: one per core. With 1, `Predictor` calls it from several.
        fast: take the 8-bit file beside an exported model (`NAME.int8.onnx`) instead, if there is one: for films, of
            which thousands of frames are scored.

    Raises:
        ModelError: if the model cannot be loaded, the engine cannot run it, or was
            exported from another file than the one it lies beside.
    """
    if engine not in get_args(Engine):
        raise ModelError(f"engine must be one of {', '.join(get_args(Engine))}, got {engine!r}")
    path = find_model(model)
    if path.suffix == SUFFIX:
        if engine == "torch":
            raise ModelError(f"PyTorch does not run {path}; choose engine onnx, or a .ckpt or .safetensors file")
        _refuse_gpu(device)
        return load_onnx(path, threads)
    if engine == "onnx":
        _refuse_gpu(device)
        return _exported(path, threads, fast)
    if engine == "auto" and device != "cuda" and path.suffix == PACKED_SUFFIX:
        found = _exported_if_usable(path, threads, fast)
        if found is not None:
            return found

    from flipdetect.inference.torch_model import load_torch_model

    return load_torch_model(path, device)


def _exported(path: Path, threads: int | None, fast: bool) -> OnnxModel:
    beside = _beside(path, fast)
    if not beside.is_file():
        raise ModelError(f"{path} was not exported: there is no {beside}; {_export(path)}")
    model = load_onnx(beside, threads)
    if _is_stale(model, path):
        raise ModelError(f"{beside} was exported from another {path.name} than the one beside it; {_export(path)}")
    return model


def _beside(path: Path, fast: bool) -> Path:
    """The exported file beside a model's; the 8-bit one if it is to be fast and there is one."""
    small = path.with_suffix(INT8_SUFFIX)
    return small if fast and small.is_file() else path.with_suffix(SUFFIX)


def _exported_if_usable(path: Path, threads: int | None, fast: bool) -> OnnxModel | None:
    """The exported model beside a file, or None and a message that says why PyTorch is taken instead."""
    beside = _beside(path, fast)
    if not beside.is_file():
        logger.info("PyTorch runs %s, which was not exported; ONNX Runtime starts sooner: %s", path, _export(path))
        return None
    if importlib.util.find_spec(RUNTIME) is None:
        logger.info("PyTorch runs %s: ONNX Runtime is not installed; %s", path, REMEDY)
        return None
    model = load_onnx(beside, threads)
    if _is_stale(model, path):
        logger.warning("PyTorch runs %s: %s was exported from another one; %s", path, beside, _export(path))
        return None
    return model


def _is_stale(model: OnnxModel, path: Path) -> bool:
    """Whether the file beside an exported model is another than it was exported from; where none is, it is not."""
    return path.is_file() and file_digest(path) != model.source


def _export(path: Path) -> str:
    return f"export it with flipdetect export --model {path} --output {path.with_suffix(SUFFIX)}"


def _refuse_gpu(device: str) -> None:
    if device not in ("auto", "cpu"):
        raise ModelError(f"exported models run on the CPU, not on {device!r}; choose device cpu, or engine torch")


def newest_frame_model(logs: Path) -> Path | None:
    """The newest best checkpoint under a folder of runs; None where there is none."""
    return next(iter(best_checkpoints(logs)), None)
