"""What a figure was measured on: processor, cores, memory, versions."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flipdetect.inference.cores import usable_cores

PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "onnxruntime",
    "onnx",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "albumentations",
)
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "asimddp")
"""Of a processor's, those on which speed depends."""

_CPU_INFO = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, str]:
    """Properties by name, in the order in which they are shown."""
    info = _cpu_info()
    flags = set(info.get("flags", info.get("Features", "")).split())
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": info.get("model name", platform.processor() or platform.machine()),
        "cores": f"{usable_cores()} usable of {os.cpu_count()}",
        "instructions": " ".join(name for name in INSTRUCTIONS if name in flags) or "not known",
        "memory": _memory(),
        "load when it began": _load(),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads:
        found["OMP_NUM_THREADS"] = threads
    return found | {name: _version(name) for name in PACKAGES}


def _cpu_info() -> dict[str, str]:
    """Of the first processor, as Linux tells; empty elsewhere."""
    try:
        first = _CPU_INFO.read_text("utf-8", errors="replace").split("\n\n", 1)[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return "not known"


def _load() -> str:
    """Processes that wanted a core, mean of the last minute: above 0.5 on a quiet machine something else ran."""
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except (OSError, AttributeError):
        return "not known"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
