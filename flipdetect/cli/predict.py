"""`flipdetect predict`: predictions.csv for frames; page turns and stills for films."""

from __future__ import annotations

import logging
import math
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from flipdetect.atomic import alone
from flipdetect.cli.messages import INTERRUPTED
from flipdetect.cli.options import BatchSize, Device, DeviceName, Engine, EngineName, Model, Resume, Threshold
from flipdetect.errors import ConfigError, DataError, printable, require_extra
from flipdetect.zoo import FOLDER

if TYPE_CHECKING:
    from flipdetect.inference.detector import Detector
    from flipdetect.pipeline.jobs import FilmJob
    from flipdetect.records import DetectionResult, FrameScore
    from flipdetect.sources.folder import FoundInputs
    from flipdetect.sources.streams import FrameStream

OLD_NAMES = {"--save-stills": "--stills", "--checkpoint-path": "--model"}
OLD_INPUTS = ("--folder-path", "--video")
FINDS_TURNS = ("--video", "--events", "--scores")
FOR_DETECTORS = ("inputs", "model", "output", "threshold", "engine", "device", "strict")
"""Parameters that mean something with a detector."""

logger = logging.getLogger(__name__)


class StillFormat(StrEnum):
    """Formats of the stills."""

    JPG = "jpg"
    PNG = "png"
    WEBP = "webp"


class Hardware(StrEnum):
    """What decodes videos."""

    NONE = "none"
    AUTO = "auto"


class PageMode(StrEnum):
    """How pages are written."""

    COLOUR = "colour"
    GREY = "grey"
    BW = "bw"


def _time(text: str) -> float:
    from flipdetect.outputs.tables import read_clock

    try:
        return read_clock(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def predict(
    ctx: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUTS...", help="Videos, pictures, folders, or patterns like 'films/*.mp4'."),
    ] = None,
    model: Model = None,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Table with a row per frame, or folder for it; - for standard output.",
        ),
    ] = Path("predictions.csv"),
    stills: Annotated[
        Path | None,
        typer.Option("--stills", metavar="FOLDER", help="The best image of each spread, full size."),
    ] = None,
    pages: Annotated[
        Path | None,
        typer.Option("--pages", metavar="FOLDER", help="Left and right page of each spread apart, cropped and flat."),
    ] = None,
    page_mode: Annotated[
        PageMode, typer.Option("--page-mode", help="Of --pages; bw is black and white.")
    ] = PageMode.COLOUR,
    pdf: Annotated[
        Path | None, typer.Option("--pdf", metavar="FILE", help="These images, or the pages, as one document.")
    ] = None,
    ocr: Annotated[
        str,
        typer.Option(
            "--ocr",
            metavar="LANG",
            help="Make the PDF searchable and check the page numbers; Tesseract's languages: deu, deu+eng, ...",
        ),
    ] = "",
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="HTML", help="Turns and spreads in one HTML file."),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option("--preview", metavar="FILE", help="The film, small and annotated; .mp4 or .gif."),
    ] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Draw timeline.png next to the table.")] = False,
    still_format: Annotated[
        StillFormat, typer.Option("--still-format", help="Of --stills; png is lossless.")
    ] = StillFormat.JPG,
    quality: Annotated[int, typer.Option("--quality", min=1, max=100, help="Of JPEG and WebP images.")] = 95,
    still_name: Annotated[
        str,
        typer.Option(
            "--still-name",
            metavar="TEMPLATE",
            help="Names of --stills, without the suffix, made of {video}, {number}, {spread}, {time} and text.",
        ),
    ] = "{number}_{time}",
    start: Annotated[
        float | None,
        typer.Option("--start", metavar="TIME", parser=_time, help="Look at films from this time on: seconds or m:ss."),
    ] = None,
    end: Annotated[
        float | None, typer.Option("--end", metavar="TIME", parser=_time, help="Look at films up to this time.")
    ] = None,
    threshold: Threshold = None,
    events: Annotated[
        bool, typer.Option("--events", help="The pictures are ordered frames of films: detect turns.")
    ] = False,
    one_film: Annotated[
        bool,
        typer.Option("--one-film", help="The pictures are frames of one film, in whatever folders: detect turns."),
    ] = False,
    fps: Annotated[float, typer.Option("--fps", min=0.01, max=1e6, help="Frames per second of such films.")] = 30.0,
    rate: Annotated[
        float,
        typer.Option(
            "--rate",
            min=0.01,
            max=1e6,
            help="Frames of a video scored per second; three times as many where a page is turned.",
        ),
    ] = 10.0,
    stride: Annotated[
        int | None,
        typer.Option("--stride", min=1, max=10**9, help="Instead of --rate: score every so many frames of a video."),
    ] = None,
    every_frame: Annotated[
        bool,
        typer.Option("--every-frame", help="Decode videos whole, also between key frames that show the same."),
    ] = False,
    hwaccel: Annotated[
        Hardware, typer.Option("--hwaccel", help="auto: videos are decoded by a graphics card, if it can.")
    ] = Hardware.NONE,
    scores: Annotated[
        Path | None,
        typer.Option("--scores", metavar="CSV", help="Re-detect turns from a predictions.csv, without scoring again."),
    ] = None,
    edited: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="CSV",
            help="Make stills, PDF and report again from a flips.csv that you have edited, without scoring again.",
        ),
    ] = None,
    event_settings: Annotated[
        Path | None,
        typer.Option("--event-settings", metavar="YAML", help="How turns are detected. Default: as the model says."),
    ] = None,
    engine: Engine = EngineName.AUTO,
    device: Device = DeviceName.AUTO,
    batch_size: BatchSize = None,
    resume: Resume = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Exit with status 1 if a file could not be read, or spreads may be missing or doubled."
        ),
    ] = False,
) -> None:
    """Find page turns in films, or score single frames.

    A video gives flips.csv and flips.json besides the table of frames; a folder of pictures gives the table of frames,
    and flips per video are printed. With a detector as --model, pictures give tables of boxes (.csv, .json,
    .coco.json), and a folder of the same name with the boxes drawn.

    Examples: flipdetect predict book.mp4 --pdf book.pdf --stills pages/; flipdetect predict frames/
    """
    events = events or one_film
    is_stream = str(output) == "-"
    if not is_stream and (output.is_dir() or not output.suffix):
        output /= "predictions.csv"
    if edited is not None and scores is None:
        scores = edited.parent / "predictions.csv"
        if not scores.is_file():
            raise ConfigError(f"--from {edited} needs the predictions.csv of the same run next to it; or give --scores")
    if not inputs and scores is None:
        raise typer.BadParameter("give films, pictures or folders; or --scores")
    part = (start or 0.0, math.inf if end is None else end)
    if part[0] >= part[1]:
        raise ConfigError(f"--end must be later than --start, got {part[1]:g} s and {part[0]:g} s")
    if preview is not None and preview.suffix.lower() not in (".mp4", ".gif"):
        raise ConfigError(f"a preview is written as .mp4 or .gif, got --preview {preview}")
    for name, images in (("--stills", stills), ("--pages", pages)):
        if images is not None and images.is_file():
            raise ConfigError(f"{name} {images} is a file; give a folder")
    if timeline or report is not None:
        require_extra("plots", "jinja2", "matplotlib")
    if ocr and pdf is None:
        raise ConfigError("--ocr makes the PDF searchable: add --pdf FILE")
    if ocr:
        from flipdetect.outputs.ocr import check_tesseract

        check_tesseract(ocr)
    if resume and (is_stream or scores is not None):
        raise ConfigError("--resume continues a file: give --output a name, and no --scores or --from")

    # Light modules first: a wrong path or name is refused before the others are imported.
    from flipdetect.inference.resolve import resolve_model
    from flipdetect.sources.folder import find_inputs

    found = None if inputs is None else find_inputs(inputs)
    for problem in found.problems if found else ():
        logger.warning("%s: %s", problem.path, problem.reason)
    if found is not None and not found.videos and not events:
        film_outputs = {
            "--stills": stills, "--pdf": pdf, "--report": report, "--preview": preview, "--timeline": timeline or None,
            "--pages": pages, "--start": start, "--end": end,
        }  # fmt: skip
        for name, value in film_outputs.items():
            if value is not None:
                raise ConfigError(f"{name} needs films; if the pictures are ordered frames of films, add --events")
    path = resolve_model(model)
    if scores is not None and not scores.is_file():
        raise DataError(f"predictions {scores} cannot be read: no such file; correct the path")

    from flipdetect.inference.load import load_model
    from flipdetect.inference.onnx_model import file_digest
    from flipdetect.inference.score import Predictor
    from flipdetect.inference.settings import chosen_settings
    from flipdetect.outputs.predictions import PredictionWriter
    from flipdetect.pipeline.pictures import score_frames

    if found is not None and scores is None and path.parent != FOLDER:  # the pretrained ones are classifiers
        from flipdetect.inference.detector import Detector
        from flipdetect.inference.load import load_trained

        trained = load_trained(path, engine.value, device.value, threads=1)
        if isinstance(trained, Detector):
            raise typer.Exit(_find_boxes(ctx, trained, found, None if is_stream else output, threshold, strict=strict))
    clip_threshold = chosen_settings(path, event_settings, threshold).clip_threshold
    folder = Path() if is_stream else output.parent
    part_s = {"start_s": part[0], "end_s": part[1]}
    reading = {"rate_hz": rate, "stride": stride, "every_frame": every_frame, "hardware": hwaccel == Hardware.AUTO}
    films: list[FrameStream] = []
    job: FilmJob | None = None
    tables = sys.stderr if is_stream else sys.stdout  # they must not mix with rows on standard output
    with tempfile.TemporaryDirectory(prefix="flipdetect-") as spare, ExitStack() as locks:
        if sys.stderr.isatty():  # messages come above the bar
            from tqdm.contrib.logging import logging_redirect_tqdm

            locks.enter_context(logging_redirect_tqdm([logging.getLogger("flipdetect")]))
        if found is None or found.videos or events or scores is not None:  # pictures do without these modules
            from flipdetect.outputs.still_files import StillStyle
            from flipdetect.pipeline.extract_pages import ExtractSettings
            from flipdetect.pipeline.jobs import FilmJob, readable_films
            from flipdetect.pipeline.write_outputs import Outputs
            from flipdetect.sources.naming import NamePattern
            from flipdetect.sources.streams import folder_streams, video_streams

            settings = ExtractSettings.of_model(path, threshold, event_settings, batch_size)
            style = StillStyle(still_name, f".{still_format.value}", quality)
            outputs = Outputs(
                folder, stills, pdf, report, preview, timeline, style, edited, ocr, pages, page_mode.value
            )
            naming = NamePattern(one_film=True) if one_film else None
            films += readable_films(video_streams(found.videos, **reading, **part_s)) if found else []
            job = FilmJob(settings, outputs, Path(spare))
        unread = found is not None and len(films) < len(found.videos)
        if found and not films and not found.frames:
            raise typer.Exit(1)  # nothing is written of what is no film
        if scores is not None:
            if found is not None:
                films += folder_streams(found.frames, found.root, fps, naming, **part_s)
            _lock(locks, folder / "flips.json", stills, pages, pdf, report, preview)
            assert job is not None
            job.run_on_scores(scores, fps, films, part)
            raise typer.Exit(max(_finish_films(job, tables, strict=strict), int(unread)))

        assert found is not None
        pictures = [] if events else found.frames
        # Films take the 8-bit model. Single frames take threads that decode and score: that keeps all cores busy.
        load = partial(load_model, path, engine.value, device.value)
        film_model = load(fast=True) if films or events else None
        frame_model = load(threads=1) if pictures else None
        chosen = film_model or frame_model
        assert chosen is not None
        limit = chosen.threshold if threshold is None else threshold
        logger.info("Model: %s (threshold %.3f, %s)", chosen.path, limit, chosen.runs_on)
        run = {
            "model": file_digest(chosen.path) if chosen.path.is_file() else chosen.path,
            "--threshold": f"{limit:.9g}",
            "--rate": rate,
            "--stride": stride,
            "--every-frame": every_frame,
            "--hwaccel": hwaccel.value,
            "--fps": fps,
            "--start": part[0],
            "--end": part[1],
        }
        flips = folder / "flips.json" if film_model is not None else None
        _lock(locks, None if is_stream else output, flips, stills, pages, pdf, report, preview)
        writer = PredictionWriter(output, sys.stdout, resume=resume, run=run)
        frame_scores: list[FrameScore] = []
        interrupted = False
        try:
            with writer:
                if film_model is not None:
                    assert job is not None
                    if events:
                        named = naming or film_model.naming
                        films += folder_streams(found.frames, found.root, fps, named, **part_s)
                    job.run(films, film_model, writer)
                if frame_model is not None:
                    score_frames(Predictor(frame_model, limit, batch_size), pictures, found.root, writer, frame_scores)
        except KeyboardInterrupt:
            interrupted = True
            count = f" after {len(frame_scores)} of {len(pictures)} frames" if pictures else ""
            rows = f" The rows are in {writer.part_path}; --resume continues." if writer.part_path else ""
            logger.warning("Interrupted%s. What was found so far is written.%s", count, rows)
        written = [writer.output] if writer.output is not None and not interrupted else []
        status = _finish_films(job, tables, written, strict=strict) if job and job.results else 0
        status = max(status, int(unread), int(strict and bool(found.problems)))
        if interrupted:
            raise typer.Exit(INTERRUPTED)
        if frame_model is not None:
            failed = _print_frames(frame_scores, frame_model.classes.positive, clip_threshold, tables)
            status = max(status, int(strict and failed))
            if job is None or not job.results:
                _name_files(written)
    raise typer.Exit(status)


def _find_boxes(
    ctx: typer.Context,
    detector: Detector,
    found: FoundInputs,
    output: Path | None,
    threshold: float | None,
    *,
    strict: bool,
) -> int:
    """Find the objects in pictures, and write tables and drawn pictures; the table alone to standard output if None.

    Returns:
        The exit status.
    """
    from flipdetect.outputs.box_files import print_box_table
    from flipdetect.pipeline.detect_boxes import BoxFinder, write_boxes
    from flipdetect.progress import progress_bar

    for param in ctx.command.params:
        source = ctx.get_parameter_source(str(param.name))
        if param.name not in FOR_DETECTORS and source is not None and source.name == "COMMANDLINE":
            raise ConfigError(
                f"{param.opts[0]} has no meaning with {detector.path}, which is a detector of objects in pictures; "
                "leave it out, or choose another --model"
            )
    for film in found.videos:
        reason = "is a film, and a detector takes pictures (JPEG, PNG, WebP, BMP); take frames out of it, e.g. with"
        logger.warning("%s %s: ffmpeg -i %s frames/%%06d.jpg", film, reason, film.name)
    drawn = None if output is None else output.with_suffix("")
    # Pictures that an earlier run has drawn may lie below the folder that is searched.
    files = [file for file in found.frames if drawn is None or not file.resolve().is_relative_to(drawn.resolve())]
    if not files:
        raise ConfigError(f"there is no picture among the inputs, and {detector.path} finds boxes in pictures alone")
    finder = BoxFinder(detector, detector.threshold if threshold is None else threshold, drawn)
    logger.info("Model: %s (threshold %.3f, %s)", detector.path, finder.threshold, detector.runs_on)
    pictures: list[DetectionResult] = []
    interrupted = False
    with ExitStack() as locks:
        _lock(locks, output)
        try:
            with progress_bar(finder.find(files, found.root), total=len(files), unit="picture", delay=1) as bar:
                for picture in bar:
                    pictures.append(picture)  # noqa: PERF402 - those found before Ctrl-C are kept
        except KeyboardInterrupt:
            interrupted = True
            logger.warning(
                "Interrupted after %d of %d pictures. What was found so far is written.", len(pictures), len(files)
            )
        if output is None:
            print_box_table(pictures, sys.stdout)
        else:
            _name_files([*write_boxes(pictures, finder, output), *([drawn] if drawn is not None else [])])
    failed = [picture for picture in pictures if picture.error]
    boxes = sum(len(picture.boxes) for picture in pictures)
    print(f"{boxes} boxes in {len(pictures) - len(failed)} pictures", file=sys.stderr if output is None else sys.stdout)
    if failed:
        logger.warning("%d of %d files could not be read: %s", len(failed), len(pictures), failed[0].error)
    return INTERRUPTED if interrupted else int(strict and bool(failed or found.problems or found.videos))


def _print_frames(scores: list[FrameScore], positive: str, clip_threshold: float | None, tables: TextIO) -> bool:
    """Print flips per video; returns whether a file could not be read."""
    from flipdetect.outputs.tables import flips_per_video, format_video_table

    summaries = flips_per_video(scores, positive)
    table = format_video_table(summaries, positive=positive, clip_threshold=clip_threshold)
    print(table, file=tables, flush=True)
    failed = [score for score in scores if score.probability is None]
    if failed:
        many, reason = len(failed), failed[0].error
        logger.warning("%d of %d files could not be read; the column error says why: %s", many, len(scores), reason)
    return bool(failed)


def _lock(locks: ExitStack, *paths: Path | None) -> None:
    """Keep other runs from writing the same files until the stack is closed."""
    for path in paths:
        if path is not None:
            if path.suffix and path.is_dir():
                raise ConfigError(f"{path} is a folder; choose another name for the file")
            locks.enter_context(alone(path))


def _name_files(paths: Sequence[Path]) -> None:
    if paths:
        logger.info("Written:\n%s", "\n".join(printable(str(path)) for path in paths))


def _finish_films(job: FilmJob, tables: TextIO, files: Sequence[Path] = (), *, strict: bool = False) -> int:
    """Write the outputs of films, print their table, and name all files; returns the exit status."""
    from flipdetect.outputs.tables import format_turn_table

    written = job.write()
    print(format_turn_table(written.results), file=tables, flush=True)
    _name_files([*files, *written.paths])
    if written.interrupted:
        return INTERRUPTED
    unread = any(not result.frames for result in written.results)
    unsound = any(result.problems or result.doubtful or result.numbering for result in written.results)
    return int(bool(written.failures) or unread or (strict and unsound))


def inference(args: Sequence[str] | None = None) -> int:
    """`python inference.py`: `flipdetect predict` with the option names of the first release; returns the exit status.

    `--folder-path` and `--video` name inputs, which are positional now; where turns are found, timeline.png is drawn.
    """
    words = [part for word in (sys.argv[1:] if args is None else args) for part in _words(word)]
    translated = [OLD_NAMES.get(word, word) for word in words if word not in OLD_INPUTS]
    if set(words) & set(FINDS_TURNS):
        translated.append("--timeline")
    from flipdetect.cli.main import main

    return main(["predict", *translated])


def _words(word: str) -> list[str]:
    """`--folder-path=frames/` as two words; anything else as it is."""
    name, equals, value = word.partition("=")
    return [name, value] if equals and name in (*OLD_INPUTS, *OLD_NAMES, *FINDS_TURNS) else [word]
