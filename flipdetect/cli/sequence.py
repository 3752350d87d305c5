"""The part of `inference.py` that finds turns: in videos, in ordered frames, in scores that were saved."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipdetect.cli.messages import INTERRUPTED
from flipdetect.errors import ConfigError, DataError

if TYPE_CHECKING:
    from flipdetect.inference.model import Model
    from flipdetect.outputs.predictions import PredictionWriter
    from flipdetect.pipeline.clips import Clip
    from flipdetect.pipeline.extract_pages import Extraction
    from flipdetect.pipeline.resuming import RunNote
    from flipdetect.pipeline.write_outputs import Finding
    from flipdetect.records import FrameScore

logger = logging.getLogger(__name__)


def run_on_scores(options: argparse.Namespace, model_path: Path) -> int:
    """Turns from a predictions.csv, by the settings of a model: nothing is decoded or scored but pictures asked for."""
    from flipdetect.inference.settings import chosen_settings
    from flipdetect.outputs.predictions import read_predictions
    from flipdetect.pipeline.extract_pages import Extraction, by_video
    from flipdetect.sources.streams import frame_times

    scores = frame_times(read_predictions(options.scores), options.fps)
    if not scores:
        raise DataError(f"{options.scores} holds no scores; nothing can be found in it")
    settings = chosen_settings(model_path, options.event_settings, options.threshold)
    extraction = Extraction(None, settings, options.threshold)
    extraction.resume(score for own in by_video(scores).values() for score in own)
    clips = _clips_of_scores(extraction.scores, options) if _wants_pictures(options) else {}
    extraction.finished.update(extraction.scores)
    findings = [_finding(extraction, video, clips.get(video), str(options.scores)) for video in extraction.scores]
    _deliver(findings, options)
    return 0


def run_on_clips(options: argparse.Namespace, model_path: Path) -> int:
    """Score videos or ordered frames, then write what was found; after Ctrl-C, what was found so far."""
    from flipdetect.inference.folder import BATCH
    from flipdetect.inference.load import load_model
    from flipdetect.inference.settings import chosen_settings
    from flipdetect.outputs.predictions import PredictionWriter
    from flipdetect.pipeline.extract_pages import Extraction
    from flipdetect.pipeline.resuming import forget_note

    model = load_model(model_path, options.engine, options.device, fast=True)
    clips = _video_clips(options) if options.video else _folder_clips(options, model.naming)
    settings = chosen_settings(model_path, options.event_settings, options.threshold)
    threshold = model.threshold if options.threshold is None else options.threshold
    logger.info("Model: %s (threshold %.3f, %s)", model.path, threshold, model.runs_on)
    extraction = Extraction(model, settings, threshold, model_path.stem, options.batch_size or BATCH)
    writer = PredictionWriter(options.output, sys.stdout, resume=options.resume)
    note = _note(options, model, threshold, clips)
    interrupted = False
    try:
        with writer:
            extraction.resume(writer.resumed)
            _check_and_note(writer, note, list(extraction.scores))
            for clip in clips:
                _score(extraction, clip, writer)
        if writer.part_path is not None:
            forget_note(writer.part_path)
    except KeyboardInterrupt:
        interrupted = True
        logger.warning("Interrupted. What was found so far is written; --resume goes on (Ctrl-C again: stop at once)")
    findings = [
        _finding(extraction, clip.video, clip, clip.source) for clip in clips if clip.video in extraction.scores
    ]
    written = _deliver(findings, options)
    if writer.output is not None:
        logger.info("Predictions are in %s", writer.part_path if interrupted else writer.output)
    if interrupted:
        return INTERRUPTED
    whole = all(extraction.scores.get(clip.video) for clip in clips)
    failed = any(finding.result.problems for finding in findings)
    return 1 if not whole or not written or (options.strict and failed) else 0


def _note(options: argparse.Namespace, model: Model, threshold: float, clips: Sequence[Clip]) -> RunNote:
    from flipdetect.pipeline.resuming import note_of

    settings: dict[str, object] = {"--threshold": f"{threshold:.9g}"}
    if not options.video:
        settings["--fps"] = options.fps
    elif options.stride is not None:
        settings["--stride"] = options.stride
    else:
        settings["--rate"] = options.rate
    return note_of(model, settings, clips)


def _check_and_note(writer: PredictionWriter, note: RunNote, videos: Sequence[str]) -> None:
    """Refuse to go on with another run's table; leave word of what this one's rows are made with."""
    from flipdetect.pipeline.resuming import check_same_run, write_note

    if writer.part_path is None:
        return
    check_same_run(writer.part_path, note, videos)
    write_note(writer.part_path, note)
    if writer.resumed:
        logger.info("Going on after %d frames that were scored before", len(writer.resumed))


def _video_clips(options: argparse.Namespace) -> Sequence[Clip]:
    from flipdetect.pipeline.clips import Pace, video_clips
    from flipdetect.sources.folder import find_videos

    paths: dict[Path, None] = {}
    for where in options.video:
        found = find_videos(where)
        for problem in found.problems:
            logger.warning("%s: %s", problem.path, problem.reason)
        paths.update(dict.fromkeys(found.files))
    if not paths:
        raise DataError(f"no videos: {', '.join(map(str, options.video))} holds none that is known by its suffix")
    return video_clips(list(paths), Pace(options.rate, stride=options.stride))


def _folder_clips(options: argparse.Namespace, naming: Any) -> Sequence[Clip]:
    from flipdetect.pipeline.clips import FolderClip
    from flipdetect.sources.folder import find_files
    from flipdetect.sources.streams import sequence_files

    root = options.folder_path.expanduser()
    found = find_files(root)
    for problem in found.problems:
        logger.warning("%s: %s", problem.path, problem.reason)
    if not found.files:
        raise DataError(f"no frames: {root} holds no .jpg, .jpeg, .png, .webp or .bmp file, in no subfolder either")
    clips = sequence_files(found.files, root, options.fps, naming)
    return [FolderClip(video, root, files) for video, files in clips.items()]


def _wants_pictures(options: argparse.Namespace) -> bool:
    return any((options.save_stills, options.pdf, options.report, options.preview))


def _clips_of_scores(scores: dict[str, list[FrameScore]], options: argparse.Namespace) -> dict[str, Clip]:
    """The videos that scores came from, as far as they still lie where the table says."""
    from flipdetect.pipeline.clips import Pace, VideoClip

    clips: dict[str, Clip] = {}
    for video, own in scores.items():
        paths = {score.path for score in own}
        path = Path(next(iter(paths)))
        if len(paths) == 1 and path.is_file():
            clips[video] = VideoClip(path, str(path), video, Pace(options.rate))
        else:
            logger.warning("%s: the film is not at %s, so there are no pictures of it", video, path)
    return clips


def _finding(extraction: Extraction, video: str, clip: Clip | None, source: str) -> Finding:
    from flipdetect.pipeline.write_outputs import Finding

    return Finding(extraction.result(clip, video, source), extraction.scores[video], clip)


def _score(extraction: Extraction, clip: Clip, writer: Any) -> None:
    """Score one clip under a progress bar that tells frames of the film per second and the time left."""
    from flipdetect.errors import FrameError
    from flipdetect.pipeline.clips import VideoClip
    from flipdetect.progress import progress_bar

    try:
        total = clip.expected_frames()
    except FrameError:
        total = None  # why it cannot be read is said when it is read
    passed = 0
    with progress_bar(total=total, desc=clip.video[-30:], unit="frame", delay=1) as bar:

        def progress(scores: list[FrameScore]) -> None:
            nonlocal passed
            # Of a video, frames that were passed over count as well; they are numbered from 0.
            latest = scores[-1].frame if scores and isinstance(clip, VideoClip) else None
            now = passed + len(scores) if latest is None else latest + 1
            bar.update(max(0, now - passed))
            passed = max(passed, now)

        extraction.score(clip, writer, progress)
        if total is not None and clip.video in extraction.finished:
            bar.update(max(0, total - passed))


def _deliver(findings: Sequence[Finding], options: argparse.Namespace) -> list[Path]:
    """Write the products, and say what was found."""
    from flipdetect.outputs.turns import format_turn_table
    from flipdetect.pipeline.write_outputs import Wanted, write_products

    folder = Path() if str(options.output) == "-" else options.output.parent
    wanted = Wanted(folder, options.save_stills, options.pdf, options.report, options.preview)
    with _steps() as step:
        written = write_products(findings, wanted, step)
    stream = sys.stderr if str(options.output) == "-" else sys.stdout
    print(format_turn_table([finding.result for finding in findings]), file=stream, flush=True)
    if written:
        logger.info("Written: %s", ", ".join(map(str, written)))
    return written


@contextmanager
def _steps() -> Iterator[Any]:
    """What is being written, on one line of a terminal; nothing where nobody looks."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    shown = 0.0

    def step(text: str) -> None:
        nonlocal shown
        if time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            print(f"\r\x1b[Kwriting {text[:60]}", end="", file=sys.stderr, flush=True)

    try:
        yield step
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def check(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other.

    Raises:
        ConfigError: if some do.
    """
    sequence = bool(options.video) or options.scores is not None or options.events
    products = {
        "--save-stills": options.save_stills,
        "--pdf": options.pdf,
        "--report": options.report,
        "--preview": options.preview,
        "--event-settings": options.event_settings,
    }
    for name, value in products.items():
        if value is not None and not sequence:
            raise ConfigError(f"{name} needs turns to be found; add --events to --folder-path, or give --video")
    if options.resume and not (options.video or options.events):
        raise ConfigError("--resume goes on with --video, or with --folder-path and --events")
    if options.resume and str(options.output) == "-":
        raise ConfigError("--resume goes on with a file; give --output a name")
    if options.preview is not None and options.preview.suffix.lower() not in (".mp4", ".gif"):
        raise ConfigError(f"a preview is written as .mp4 or .gif, got --preview {options.preview}")
    if options.stride is not None and not options.video:
        raise ConfigError("--stride is for --video; a folder's frames are all scored")
