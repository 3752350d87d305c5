"""What is written: data sets of clips, and recordings."""

from __future__ import annotations

import csv
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.clip import CLASSES
from flipdetect.synth.config import RecordingConfig, SynthConfig
from flipdetect.synth.output_folder import RenderedFolder, RenderReport, map_path, worker_count
from flipdetect.synth.recording import (
    RecordingTruth,
    TurnEvent,
    recording_events,
    recording_truth,
    render_recording_frame,
)
from flipdetect.synth.render.renderer import encode_frame, frame_map, frame_truth, render_frame
from flipdetect.synth.truth.frame_truth import FrameTruth, csv_text, truth_table
from flipdetect.synth.truth.maps import encode_map

LABELS, EVENTS, TRUTH = "labels.csv", "events.csv", "truth.csv"

AT_ONCE = 25
"""Frames of a recording that one process renders one after the other: they share most of their pages."""


def is_current(root: Path, config: SynthConfig) -> bool:
    """Whether `root` holds this very data set, complete: same version, same settings, every frame there."""
    if not _dataset_folder(root, config).is_current():
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

    Raises:
        ConfigError: if `workers` is below 1.
        DataError: if `root` is a file or holds files that were not rendered by this module.
    """
    # A worker takes all clips of a source, so that each source is painted once.
    count, step = worker_count(workers), config.clips_per_source
    if config.sources < count:
        step = -(-step // count)
    folder = _dataset_folder(root, config)

    def tables(truths: list[FrameTruth]) -> tuple[dict[str, str], dict[str, int]]:
        # The clips of a pair are drawn alike but for the sheet: the n-th frame of one belongs to the n-th of the other.
        twins = {
            truth.path: f"{truth.video.split('/')[1]}-{i % config.frames_per_clip}" for i, truth in enumerate(truths)
        }
        truths = sorted(truths, key=lambda truth: truth.path)
        paths = [truth.path for truth in truths]
        table = truth_table(truths, mask=map(map_path, paths), twin=map(twins.__getitem__, paths))
        return {LABELS: table}, {name: sum(truth.label == name for truth in truths) for name in CLASSES.names}

    return folder.fill(range(config.clips), step, partial(_render_clip, folder, config), tables, count, progress)


def render_recording(
    root: Path, config: RecordingConfig, *, workers: int | None = None, progress: bool = True
) -> RenderReport:
    """Render a recording into frames/ below `root`, with events.csv, truth.csv and, last, recording.json.

    Arguments, errors, and what is kept or replaced are those of `render_dataset`.
    """
    folder = RenderedFolder(root, config.identity(), "recording.json", (EVENTS, TRUTH), ("frames",))

    def tables(truths: list[RecordingTruth]) -> tuple[dict[str, str], dict[str, int]]:
        events, names = recording_events(config), [field.name for field in fields(TurnEvent)]
        turns = csv_text(names, (vars(event).values() for event in events))
        further = {name: [getattr(truth, name) for truth in truths] for name in ("time_s", "spread")}
        flips = sum(truth.label == CLASSES.positive for truth in truths)
        return {EVENTS: turns, TRUTH: truth_table(truths, **further)}, {CLASSES.positive: flips, "events": len(events)}

    render, numbers = partial(_render_moment, folder, config), range(1, config.frames + 1)
    return folder.fill(numbers, AT_ONCE, render, tables, worker_count(workers), progress)


def _dataset_folder(root: Path, config: SynthConfig) -> RenderedFolder:
    return RenderedFolder(root, config.identity(), "dataset.json", (LABELS,), CLASSES.names)


def _render_clip(folder: RenderedFolder, config: SynthConfig, clip: int) -> list[FrameTruth]:
    truths = [frame_truth(config, clip, frame) for frame in range(config.frames_per_clip)]
    for frame, truth in enumerate(truths):
        if not folder.holds(map_path(truth.path)):
            folder.write(map_path(truth.path), encode_map(frame_map(config, clip, frame)))
        if not folder.holds(truth.path):
            folder.write(truth.path, encode_frame(render_frame(config, clip, frame)))
    return truths


def _render_moment(folder: RenderedFolder, config: RecordingConfig, number: int) -> list[RecordingTruth]:
    moment = config.time(number)
    truth = recording_truth(config, moment)
    if not folder.holds(truth.path):
        folder.write(truth.path, encode_frame(render_recording_frame(config, moment)))
    return [truth]


def sample_frames(config: SynthConfig | RecordingConfig, count: int) -> tuple[list[NDArray[np.uint8]], list[str]]:
    """Pictures (H, W, 3) uint8 RGB and titles for a contact sheet.

    Of a data set: random frames, half flips, with their displacement in page widths. Of a recording: frames spread over
    it, with their second and the number of the spread.
    """
    frames, titles = [], []
    if isinstance(config, RecordingConfig):
        for time in np.linspace(0, config.seconds, count, endpoint=False).tolist():
            spread = recording_truth(config, time).spread
            frames.append(render_recording_frame(config, time).image)
            titles.append(f"{time:.1f} s {'turning' if spread is None else f'spread {spread}'}")
        return frames, titles
    rng = np.random.default_rng(config.seed)
    for place in range(count):
        clip = 2 * int(rng.integers(config.clips // 2)) + place % 2
        frame = render_frame(config, clip, int(rng.integers(config.frames_per_clip)))
        frames.append(frame.image)
        titles.append(f"{frame.truth.video} {frame.truth.displacement:.2f}")
    return frames, titles
