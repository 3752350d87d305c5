"""Writing a rendered data set: in parallel, resumable, and never half a file."""

from __future__ import annotations

import csv
import os
import time
from functools import partial
from pathlib import Path

from flipdetect.errors import ConfigError
from flipdetect.progress import progress_bar
from flipdetect.synth.animation.poses import CLASSES
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.output_folder import RenderedFolder, RenderReport, map_path
from flipdetect.synth.render.renderer import encode_frame, frame_map, frame_truth, render_frame
from flipdetect.synth.truth.frame_truth import FrameTruth
from flipdetect.synth.truth.maps import encode_map
from flipdetect.synth.truth.truth_table import truth_table
from flipdetect.synth.workers import Count, run_jobs

COMPLETE, LABELS = "dataset.json", "labels.csv"


def is_current(root: Path, config: SynthConfig) -> bool:
    """Whether `root` holds this very data set, complete: same version, same settings, every frame there."""
    if not _folder(root, config).is_current():
        return False
    with (root / LABELS).open(newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    return len(rows) == config.frames and all((root / row[key]).is_file() for row in rows for key in ("path", "mask"))


def render_dataset(
    root: Path, config: SynthConfig, *, workers: int | None = None, progress: bool = True
) -> RenderReport:
    """Render a data set into flip/ and notflip/ below `root`, with labels.csv and, last, dataset.json.

    Frames left by an interrupted run of the same version and settings are kept. An older rendering is replaced.
    The bytes written do not depend on the number of workers.

    Args:
        root: folder of the data set; made if missing.
        config: what to render.
        workers: processes; None for one per CPU.
        progress: whether to show a bar on standard error.

    Raises:
        ConfigError: if `workers` is below 1.
        DataError: if `root` is a file or holds files that were not rendered by this module.
    """
    count = worker_count(workers)
    started, folder = time.monotonic(), _folder(root, config)
    before = folder.prepare()
    # A worker takes all clips of a source, so that each source is painted once.
    step = config.clips_per_source if config.sources >= count else -(-config.clips_per_source // count)
    clips = range(config.clips)
    jobs = [clips[first : first + step] for first in range(0, config.clips, step)]
    with progress_bar(total=config.frames, desc="rendering", unit="frame", disable=not progress) as bar:
        truths = run_jobs(partial(_render_clip_files, folder, config), jobs, count, bar)
    counts = {"frames": config.frames, **{name: sum(t.label == name for t in truths) for name in CLASSES.names}}
    expected = {truth.path for truth in truths}
    folder.finish({LABELS: _labels(truths, config)}, before, expected, counts)
    kept = len(before & expected)
    return RenderReport(root, config.frames, config.frames - kept, kept, time.monotonic() - started)


def _labels(truths: list[FrameTruth], config: SynthConfig) -> str:
    """The table of the frames, with the path of each frame's map and the name it shares with its twin's frame.

    The clips of a pair are drawn alike but for the sheet, and the n-th frame of one belongs to the n-th of the other.
    """
    twins = {truth.path: f"{truth.video.split('/')[1]}-{i % config.frames_per_clip}" for i, truth in enumerate(truths)}
    return truth_table(truths, {"mask": lambda truth: map_path(truth.path), "twin": lambda truth: twins[truth.path]})


def worker_count(workers: int | None) -> int:
    """The number of processes asked for, one per CPU if None.

    Raises:
        ConfigError: if it is below 1.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}; choose at least 1, or none for one per CPU")
    return workers or os.cpu_count() or 1


def _folder(root: Path, config: SynthConfig) -> RenderedFolder:
    return RenderedFolder(root, config.identity(), COMPLETE, (LABELS,), CLASSES.names)


def _render_clip_files(folder: RenderedFolder, config: SynthConfig, clip: int, count: Count) -> list[FrameTruth]:
    truths = []
    for frame in range(config.frames_per_clip):
        truth = frame_truth(config, clip, frame)
        if not (folder.root / map_path(truth.path)).is_file():
            folder.write(map_path(truth.path), encode_map(frame_map(config, clip, frame)))
        if not (folder.root / truth.path).is_file():
            folder.write(truth.path, encode_frame(render_frame(config, clip, frame)))
        truths.append(truth)
        count(1)
    return truths
