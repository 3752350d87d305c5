"""Render the embedded data set: `python -m flipdetect.synth --output DIR`."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from pathlib import Path

import cv2

from flipdetect.errors import DataError, FlipdetectError
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.contact import contact_sheet
from flipdetect.synth.dataset import render_dataset
from flipdetect.synth.render import encode_frame, render_frame

BENCHMARK_CLIPS = 32


def main(arguments: list[str] | None = None) -> int:
    """Parse `arguments` (those of the process if None), do the job, return the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.output is None and options.sheet is None and not options.benchmark:
        parser.error("nothing to do; give --output DIR, --sheet FILE.png or --benchmark")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        config = SynthConfig(
            options.seed, options.sources, options.clips_per_source, options.frames_per_clip, options.height
        )
        if options.benchmark:
            print(f"{_benchmark(config):.1f} frames/s per core at {config.width}x{config.height}")
        if options.sheet is not None:
            _write_sheet(config, options.sheet, options.count)
        if options.output is not None:
            report = render_dataset(options.output, config, workers=options.workers)
            print(f"{report.root}: {report.frames} frames, {report.rendered} rendered in {report.seconds:.1f} s")
    except FlipdetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m flipdetect.synth", description=__doc__)
    job = parser.add_argument_group("jobs (at least one)")
    job.add_argument("--output", type=Path, help="folder for the data set")
    job.add_argument("--sheet", type=Path, help="PNG file for a labelled contact sheet of random frames")
    job.add_argument("--benchmark", action="store_true", help="measure frames per second on one core")
    default = SynthConfig()
    for name in ("seed", "sources", "clips_per_source", "frames_per_clip", "height"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(default, name))
    parser.add_argument("--workers", type=int, help="processes, default: one per CPU")
    parser.add_argument("--count", type=int, default=40, help="frames on the contact sheet")
    return parser


def _write_sheet(config: SynthConfig, path: Path, count: int) -> None:
    picture = cv2.cvtColor(contact_sheet(config, count), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".png", picture)
    if not done:
        raise DataError(f"the contact sheet could not be encoded; use fewer frames than {count}")
    path.write_bytes(data.tobytes())


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
