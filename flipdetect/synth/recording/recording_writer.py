"""Writing a recording: a folder of frames with a table of its turns and one of its frames."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterable
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

from flipdetect.progress import progress_bar
from flipdetect.synth.animation.poses import CLASSES
from flipdetect.synth.dataset_writer import worker_count
from flipdetect.synth.output_folder import RenderedFolder, RenderReport
from flipdetect.synth.recording.recording import (
    RecordingTruth,
    TurnEvent,
    recording_events,
    recording_truth,
    render_recording_frame,
)
from flipdetect.synth.recording.recording_config import RecordingConfig
from flipdetect.synth.render.renderer import encode_frame
from flipdetect.synth.truth.truth_table import COLUMNS, truth_row
from flipdetect.synth.workers import Count, run_jobs

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
    count = worker_count(workers)
    started = time.monotonic()
    folder = RenderedFolder(root, asdict(config), COMPLETE, (EVENTS, TRUTH), (FRAMES,))
    before = folder.prepare()
    numbers = range(1, config.frames + 1)
    jobs = [numbers[first : first + AT_ONCE] for first in range(0, config.frames, AT_ONCE)]
    with progress_bar(total=config.frames, desc="rendering", unit="frame", disable=not progress) as bar:
        truths = run_jobs(partial(_render_frame_file, folder, config), jobs, count, bar)
    events = recording_events(config)
    expected = {truth.path for truth in truths}
    flips = sum(truth.label == CLASSES.positive for truth in truths)
    counts = {"frames": config.frames, CLASSES.positive: flips, "events": len(events)}
    tables = {EVENTS: _event_table(events), TRUTH: _recording_table(truths)}
    folder.finish(tables, before, expected, counts)
    kept = len(before & expected)
    return RenderReport(root, config.frames, config.frames - kept, kept, time.monotonic() - started)


def _render_frame_file(
    folder: RenderedFolder, config: RecordingConfig, number: int, count: Count
) -> list[RecordingTruth]:
    moment = config.time(number)
    truth = recording_truth(config, moment)
    if not (folder.root / truth.path).is_file():
        folder.write(truth.path, encode_frame(render_recording_frame(config, moment)))
    count(1)
    return [truth]


def _event_table(events: Iterable[TurnEvent]) -> str:
    names = [field.name for field in fields(TurnEvent)]
    return _table(names, ([_text(getattr(event, name)) for name in names] for event in events))


def _recording_table(truths: Iterable[RecordingTruth]) -> str:
    return _table(
        [*COLUMNS, "time_s", "spread"],
        ([*truth_row(truth), _text(truth.time_s), _text(truth.spread)] for truth in truths),
    )


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    return text.getvalue()


def _text(value: object) -> str:
    """As written in a table: seconds to the tenth of a millisecond, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
