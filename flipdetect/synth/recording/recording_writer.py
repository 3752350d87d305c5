"""Writing a recording: a folder of frames with a table of its turns and one of its frames."""

from __future__ import annotations

from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

from flipdetect.synth.animation.poses import CLASSES
from flipdetect.synth.config import RecordingConfig
from flipdetect.synth.output_folder import RenderedFolder, RenderReport
from flipdetect.synth.recording.recording import (
    RecordingTruth,
    TurnEvent,
    recording_events,
    recording_truth,
    render_recording_frame,
)
from flipdetect.synth.render.renderer import encode_frame
from flipdetect.synth.truth.frame_truth import csv_text, truth_table

COMPLETE, EVENTS, TRUTH, FRAMES = "recording.json", "events.csv", "truth.csv", "frames"

AT_ONCE = 25
"""Frames that one process renders one after the other: they share most of their pages."""


def render_recording(
    root: Path, config: RecordingConfig, *, workers: int | None = None, progress: bool = True
) -> RenderReport:
    """Render a recording into frames/ below `root`, with events.csv, truth.csv and, last, recording.json.

    Frames left by an interrupted run of the same version and settings are kept. An older rendering is replaced.
    The bytes written do not depend on the number of workers.

    Args:
        root: folder of the recording; made if missing.
        config: what to render.
        workers: processes; None for one per CPU.
        progress: whether to show a bar on standard error.

    Raises:
        ConfigError: if `workers` is below 1.
        DataError: if `root` is a file or holds files that were not rendered by this module.
    """
    folder = RenderedFolder(root, asdict(config), COMPLETE, (EVENTS, TRUTH), (FRAMES,))
    numbers = range(1, config.frames + 1)
    jobs = [numbers[first : first + AT_ONCE] for first in range(0, config.frames, AT_ONCE)]
    return folder.fill(jobs, partial(_render_frame, folder, config), partial(_tables, config), workers, progress)


def _render_frame(folder: RenderedFolder, config: RecordingConfig, number: int) -> list[RecordingTruth]:
    moment = config.time(number)
    truth = recording_truth(config, moment)
    if not folder.holds(truth.path):
        folder.write(truth.path, encode_frame(render_recording_frame(config, moment)))
    return [truth]


def _tables(config: RecordingConfig, truths: list[RecordingTruth]) -> tuple[dict[str, str], dict[str, int]]:
    """The tables of turns and of frames, and the counts."""
    events, names = recording_events(config), [field.name for field in fields(TurnEvent)]
    table = csv_text(names, ([getattr(event, name) for name in names] for event in events))
    further = ("time_s", "spread")
    frames = truth_table(truths, further, lambda truth: {name: getattr(truth, name) for name in further})
    flips = sum(truth.label == CLASSES.positive for truth in truths)
    return {EVENTS: table, TRUTH: frames}, {CLASSES.positive: flips, "events": len(events)}
