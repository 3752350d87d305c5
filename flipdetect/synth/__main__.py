"""Render the embedded data set, or a long recording: `python -m flipdetect.synth --output DIR`."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import DataError, FlipdetectError
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.contact_sheet import contact_sheet, recording_sheet
from flipdetect.synth.dataset_writer import render_dataset
from flipdetect.synth.output_folder import RenderReport
from flipdetect.synth.recording.recording_config import RecordingConfig
from flipdetect.synth.recording.recording_writer import render_recording
from flipdetect.synth.render.renderer import encode_frame, render_frame

JOBS = ("output", "sheet", "recording", "recording_sheet", "benchmark")
Settings = TypeVar("Settings", SynthConfig, RecordingConfig)

BENCHMARK_CLIPS = 32


def main(arguments: list[str] | None = None) -> int:
    """Parse `arguments` (those of the process if None), do the job, return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not any(getattr(options, job) for job in JOBS):
        parser.error("nothing to do; give --output DIR, --recording DIR, --sheet FILE.png or --benchmark")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        if options.benchmark or options.sheet or options.output:
            _clips(options)
        if options.recording or options.recording_sheet:
            _recording(options)
    except FlipdetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _clips(options: argparse.Namespace) -> None:
    config = _settings(SynthConfig, options)
    if options.benchmark:
        width, height = config.frame_size(0)
        print(f"{_benchmark(config):.1f} frames/s per core at {width}x{height}")
    if options.sheet is not None:
        _write_picture(contact_sheet(config, options.count), options.sheet)
    if options.output is not None:
        _report(render_dataset(options.output, config, workers=options.workers))


def _recording(options: argparse.Namespace) -> None:
    config = _settings(RecordingConfig, options)
    if options.recording_sheet is not None:
        _write_picture(recording_sheet(config, options.count), options.recording_sheet)
    if options.recording is not None:
        _report(render_recording(options.recording, config, workers=options.workers))


def _settings(kind: type[Settings], options: argparse.Namespace) -> Settings:
    return kind(**{field.name: getattr(options, field.name) for field in fields(kind)})


def _report(report: RenderReport) -> None:
    print(f"{report.root}: {report.frames} frames, {report.rendered} rendered in {report.seconds:.1f} s")


def _write_picture(picture: NDArray[np.uint8], path: Path) -> None:
    done, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise DataError(f"{path} could not be encoded; choose fewer frames with --count")
    path.write_bytes(data.tobytes())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flipdetect.synth", description=__doc__)
    job = parser.add_argument_group("jobs (at least one)")
    job.add_argument("--output", type=Path, help="folder for a data set of short clips")
    job.add_argument("--sheet", type=Path, help="PNG file for a labelled contact sheet of random frames of clips")
    job.add_argument("--recording", type=Path, help="folder for the frames and tables of a long recording")
    job.add_argument("--recording-sheet", type=Path, help="PNG file for frames spread over a recording")
    job.add_argument("--benchmark", action="store_true", help="measure frames per second on one core")
    clips, recordings = ({field.name: field for field in fields(kind)} for kind in (SynthConfig, RecordingConfig))
    for title, names in (
        ("clips and recordings", clips.keys() & recordings.keys()),
        ("clips", clips.keys() - recordings.keys()),
        ("recordings", recordings.keys() - clips.keys()),
    ):
        group = parser.add_argument_group(title)
        for name, field in {**clips, **recordings}.items():
            if name in names:
                option = f"--{name.replace('_', '-')}"
                group.add_argument(option, type=type(field.default), default=field.default, help="default: %(default)s")
    parser.add_argument("--workers", type=int, help="processes, default: one per CPU")
    parser.add_argument("--count", type=int, default=40, help="frames on a contact sheet")
    return parser


def _benchmark(config: SynthConfig) -> float:
    """Frames per second of processor time, sources included, JPEG encoding too."""
    cv2.setNumThreads(1)
    clips = range(min(BENCHMARK_CLIPS, config.clips))
    start = time.process_time()
    for clip in clips:
        for frame in range(config.frames_per_clip):
            encode_frame(render_frame(config, clip, frame))
    return len(clips) * config.frames_per_clip / (time.process_time() - start)


if __name__ == "__main__":
    sys.exit(main())
