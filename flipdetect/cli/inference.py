"""`python inference.py --folder-path frames/`: predictions.csv, and a table of flips per video.

With `--video`, with `--events` or with `--scores`, page turns and the stills between them: see `cli.sequence`.

Nothing heavy is imported before the arguments are known to be right: `--help` answers at once.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.cli.messages import INTERRUPTED, set_up_logging
from flipdetect.errors import DataError, FlipdetectError
from flipdetect.zoo import DEFAULT, SHIPPED, shipped_path

if TYPE_CHECKING:
    from flipdetect.inference.folder import Predictor
    from flipdetect.records import FrameScore

logger = logging.getLogger(__name__)

LOGS = Path("logs")


def main(args: Sequence[str] | None = None) -> int:
    """Predict as the command line says; returns the exit status."""
    set_up_logging()
    options = _parser().parse_args(args)
    try:
        return _run(options)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    except BrokenPipeError:
        # The reader of our output has seen enough (`| head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inference.py",
        description="Tell for every frame whether a page is being turned; in a video, when pages were turned, and "
        "which still to keep of each spread.",
        epilog="Examples: python inference.py --folder-path frames/ --output predictions.csv; "
        "python inference.py --video book.mp4 --save-stills pages/ --pdf book.pdf --report book.html",
    )
    _add_sources(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--checkpoint-path",
        type=Path,
        help=f"a model of your own, .ckpt or .onnx; default: the newest best.ckpt of frames under {LOGS}/, or else the "
        f"shipped {DEFAULT}",
    )
    which.add_argument("--model", choices=tuple(SHIPPED), help="a trained model that ships with flipdetect")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("predictions.csv"),
        help="table to write, one row per file; - for standard output (default: %(default)s)",
    )
    parser.add_argument("--batch-size", type=_count, help="frames scored at a time; default: what suits the engine")
    parser.add_argument(
        "--threshold", type=_share, help="probability from which a frame counts as a flip; default: the model's own"
    )
    parser.add_argument(
        "--engine",
        choices=("auto", "torch", "onnx"),
        default="auto",
        help="what runs the model; default: ONNX Runtime for .onnx files and the shipped models, else PyTorch",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="default: a GPU if there is one and PyTorch runs the model",
    )
    parser.add_argument("--strict", action="store_true", help="exit with status 1 if a file could not be read")
    _add_turns(parser)
    return parser


def _add_sources(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--folder-path", type=Path, help="folder of frames, searched with its subfolders")
    source.add_argument(
        "--video", nargs="+", metavar="PATH", help="videos: files, folders, or patterns such as 'films/*.mp4'"
    )
    source.add_argument(
        "--scores", type=Path, metavar="CSV", help="find turns in the predictions.csv of an earlier run; scores nothing"
    )


def _add_turns(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "page turns", "flips.csv, flips.json and timeline.png are written beside --output; the rest on request"
    )
    group.add_argument("--events", action="store_true", help="the folder holds ordered frames of films: find turns")
    group.add_argument("--save-stills", type=Path, metavar="FOLDER", help="the best picture of each spread, full size")
    group.add_argument("--pdf", type=Path, help="these pictures as one document")
    group.add_argument("--report", type=Path, metavar="HTML", help="turns and spreads to look at, in one file")
    group.add_argument("--preview", type=Path, metavar="MP4", help="the film, small and annotated; .mp4 or .gif")
    group.add_argument("--resume", action="store_true", help="go on with an interrupted run of the same command")
    group.add_argument(
        "--rate", type=_positive, default=10.0, help="frames of a video scored per second (default: %(default)s); "
        "three times as many where a page is turned"
    )  # fmt: skip
    group.add_argument("--stride", type=_count, help="instead of --rate: score every so many frames of a video")
    group.add_argument(
        "--fps", type=_positive, default=30.0, help="frames per second that frame numbers count (default: %(default)s)"
    )
    group.add_argument("--event-settings", type=Path, metavar="YAML", help="how turns are found; default: the model's")


def _run(options: argparse.Namespace) -> int:
    from flipdetect.cli import sequence

    sequence.check(options)
    if options.scores is not None:
        return sequence.run_on_scores(options, _model_path(options))
    if options.video or options.events:
        return sequence.run_on_clips(options, _model_path(options))
    return _score_folder(options)


def _score_folder(options: argparse.Namespace) -> int:
    from flipdetect.sources.folder import FRAME_SUFFIXES, find_files

    root: Path = options.folder_path.expanduser()
    found = find_files(root)
    for problem in found.problems:
        logger.warning("%s: %s", problem.path, problem.reason)
    if not found.files:
        raise DataError(f"no frames: {root} holds no .jpg, .jpeg, .png, .webp or .bmp file, in no subfolder either")
    checkpoint = _model_path(options)

    from flipdetect.inference.folder import Predictor
    from flipdetect.inference.load import load_model
    from flipdetect.inference.settings import chosen_settings

    clip_threshold = chosen_settings(checkpoint, options.event_settings, options.threshold).clip_threshold
    # Decoding takes as long as scoring: threads that do both need none beside them.
    model = load_model(checkpoint, options.engine, options.device, threads=1)
    threshold = model.threshold if options.threshold is None else options.threshold
    logger.info("Model: %s (threshold %.3f, %s)", model.path, threshold, model.runs_on)
    predictor = Predictor(model, threshold, options.batch_size)
    # A broken link has a frame's name and no frame: it gets its row like any other unreadable file.
    broken = [problem.path for problem in found.problems if problem.path.suffix.lower() in FRAME_SUFFIXES]
    return _predict(predictor, [*found.files, *broken], options, clip_threshold)


def _model_path(options: argparse.Namespace) -> Path:
    """The model's file: as told, else the newest that was trained here, else the shipped default."""
    if options.model is not None:
        return shipped_path(options.model)
    if options.checkpoint_path is not None:
        path: Path = options.checkpoint_path
        return path
    from flipdetect.inference.load import resolve_model

    return resolve_model(None)


def _predict(
    predictor: Predictor, files: Sequence[Path], options: argparse.Namespace, clip_threshold: float | None
) -> int:
    from flipdetect.outputs.predictions import PredictionWriter
    from flipdetect.outputs.tables import flips_per_video, format_video_table

    scores: list[FrameScore] = []
    writer = PredictionWriter(options.output, sys.stdout)
    try:
        with writer:
            for batch in _with_progress(predictor, files, options.folder_path.expanduser()):
                writer.write(batch)
                scores.extend(batch)
    except KeyboardInterrupt:
        kept = f"; their rows are in {writer.part_path}" if writer.part_path else ""
        logger.warning("Interrupted after %d of %d frames%s", len(scores), len(files), kept)
        return INTERRUPTED
    positive = predictor.model.classes.positive
    # With the rows on standard output, the table must not mix with them.
    stream = sys.stderr if writer.part_path is None else sys.stdout
    table = format_video_table(flips_per_video(scores, positive), positive=positive, clip_threshold=clip_threshold)
    print(table, file=stream, flush=True)
    failed = sum(score.probability is None for score in scores)
    if failed:
        logger.warning("%d of %d files could not be read; the column error says why", failed, len(scores))
    if writer.part_path is not None:
        logger.info("Predictions are in %s", options.output)
    return 1 if options.strict and failed else 0


def _with_progress(predictor: Predictor, files: Sequence[Path], root: Path) -> Iterator[list[FrameScore]]:
    from flipdetect.progress import progress_bar

    with progress_bar(total=len(files), desc="scoring", unit="frame", delay=1) as bar:
        for batch in predictor.predict(files, root):
            yield batch
            bar.update(len(batch))


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"must be more than 0, got {text}")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
