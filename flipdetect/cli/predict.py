"""`flipdetect predict`: predictions.csv for frames; page turns and stills for films."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer
from typer import Argument, Option

from flipdetect.cli.options import IS_FILE, BatchSize, Device, DeviceName, Engine, EngineName, Model, Resume, Threshold
from flipdetect.errors import ConfigError, printable, require_extra

if TYPE_CHECKING:
    from flipdetect.pipeline.predict_job import Outcome
    from flipdetect.pipeline.write_outputs import Outputs
    from flipdetect.records import DetectionResult, FrameScore

OLD_NAMES = {"--save-stills": "--stills", "--checkpoint-path": "--model"}
OLD_INPUTS = ("--folder-path", "--video")
FINDS_TURNS = ("--video", "--events", "--scores")
FOR_FILMS = ("--stills", "--pages", "--pdf", "--report", "--preview", "--timeline", "--start", "--end")
FOR_VIDEOS = ("--rate", "--stride", "--every-frame", "--hwaccel")
FOR_SCORING = ("--rate", "--stride", "--every-frame", "--engine", "--device", "--batch-size")
PARTS = {
    "--ocr": ("--pdf",),
    "--page-mode": ("--pages",),
    "--still-name": ("--stills", "--pages"),
    "--still-format": ("--stills",),
    "--quality": ("--stills", "--pages", "--pdf"),
}
"""Option -> those of which it says how: it needs one of them."""
FOR_DETECTORS = ("--model", "--output", "--threshold", "--engine", "--device", "--strict")
"""Options that mean something with a detector."""

logger = logging.getLogger(__name__)


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
        Argument(metavar="INPUTS...", help="Videos, pictures, folders, or patterns like 'films/*.mp4'."),
    ] = None,
    model: Model = None,
    output: Annotated[
        Path,
        Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Table with a row per frame, or folder for it; - for standard output.",
        ),
    ] = Path("predictions.csv"),
    stills: Annotated[
        Path | None, Option(metavar="FOLDER", file_okay=False, help="The best image of each spread, full size.")
    ] = None,
    pages: Annotated[
        Path | None,
        Option(metavar="FOLDER", file_okay=False, help="Left and right page of each spread apart, cropped and flat."),
    ] = None,
    page_mode: Annotated[Literal["colour", "grey", "bw"], Option(help="Of --pages; bw is black and white.")] = "colour",
    pdf: Annotated[Path | None, Option(metavar="FILE", help="These images, or the pages, as one document.")] = None,
    ocr: Annotated[
        str,
        Option(
            metavar="LANG",
            help="Make the PDF searchable and check the page numbers; Tesseract's languages: deu, deu+eng, ...",
        ),
    ] = "",
    report: Annotated[Path | None, Option(metavar="HTML", help="Turns and spreads in one HTML file.")] = None,
    preview: Annotated[Path | None, Option(metavar="FILE", help="The film, small and annotated; .mp4 or .gif.")] = None,
    timeline: Annotated[bool, Option("--timeline", help="Draw timeline.png next to the table.")] = False,
    still_format: Annotated[Literal["jpg", "png", "webp"], Option(help="Of --stills; png is lossless.")] = "jpg",
    quality: Annotated[int, Option(min=1, max=100, help="Of JPEG and WebP images.")] = 95,
    still_name: Annotated[
        str,
        Option(
            metavar="TEMPLATE",
            help="Names of --stills and --pages, without the suffix: of {video}, {number}, {spread}, {time} and text.",
        ),
    ] = "{number}_{time}",
    start: Annotated[
        float | None, Option(metavar="TIME", parser=_time, help="Where films begin: seconds or m:ss.")
    ] = None,
    end: Annotated[float | None, Option(metavar="TIME", parser=_time, help="Where they end.")] = None,
    threshold: Threshold = None,
    events: Annotated[bool, Option("--events", help="The pictures are ordered frames of films: detect turns.")] = False,
    one_film: Annotated[
        bool, Option("--one-film", help="The pictures are frames of one film, in whatever folders: detect turns.")
    ] = False,
    fps: Annotated[float, Option(min=0.01, max=1e6, help="Frames per second of such films.")] = 30.0,
    rate: Annotated[
        float,
        Option(
            min=0.01, max=1e6, help="Frames of a video scored per second; three times as many where a page is turned."
        ),
    ] = 10.0,
    stride: Annotated[
        int | None, Option(min=1, max=10**9, help="Instead of --rate: score every so many frames of a video.")
    ] = None,
    every_frame: Annotated[
        bool, Option("--every-frame", help="Decode all frames, also where nothing changes.")
    ] = False,
    hwaccel: Annotated[
        Literal["none", "auto"], Option(help="auto: videos are decoded by a graphics card, if it can.")
    ] = "none",
    scores: Annotated[
        Path | None, Option(metavar="CSV", **IS_FILE, help="Re-detect turns from a predictions.csv.")
    ] = None,
    edited: Annotated[
        Path | None,
        Option(
            "--from",
            metavar="CSV",
            **IS_FILE,
            help="Make stills, PDF and report again from a flips.csv that you have edited.",
        ),
    ] = None,
    event_settings: Annotated[
        Path | None, Option(metavar="YAML", **IS_FILE, help="How turns are detected. Default: as the model says.")
    ] = None,
    engine: Engine = EngineName.AUTO,
    device: Device = DeviceName.AUTO,
    batch_size: BatchSize = None,
    resume: Resume = False,
    strict: Annotated[
        bool, Option("--strict", help="Status 1 if a file could not be read, or spreads are in doubt.")
    ] = False,
) -> None:
    """Find page turns in films, or score single frames.

    Videos give flips.csv and flips.json besides the table of frames; of pictures, flips per video are printed. With a
    detector as --model, pictures give tables of boxes (.csv, .json, .coco.json), and a folder of boxes drawn.

    Examples: flipdetect predict book.mp4 --pdf book.pdf --stills pages/; flipdetect predict frames/
    """
    table = None if str(output) == "-" else output
    if table is not None and (table.is_dir() or not table.suffix):
        table /= "predictions.csv"
    if edited is not None and scores is None:
        scores = edited.parent / "predictions.csv"
        if not scores.is_file():
            raise ConfigError(f"--from {edited} needs the predictions.csv of the same run next to it; or give --scores")
    if not inputs and scores is None:
        raise typer.BadParameter("give films, pictures or folders; or --scores")
    if resume and (table is None or scores is not None):
        raise ConfigError("--resume continues a file: give --output a name, and no --scores or --from")
    part_s = (start or 0.0, math.inf if end is None else end)
    if part_s[0] >= part_s[1]:
        raise ConfigError(f"--end must be later than --start, got {part_s[1]:g} s and {part_s[0]:g} s")
    if preview is not None and preview.suffix.lower() not in (".mp4", ".gif"):
        raise ConfigError(f"a preview is written as .mp4 or .gif, got --preview {preview}")
    # Light modules first: a wrong path or name is refused before the others are imported.
    from flipdetect.inference.resolve import resolve_model
    from flipdetect.sources.folder import find_inputs

    found = None if inputs is None else find_inputs(inputs)
    for problem in found.problems if found else ():
        logger.warning("%s: %s", problem.path, problem.reason)
    events = events or one_film
    videos = found is not None and bool(found.videos)
    films = videos or events or scores is not None  # pictures with scores are frames of films
    given = _given_options(ctx, films=films, videos=videos, ordered=events, scored=scores is not None)
    if timeline or report is not None:
        require_extra("plots", "jinja2", "matplotlib")
    if ocr:
        from flipdetect.outputs.ocr import check_tesseract

        check_tesseract(ocr)
    path = resolve_model(model)
    from flipdetect.pipeline.predict_job import Request, run_request

    outputs: Outputs | None = None
    if films:  # pictures do without these modules
        from flipdetect.outputs.still_files import StillStyle
        from flipdetect.pipeline.write_outputs import Outputs

        style = StillStyle(still_name, f".{still_format}", quality)
        folder = Path() if table is None else table.parent
        outputs = Outputs(folder, stills, pdf, report, preview, timeline, style, edited, ocr, pages, page_mode)
    request = Request(
        found=found, model=path, engine=engine.value, device=device.value, batch_size=batch_size, output=table,
        outputs=outputs, threshold=threshold, event_settings=event_settings, scores=scores, events=events,
        one_film=one_film, fps=fps, part_s=part_s, resume=resume, strict=strict,
        reading={"rate_hz": rate, "stride": stride, "every_frame": every_frame, "hardware": hwaccel == "auto"},
        meaningless=[name for name in given if name.startswith("-") and name not in FOR_DETECTORS],
    )  # fmt: skip
    with ExitStack() as stack:
        if sys.stderr.isatty():  # messages come above the bar
            from tqdm.contrib.logging import logging_redirect_tqdm

            stack.enter_context(logging_redirect_tqdm([logging.getLogger("flipdetect")]))
        outcome = run_request(request)
    _print(outcome, sys.stderr if table is None else sys.stdout)
    if outcome.interrupted:
        raise KeyboardInterrupt
    raise typer.Exit(int(outcome.failed or (strict and outcome.unsound)))


def _print(outcome: Outcome, to: TextIO) -> None:
    """Print what was found, `to` where tables don't mix with rows on standard output."""
    from flipdetect.outputs.tables import flips_per_video, format_turn_table, format_video_table

    read: Sequence[FrameScore | DetectionResult] = outcome.pictures or ()
    if outcome.films:
        print(format_turn_table(outcome.films), file=to, flush=True)
    if outcome.pictures is not None:
        videos = flips_per_video(outcome.pictures, outcome.positive)
        print(format_video_table(videos, outcome.positive, outcome.clip_threshold), file=to, flush=True)
    if outcome.boxes is not None:
        from flipdetect.outputs.box_files import print_box_table

        read = outcome.boxes
        if to is sys.stderr:
            print_box_table(outcome.boxes, sys.stdout)
        boxes = sum(len(picture.boxes) for picture in outcome.boxes)
        print(f"{boxes} boxes in {sum(not picture.error for picture in read)} pictures", file=to)
    failed = [each.error for each in read if each.error]
    if failed:
        logger.warning("%d of %d files could not be read: %s", len(failed), len(read), failed[0])
    if outcome.paths:
        logger.info("Written:\n%s", "\n".join(printable(str(path)) for path in outcome.paths))


def _given_options(ctx: typer.Context, *, films: bool, videos: bool, ordered: bool, scored: bool) -> list[str]:
    """Names of the options that were given; one that means nothing for the inputs is refused.

    Args:
        films, videos: whether there are any among the inputs; films may be pictures in order.
        ordered: whether pictures are frames of films.
        scored: whether the scores are those of an earlier run.
    """
    given = [
        param.opts[0]
        for param in ctx.command.params
        if (source := ctx.get_parameter_source(str(param.name))) is not None and source.name == "COMMANDLINE"
    ]
    rules = [
        (FOR_FILMS, films, "needs films; if the pictures are ordered frames of films, add --events"),
        (FOR_SCORING, not scored, "has no meaning with --scores and --from, as nothing is scored; leave it out"),
        (FOR_VIDEOS, videos, "has a meaning for videos alone, and none was given; leave it out"),
        (("--fps",), ordered or scored, "is of pictures that are frames of films: add --events"),
    ]
    for part, wholes in PARTS.items():
        why = f"needs {' or '.join(wholes)}, without which it has no meaning"
        rules.append(((part,), not {*wholes}.isdisjoint(given), why))
    for options, has_meaning, why in rules:
        for name in given:
            if name in options and not has_meaning:
                raise ConfigError(f"{name} {why}")
    return given


def inference(args: Sequence[str] | None = None) -> int:
    """`python inference.py`: `flipdetect predict` with the option names of the first release; returns the exit status.

    `--folder-path` and `--video` name inputs, which are positional now; where turns are found, timeline.png is drawn.
    """
    words: list[str] = []
    for word in sys.argv[1:] if args is None else args:
        name, equals, value = word.partition("=")  # `--folder-path=frames/` is two words
        words += [name, value] if equals and name in (*OLD_INPUTS, *OLD_NAMES, *FINDS_TURNS) else [word]
    translated = [OLD_NAMES.get(word, word) for word in words if word not in OLD_INPUTS]
    if set(words) & set(FINDS_TURNS):
        translated.append("--timeline")
    from flipdetect.cli.main import main

    return main(["predict", *translated])
