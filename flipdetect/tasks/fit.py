"""One training run, in the precision that suits the machine: fit, then evaluate the best checkpoint on each split."""

from __future__ import annotations

import ctypes
import json
import logging
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol, runtime_checkable

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger

from flipdetect.atomic import write_text
from flipdetect.errors import ModelError
from flipdetect.models.weights import load_without_code
from flipdetect.runs import CHECKPOINT_KEY
from flipdetect.tasks.base import FrameClassifier

logger = logging.getLogger(__name__)

METRICS_FILE = "metrics.json"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""
_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


class TrainingInterrupted(Exception):  # noqa: N818 - it is no error: the user asked for it
    """Ctrl-C ended the run; `last.ckpt` has the state of its fit."""


@runtime_checkable
class ResultsCallback(Protocol):
    """A callback that is called at the end of the run, once all of its files are written."""

    def on_results(self, trainer: pl.Trainer, results: dict[str, float]) -> None:
        """Use what `fit_and_test` returns; called in the main process only."""


def fit_and_test(
    trainer: pl.Trainer, model: FrameClassifier, data: pl.LightningDataModule, *, ckpt_path: str | None = None
) -> dict[str, float]:
    """Train, or resume `ckpt_path`; then validate and test the best checkpoint (the final weights if none is kept).

    Returns:
        The metrics, `val_*` and (if there is a test split) `test_*`, with the stored threshold; also written to
        `metrics.json` next to the checkpoint and, with the hyper-parameters, to TensorBoard.

    Raises:
        TrainingInterrupted: after Ctrl-C.
        ModelError: if the checkpoint is not one of this model and data.
        TrainingError: if loss or probabilities are not finite.
    """
    if trainer.is_global_zero:  # what can be refused is refused before loggers and callbacks write
        data.prepare_data()
        data.setup("fit")
        if ckpt_path is not None:
            check_resume(Path(ckpt_path), model, data)
    started = time.monotonic()
    try:
        trainer.fit(model, datamodule=data, ckpt_path=ckpt_path)
    except SystemExit as error:  # this is how Lightning ends after Ctrl-C
        raise TrainingInterrupted from error
    seconds, epochs = time.monotonic() - started, trainer.current_epoch
    checkpoint = trainer.checkpoint_callback
    best = checkpoint.best_model_path if isinstance(checkpoint, ModelCheckpoint) else ""
    results: dict[str, float] = {}
    data.setup("test")  # a strategy that trains in processes of its own leaves none here
    # A small data set may have no test split.
    for evaluate in (trainer.validate, trainer.test) if data.test_dataloader() else (trainer.validate,):
        try:
            found = evaluate(model, datamodule=data, ckpt_path=best or None, verbose=False)
        except SystemExit as error:
            raise TrainingInterrupted from error
        for values in found:
            results.update(values)
    if best and trainer.is_global_zero:
        best_epoch = torch.load(best, map_location="cpu", weights_only=True)["epoch"]
        about = {"checkpoint": Path(best).name, "epochs": epochs, "best_epoch": best_epoch}
        path = Path(best).with_name(METRICS_FILE)
        known = {name: value if math.isfinite(value) else None for name, value in results.items()}  # AUROC of one class
        content = {**about, "fit_seconds": round(seconds, 1), **known}
        write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
        logger.info("Metrics are in %s", path)
    for log in trainer.loggers:
        if isinstance(log, TensorBoardLogger):
            log.log_hyperparams(dict(model.hparams), {f"final/{name}": value for name, value in results.items()})
            log.finalize("success")  # ends its thread, too
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, ResultsCallback) and trainer.is_global_zero:
            callback.on_results(trainer, results)
    return results


def check_resume(path: Path, model: FrameClassifier, data: pl.LightningDataModule) -> None:
    """Refuse a checkpoint from which this model cannot continue to train on this data.

    Raises:
        ModelError: if it is damaged, holds weights alone, or belongs to another model, preprocessing or split.
    """
    saved = load_without_code(path)
    if not isinstance(saved, Mapping) or not {"state_dict", "optimizer_states", "callbacks", "loops"} <= saved.keys():
        raise ModelError(f"{path} holds no training to resume; start from its weights with --model.weights {path}")
    facts, shapes, found = (saved.get(CHECKPOINT_KEY) or {}), _shapes(model.state_dict()), _shapes(saved["state_dict"])
    if unfit := sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name)):
        raise ModelError(
            f"{path} cannot be resumed: it was created with a different model ({facts.get('task', 'unknown')}; "
            f"{len(unfit)} tensors differ, such as {unfit[0]}). Give the configuration of its run, or start from its "
            f"weights with --model.weights {path}"
        )
    now = data.describe()  # type: ignore[attr-defined]
    for key in ("classes", "preprocess"):
        if key in facts and {**now[key], **facts[key]} != now[key]:  # a key younger than the checkpoint counts as equal
            raise ModelError(
                f"{path} cannot be resumed with another data.{key}: it was created with {facts[key]}, got {now[key]}"
            )
    before = {video: part for part, videos in facts.get("split", {}).items() for video in videos}
    moved = sorted(v for part, videos in now["split"].items() for v in videos if before.get(v, part) != part)
    if moved:
        raise ModelError(
            f"{path} cannot be resumed with another split: {len(moved)} videos changed sides, such as {moved[0]}. Use "
            f"the split of its run with --data.split_file {path.with_name('splits.csv')}"
        )


def _shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in state.items() if name != "temperature"}  # younger than the first


def resolve_precision(wanted: str | int | None, accelerator: str) -> str | int | None:
    """The precision to train with: the wanted one, unless it is bfloat16 and the hardware would only emulate it.

    Instead, a CPU uses float32, and a GPU from before 2020 float16. Measured on two cores with AVX512-BF16, bfloat16
    autocast trains MobileNetV2 1.6 and ResNet18 2 times as fast as float32; emulated, it is slower than float32.
    """
    if not str(wanted).startswith("bf16"):
        return wanted
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return wanted
        logger.info("This GPU has no bfloat16 arithmetic: training in 16-mixed instead of %s.", wanted)
        return "16-mixed"
    no_gpu = not torch.cuda.is_available() and not torch.backends.mps.is_available()
    if not (accelerator == "cpu" or (accelerator == "auto" and no_gpu)) or cpu_has_bfloat16():
        return wanted
    logger.info("This CPU has no bfloat16 arithmetic: training in float32 instead of %s.", wanted)
    return "32-true"


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 numbers in hardware, as far as torch knows."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        return any(capabilities().get(flag, False) for flag in _BFLOAT16_FLAGS)
    older = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(older is not None and older())


def reuse_freed_memory() -> None:
    """Have the C library keep the memory of freed tensors for the next ones instead of handing it back to the system.

    Otherwise every large tensor costs the system a fresh mapping, page by page, in each step: on two cores, half of
    the time of training a convolutional network at 353x193 was the kernel's (3.1 s a step against 2.2 s). GNU C library
    alone; elsewhere nothing is done.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        library.mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
