"""Part `training`: ten epochs end to end against the plain loop, and steady pace against the limit."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipdetect.benchmark.figure import Figure, Findings, Table
from flipdetect.benchmark.footage import phone_frames
from flipdetect.benchmark.running import Run, Workplace, in_turns, median, spread

EPOCHS, REPEATS = 10, 2
EPOCH_FRAMES, STEADY_EPOCHS = 320, 4
SHARE_AIM = 0.92


@dataclass(frozen=True)
class Job:
    """A shipped configuration, and the yardstick with the same network, batch and input.

    Attributes:
        config: its name in configs/.
        plain: name of the network for `plain_baseline.py`.
        batch: frames per batch, as the configuration has it.
        aim: times as fast as the plain loop; 0 for none, and no race against it.
    """

    config: str
    plain: str
    batch: int
    aim: float


JOBS = (Job("mobilenet", "mobilenet_v2", 16, 3.0), Job("tiny_cnn", "tiny_cnn", 32, 10.0), Job("resnet18", "", 16, 0.0))
SIZE = (192, 108)
QUICK = Job("tiny_cnn", "tiny_cnn", 8, 10.0)


def measure(work: Workplace) -> Findings:
    """See the module."""
    frames = phone_frames(work)
    figures: list[Figure] = []
    races: list[tuple[str, ...]] = []
    paces: list[tuple[str, ...]] = []
    stages: list[tuple[str, ...]] = []
    raw: dict[str, Any] = {}
    for job in work.choose(JOBS, (QUICK,)):
        if job.aim:
            found = _race(work, job, frames)
            figures.append(_race_figure(job, found, work.choose(EPOCHS, 1)))
            races += _race_rows(job, found)
            raw[f"{job.config}, end to end"] = {
                name: [{**run.report, "wall_s": run.wall_s, "peak_mb": run.peak_mb} for run in runs]
                for name, runs in found.items()
            }
        pace = _pace(work, job, frames)
        figures.append(_pace_figure(job, pace))
        paces.append(_pace_row(job, pace))
        stages.append((job.config, *(f"{value:.2f}" for value in pace["stages_ms"].values())))
        raw[f"{job.config}, steady"] = pace
    count = len(list(frames.glob("*flip/*.jpg")))
    tables = (
        Table(
            f"{work.choose(EPOCHS, 1)} epochs, end to end",
            ("configuration", "program", "seconds: median (from, to)", "of these outside training", "peak memory, MB"),
            races,
            f"{count} JPEGs of 1080x1920 (a quarter rendered at that size, the others their mirror images): 70 % for "
            "training, 15 % for validation after each epoch, 15 % for the test at the end. Every run begins without a "
            "cache. train.py also judges metrics, writes checkpoints, curves and pictures; the plain loop keeps the "
            "best weights. On a larger set what lies outside training counts less. `2 workers`: the plain loop with "
            "two loader processes.",
        ),
        Table(
            "Steady pace of training, frames a second",
            ("configuration", "train.py: median (from, to)", "limit", "fastest settings of the limit", "share"),
            paces,
            "The limit is the same update of the same network on a batch that lies in memory, measured in the same "
            "process after each epoch.",
        ),
        Table(
            "Where the time of a training frame goes, milliseconds, each stage by itself",
            ("configuration", *raw[f"{work.choose(JOBS, (QUICK,))[0].config}, steady"]["stages_ms"]),
            stages,
            "Augmentation and normalisation take one core, forward and backward all of them.",
        ),
    )
    return Findings(figures, tables, raw)


def _race(work: Workplace, job: Job, frames: Path) -> dict[str, list[Run]]:
    epochs = work.choose(EPOCHS, 1)
    sizes = ("--height", SIZE[0], "--width", SIZE[1], "--batch-size", job.batch, "--epochs", epochs)
    weights = ("--output", work.folder / "plain.pt")
    plain = ("train", "--folder", frames, "--model", job.plain, *sizes, *weights)

    def ours() -> Run:
        place = _fresh(work, "run")
        run = work.run(work.module("cli.train"), *_arguments(work, job, frames, epochs), cwd=place)
        (metrics,) = place.glob("logs/*/version_0/metrics.json")
        return Run(run.wall_s, run.peak_mb, {"total_s": json.loads(metrics.read_text("utf-8"))["fit_seconds"]})

    yardstick = work.script("plain_baseline")
    found = in_turns({"train.py": ours, "plain": lambda: work.run(yardstick, *plain, reports=True)}, _repeats(work))
    if not work.quick:
        found["plain, 2 workers"] = [work.run(yardstick, *plain, "--workers", 2, reports=True)]
    return found


def _repeats(work: Workplace) -> int:
    repeats: int = work.choose(REPEATS, 1)
    return repeats


def _arguments(work: Workplace, job: Job, frames: Path, epochs: int) -> list[object]:
    return [
        "--config",
        work.repository / "configs" / f"{job.config}.yaml",
        f"--data.root={frames}",
        f"--data.preprocess.height={SIZE[0]}",
        f"--data.preprocess.width={SIZE[1]}",
        f"--data.batch_size={job.batch}",
        f"--trainer.max_epochs={epochs}",
    ]


def _fresh(work: Workplace, name: str) -> Path:
    """An empty folder: logs and caches are written to where a run begins."""
    place = work.folder / name
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    return place


def _race_figure(job: Job, found: dict[str, list[Run]], epochs: int) -> Figure:
    ours, plain = (median([run.wall_s for run in found[name]]) for name in ("train.py", "plain"))
    inside = {name: median([run.report["total_s"] for run in found[name]]) for name in ("train.py", "plain")}
    helped = found.get("plain, 2 workers")
    more = f"; against it with 2 workers: {helped[0].wall_s / ours:.1f} x" if helped else ""
    return Figure(
        f"{job.config}.yaml, {epochs} epochs on 1080x1920 JPEGs, end to end: times as fast as the plain loop",
        plain / ours,
        "x",
        "at least",
        job.aim,
        f"{ours:.0f} s against {plain:.0f} s; without the start of either: {inside['plain'] / inside['train.py']:.1f} x"
        + more,
    )


def _race_rows(job: Job, found: dict[str, list[Run]]) -> list[tuple[str, ...]]:
    return [
        (
            job.config,
            name,
            spread([run.wall_s for run in runs], 1),
            f"{median([run.wall_s - run.report['total_s'] for run in runs]):.1f}",
            f"{median([run.peak_mb for run in runs]):.0f}",
        )
        for name, runs in found.items()
    ]


def _pace(work: Workplace, job: Job, frames: Path) -> dict[str, Any]:
    arguments = _arguments(work, job, frames, work.choose(STEADY_EPOCHS, 2))
    run = work.run(
        work.module("benchmark.probe_training"),
        *arguments,
        f"--data.epoch_frames={work.choose(EPOCH_FRAMES, 16)}",
        "--seconds",
        work.choose(3.0, 0.1),
        reports=True,
        cwd=_fresh(work, "steady"),
    )
    return dict(run.report)


def _pace_figure(job: Job, pace: dict[str, Any]) -> Figure:
    return Figure(
        f"{job.config}.yaml: steady pace of training as a share of the in-memory limit",
        median(pace["share"]),
        "",
        "at least",
        SHARE_AIM,
        f"{median(pace['ours']):.1f} of {median(pace['limit']):.1f} frames a second",
    )


def _pace_row(job: Job, pace: dict[str, Any]) -> tuple[str, ...]:
    best = max(pace["ways"], key=lambda name: float(pace["ways"][name]))
    return (
        job.config,
        spread(pace["ours"], 1),
        f"{median(pace['limit']):.1f}",
        f"{best}; {', '.join(f'{name} {value:.1f}' for name, value in pace['ways'].items() if name != best)}",
        f"{median(pace['share']):.2f}",
    )
