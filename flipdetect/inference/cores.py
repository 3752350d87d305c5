"""How many cores there are to compute on."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Cores that this process may run on: where an administrator or a container grants fewer, not all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
