"""Precision, memory format and optimiser that suit the machine; the configuration takes precedence."""

from __future__ import annotations

import ctypes
import logging
from contextlib import suppress

import torch

logger = logging.getLogger(__name__)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""
_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def resolve_precision(wanted: str | int | None, accelerator: str) -> str | int | None:
    """The precision to train with: the wanted one, unless it is bfloat16 and the hardware would only emulate it.

    Instead, a CPU uses float32, and a GPU from before 2020 float16. Measured on two cores with AVX512-BF16, bfloat16
    autocast trains MobileNetV2 1.6 and ResNet18 2 times as fast as float32; emulated, it is slower than float32.

    Args:
        wanted: as `Trainer` takes it.
        accelerator: as `Trainer` takes it; "auto" means a GPU if there is one.
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


def resolve_channels_last(wanted: bool | None, device: torch.device) -> bool:
    """Whether frames and weights lie in memory channels last (NHWC).

    Left open, they do on CPUs and CUDA GPUs, whose convolutions are written for it; elsewhere (MPS) they do not. The
    measurements are in docs/guides/data-loading.md.

    Args:
        wanted: by the configuration; None leaves it open.
        device: that trains.
    """
    return device.type in ("cpu", "cuda") if wanted is None else wanted


def fused_optimiser(device: torch.device, precision: str | int | None) -> bool:
    """Whether the optimiser's step is one kernel for all weights.

    On CUDA GPUs, where a step would else be hundreds of small ones; not with float16, whose gradients a fused optimiser
    unscales itself, so that they could not be clipped.
    """
    return device.type == "cuda" and not str(precision).startswith("16-mixed")


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


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 numbers in hardware, as far as torch knows."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        return any(capabilities().get(flag, False) for flag in _BFLOAT16_FLAGS)
    older = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(older is not None and older())
