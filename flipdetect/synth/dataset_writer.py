"""Writing a rendered data set: a folder of clips with the table of their labels."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

from flipdetect.synth.animation.poses import CLASSES
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.output_folder import RenderedFolder, RenderReport, map_path
from flipdetect.synth.render.renderer import encode_frame, frame_map, frame_truth, render_frame
from flipdetect.synth.truth.frame_truth import FrameTruth, truth_table
from flipdetect.synth.truth.maps import encode_map
from flipdetect.synth.workers import worker_count

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
    # A worker takes all clips of a source, so that each source is painted once.
    count, step = worker_count(workers), config.clips_per_source
    if config.sources < count:
        step = -(-step // count)
    jobs = [range(config.clips)[first : first + step] for first in range(0, config.clips, step)]
    folder = _folder(root, config)
    return folder.fill(jobs, partial(_render_clip, folder, config), partial(_tables, config), workers, progress)


def _folder(root: Path, config: SynthConfig) -> RenderedFolder:
    return RenderedFolder(root, config.identity(), COMPLETE, (LABELS,), CLASSES.names)


def _render_clip(folder: RenderedFolder, config: SynthConfig, clip: int) -> list[FrameTruth]:
    truths = [frame_truth(config, clip, frame) for frame in range(config.frames_per_clip)]
    for frame, truth in enumerate(truths):
        if not folder.holds(map_path(truth.path)):
            folder.write(map_path(truth.path), encode_map(frame_map(config, clip, frame)))
        if not folder.holds(truth.path):
            folder.write(truth.path, encode_frame(render_frame(config, clip, frame)))
    return truths


def _tables(config: SynthConfig, truths: list[FrameTruth]) -> tuple[dict[str, str], dict[str, int]]:
    """labels.csv, with the path of each frame's map and the name it shares with its twin's frame; and the counts.

    The clips of a pair are drawn alike but for the sheet, and the n-th frame of one belongs to the n-th of the other.
    """
    further = {
        truth.path: {"mask": map_path(truth.path), "twin": f"{truth.video.split('/')[1]}-{i % config.frames_per_clip}"}
        for i, truth in enumerate(truths)
    }
    counts = {name: sum(truth.label == name for truth in truths) for name in CLASSES.names}
    table = truth_table(sorted(truths, key=lambda truth: truth.path), ("mask", "twin"), lambda each: further[each.path])
    return {LABELS: table}, counts
