"""Which arithmetic a machine is good at."""

from __future__ import annotations

import logging

import torch

logger = logging.getLogger(__name__)

_BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16")


def settled_precision(wanted: str | int | None, accelerator: str) -> str | int | None:
    """The precision to train with: the wanted one, unless it is bfloat16 and the machine would only imitate it.

    Measured on two cores with AVX512-BF16, bfloat16 autocast trains MobileNetV2 1.6 and ResNet18 2 times as fast as
    float32; without such instructions it is emulated, and slower than float32.

    Args:
        wanted: as `Trainer` takes it.
        accelerator: as `Trainer` takes it; "auto" means a GPU if there is one.
    """
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.cuda.is_available() and not _has_mps())
    if not on_cpu or not str(wanted).startswith("bf16") or cpu_has_bfloat16():
        return wanted
    logger.info("This CPU has no bfloat16 arithmetic: training in float32 instead of %s.", wanted)
    return "32-true"


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 numbers in hardware, as far as torch can tell."""
    tell = getattr(torch.cpu, "get_capabilities", None)
    if tell is not None:
        return any(tell().get(flag, False) for flag in _BFLOAT16_FLAGS)
    older = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(older is not None and older())


def _has_mps() -> bool:
    return torch.backends.mps.is_available()
