"""Part `prediction`: a folder of phone frames to predictions.csv, against the plain loop and against the limit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from flipdetect.benchmark.figure import Figure, Findings, Table
from flipdetect.benchmark.footage import phone_frames
from flipdetect.benchmark.running import Run, Workplace, in_turns, median, spread
from flipdetect.zoo import SHIPPED

FRAMES, REPEATS, LATENCY_RUNS = 128, 3, 3
STAGES = ("read", "decode", "resize", "normalise", "model")
MAIN = "mobilenet_v2"
"""The model of which the issue's aims speak."""


def measure(work: Workplace) -> Findings:
    """See the module."""
    frames = _some_frames(work, work.choose(FRAMES, 6))
    figures: list[Figure] = []
    rows: list[tuple[str, ...]] = []
    raw: dict[str, Any] = {}
    for model in work.choose(tuple(SHIPPED), ("tiny_cnn",)):
        given = ("--folder", frames, "--model", model)
        probe = work.module("benchmark.probe_scoring")
        programs = {
            "flipdetect": lambda: work.run(probe, "folder", *given, reports=True),  # noqa: B023 - run at once
            "plain": lambda: work.run(work.script("plain_baseline"), "predict", *given, reports=True),  # noqa: B023
            "limit": lambda: work.run(probe, "limit", *given, reports=True),  # noqa: B023
            "torch": lambda: work.run(probe, "folder", *given, "--engine", "torch", reports=True),  # noqa: B023
        }
        if work.quick:
            del programs["torch"]
        found = in_turns(programs, work.choose(REPEATS, 1))
        figures += _figures(model, found)
        rows += _rows(model, found)
        raw[model] = {name: [{**run.report, "wall_s": run.wall_s} for run in runs] for name, runs in found.items()}
    figures += _latency(work, frames, raw)
    stages = Table(
        "Where the time of a scored frame goes, milliseconds on one core",
        ("network", *STAGES),
        [
            (model, *(f"{median([run['stages_ms'][stage] for run in runs['limit']]):.2f}" for stage in STAGES))
            for model, runs in raw.items()
            if "limit" in runs
        ],
        "One after the other; inference.py runs as many of these rows side by side as there are cores.",
    )
    table = Table(
        "Scoring a folder, milliseconds a frame",
        ("model", "way", "ms a frame: median (from, to)", "seconds with start-up"),
        rows,
        f"{len(list(frames.iterdir()))} JPEGs of 1080x1920; medians of {work.choose(REPEATS, 1)} runs in turns. The "
        "limit is decoding alone on all cores, added to the model alone on all cores. `--engine torch` is inference.py "
        "with PyTorch.",
    )
    return Findings(figures, (table, stages), raw)


def _some_frames(work: Workplace, count: int) -> Path:
    """A folder with so many of the phone frames: spread over both classes."""
    folder = work.folder / f"to-predict-{count}"
    if not folder.is_dir():
        paths = sorted(phone_frames(work).glob("*flip/*.jpg"))
        folder.mkdir(parents=True)
        for path in paths[:: max(1, len(paths) // count)][:count]:
            shutil.copy(path, folder / f"{path.parent.name}-{path.name}")
    return folder


def _per_frame(runs: list[Run]) -> list[float]:
    """Milliseconds a frame."""
    return [
        (run.report["work_s"] if "work_s" in run.report else run.report["decode_s"] + run.report["model_s"])
        * 1e3
        / run.report["frames"]
        for run in runs
    ]


def _figures(model: str, found: dict[str, list[Run]]) -> list[Figure]:
    ours, plain, limit = (median(_per_frame(found[name])) for name in ("flipdetect", "plain", "limit"))
    walls = {name: median([run.wall_s for run in runs]) for name, runs in found.items()}
    aims = model == MAIN
    return [
        Figure(
            f"folder of 1080x1920 JPEGs to predictions.csv, {model}: times as fast as the plain loop",
            plain / ours,
            "x",
            "at least" if aims else "",
            5.0,
            f"{ours:.2f} ms a frame against {plain:.2f}; with the start of both programs: "
            f"{walls['plain'] / walls['flipdetect']:.1f} x",
        ),
        Figure(
            f"the same, {model}: time as a multiple of the limit",
            ours / limit,
            "x",
            "below" if aims else "",
            1.2,
            f"limit: {limit:.2f} ms a frame. Below 1: decoding and scoring overlap better than each runs by itself",
        ),
    ]


def _rows(model: str, found: dict[str, list[Run]]) -> list[tuple[str, str, str, str]]:
    names = {"flipdetect": "inference.py", "plain": "plain loop", "limit": "limit", "torch": "--engine torch"}
    rows = []
    for key in found:
        name = names[key]
        walls = spread([run.wall_s for run in found[key]], 1) if key != "limit" else ""
        rows.append((model, name, spread(_per_frame(found[key])), walls))
    return rows


def _latency(work: Workplace, frames: Path, raw: dict[str, Any]) -> list[Figure]:
    probe = work.module("benchmark.probe_scoring")
    calls = ("--calls", work.choose(300, 5))
    runs = [
        work.run(probe, "latency", "--folder", frames, "--model", MAIN, *calls, reports=True)
        for _ in range(work.choose(LATENCY_RUNS, 1))
    ]
    raw["latency"] = [dict(run.report) for run in runs]
    height, width = runs[0].report["frame"]
    note = f"a decoded frame of {width}x{height} in, its probability out, all cores; {calls[1]} calls, median of runs"
    return [
        Figure(
            f"latency of one frame, {MAIN}, {name}",
            median([run.report[key] for run in runs]),
            "ms",
            "below",
            goal,
            note,
        )
        for name, key, goal in (("p50", "p50_ms", 8.0), ("p99", "p99_ms", 16.0))
    ]
