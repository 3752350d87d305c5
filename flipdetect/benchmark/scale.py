"""Part `scale`: what large sets cost before training starts; measured by `scripts/measure_scale.py`, where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flipdetect.benchmark.figure import Figure, Findings, Table
from flipdetect.benchmark.running import Workplace

SCRIPT = "measure_scale"
SIZES = (1_000, 10_000, 200_000)
SECONDS, BYTES = 20.0, 400.0


def is_there(repository: Path) -> bool:
    """Whether the script that measures is part of this checkout."""
    return (repository / "scripts" / f"{SCRIPT}.py").is_file()


def measure(work: Workplace) -> Findings:
    """See the module."""
    run = work.run(work.script(SCRIPT), "--frames", *work.choose(SIZES, (200, 400)), reports=True)
    results: list[dict[str, Any]] = list(run.report)  # type: ignore[arg-type]
    largest, smallest = results[-1], results[0]
    count = f"{largest['frames']:,} files"
    seconds = largest["clock_s"]["index"] + largest["clock_s"]["split"]
    growth = _per_frame(largest) / _per_frame(smallest)
    figures = [
        Figure(f"index and split {count}", seconds, "s", "below", SECONDS),
        Figure(f"memory of the index of {count}, a frame", largest["index_bytes"], "bytes", "below", BYTES),
        Figure(f"cost of a frame among {largest['frames']:,} against {smallest['frames']:,}", growth, "x"),
    ]
    steps = list(largest["clock_s"])
    rows = [
        (f"{each['frames']:,}", *(f"{each['processor_s'][step]:.2f}" for step in steps), f"{each['index_bytes']:.0f}")
        for each in results
    ]
    table = Table(
        "Large sets, seconds of processor time",
        ("frames", *steps, "bytes a frame"),
        rows,
        "Simulated with small files. An epoch is the drawing of one epoch's order.",
    )
    return Findings(figures, (table,), {"sizes": results})


def _per_frame(result: dict[str, Any]) -> float:
    return sum(float(result["processor_s"][step]) for step in ("index", "split")) / float(result["frames"])
