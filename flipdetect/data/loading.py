"""How many processes load frames, and how far ahead: chosen from the machine, unless it is said."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import cv2
import torch

from flipdetect.errors import ConfigError

logger = logging.getLogger(__name__)

# More do not help: the frames come decoded from the cache.
MAX_WORKERS = 8
PREFETCH = 2
_said: set[tuple[Loading, int]] = set()


@dataclass(frozen=True, slots=True)
class Loading:
    """What the configuration asks for; None leaves it to the machine.

    Attributes:
        workers: loader processes for each training process.
        prefetch: batches that each of them has ready.
        pin: whether batches lie in page-locked memory.

    Raises:
        ConfigError: if a value cannot work.
    """

    workers: int | None = None
    prefetch: int | None = None
    pin: bool | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 0:
            raise ConfigError(f"data.num_workers must be null or at least 0, got {self.workers}")
        if self.prefetch is not None and self.prefetch < 1:
            raise ConfigError(f"data.prefetch must be null or at least 1, got {self.prefetch}")


@dataclass(frozen=True, slots=True)
class ResolvedLoading:
    """What a loader is told; `prefetch` is None without workers."""

    workers: int
    prefetch: int | None
    pin: bool


def resolve_loading(wanted: Loading, *, processes: int = 1, cores: int | None = None) -> ResolvedLoading:
    """Fill in what the configuration leaves open, and log it once.

    The rule: two cores are the model's; of the rest, each training process gets its share as loader processes, up to
    8. On two cores frames are loaded in the training process itself: a loader process would take turns with the
    model's threads, which wait for each other (loading in between measured 1.2 times as fast for TinyCNN). Memory is
    pinned where there is a GPU, as it helps nobody else.

    Args:
        wanted: by the configuration.
        processes: that train on this machine.
        cores: that this program may use; None asks the system.
    """
    cores = usable_cores() if cores is None else cores
    workers = max(0, min(MAX_WORKERS, cores // processes - 2)) if wanted.workers is None else wanted.workers
    prefetch = (wanted.prefetch or PREFETCH) if workers else None
    settled = ResolvedLoading(workers, prefetch, torch.cuda.is_available() if wanted.pin is None else wanted.pin)
    if (wanted, processes) not in _said:
        _said.add((wanted, processes))
        how = f"{workers} loader processes, {prefetch} batches ahead each" if workers else "in the training process"
        logger.info("Loading on %d cores: %s%s.", cores, how, ", into pinned memory" if settled.pin else "")
    return settled


def usable_cores() -> int:
    """Cores that this process may run on: a container or a batch system may grant fewer than the machine has."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


def start_worker(_: int) -> None:
    """Settle in a new loader process."""
    # OpenCV would start a thread per core in every worker and take them from the model.
    cv2.setNumThreads(0)
