"""`flipdetect predict`: predictions.csv for frames; page turns and stills for films."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flipdetect.cli.options import BatchSize, Device, DeviceName, Engine, EngineName, Model, Resume, Threshold
from flipdetect.errors import ConfigError, DataError, require_extra

if TYPE_CHECKING:
    from flipdetect.pipeline.write_outputs import Outputs

OLD_NAMES = {"--save-stills": "--stills", "--checkpoint-path": "--model"}
OLD_INPUTS = ("--folder-path", "--video")
FINDS_TURNS = ("--video", "--events", "--scores")
FOR_FILMS = ("--stills", "--pdf", "--report", "--preview", "--timeline", "--pages", "--start", "--end")
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
        Path | None, typer.Option(metavar="FOLDER", help="The best image of each spread, full size.")
    ] = None,
    pages: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Left and right page of each spread apart, cropped and flat.")
    ] = None,
    page_mode: Annotated[
        Literal["colour", "grey", "bw"], typer.Option(help="Of --pages; bw is black and white.")
    ] = "colour",
    pdf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="These images, or the pages, as one document.")
    ] = None,
    ocr: Annotated[
        str,
        typer.Option(
            metavar="LANG",
            help="Make the PDF searchable and check the page numbers; Tesseract's languages: deu, deu+eng, ...",
        ),
    ] = "",
    report: Annotated[Path | None, typer.Option(metavar="HTML", help="Turns and spreads in one HTML file.")] = None,
    preview: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The film, small and annotated; .mp4 or .gif.")
    ] = None,
    timeline: Annotated[bool, typer.Option("--timeline", help="Draw timeline.png next to the table.")] = False,
    still_format: Annotated[Literal["jpg", "png", "webp"], typer.Option(help="Of --stills; png is lossless.")] = "jpg",
    quality: Annotated[int, typer.Option(min=1, max=100, help="Of JPEG and WebP images.")] = 95,
    still_name: Annotated[
        str,
        typer.Option(
            metavar="TEMPLATE",
            help="Names of --stills, without the suffix, made of {video}, {number}, {spread}, {time} and text.",
        ),
    ] = "{number}_{time}",
    start: Annotated[
        float | None,
        typer.Option(metavar="TIME", parser=_time, help="Look at films from this time on: seconds or m:ss."),
    ] = None,
    end: Annotated[
        float | None, typer.Option(metavar="TIME", parser=_time, help="Look at films up to this time.")
    ] = None,
    threshold: Threshold = None,
    events: Annotated[
        bool, typer.Option("--events", help="The pictures are ordered frames of films: detect turns.")
    ] = False,
    one_film: Annotated[
        bool, typer.Option("--one-film", help="The pictures are frames of one film, in whatever folders: detect turns.")
    ] = False,
    fps: Annotated[float, typer.Option(min=0.01, max=1e6, help="Frames per second of such films.")] = 30.0,
    rate: Annotated[
        float,
        typer.Option(
            min=0.01, max=1e6, help="Frames of a video scored per second; three times as many where a page is turned."
        ),
    ] = 10.0,
    stride: Annotated[
        int | None, typer.Option(min=1, max=10**9, help="Instead of --rate: score every so many frames of a video.")
    ] = None,
    every_frame: Annotated[
        bool, typer.Option("--every-frame", help="Decode videos whole, also between key frames that show the same.")
    ] = False,
    hwaccel: Annotated[
        Literal["none", "auto"], typer.Option(help="auto: videos are decoded by a graphics card, if it can.")
    ] = "none",
    scores: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Re-detect turns from a predictions.csv, without scoring again.")
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
        Path | None, typer.Option(metavar="YAML", help="How turns are detected. Default: as the model says.")
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
    given = [
        param.opts[0]
        for param in ctx.command.params
        if (source := ctx.get_parameter_source(str(param.name))) is not None and source.name == "COMMANDLINE"
    ]
    events = events or one_film
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

    # Light modules first: a wrong path or name is refused before the others are imported.
    from flipdetect.inference.resolve import resolve_model
    from flipdetect.sources.folder import find_inputs

    found = None if inputs is None else find_inputs(inputs)
    for problem in found.problems if found else ():
        logger.warning("%s: %s", problem.path, problem.reason)
    films = found is None or bool(found.videos) or events
    film_option = next((name for name in given if name in FOR_FILMS), None)
    if not films and film_option:
        raise ConfigError(f"{film_option} needs films; if the pictures are ordered frames of films, add --events")
    path = resolve_model(model)
    if scores is not None and not scores.is_file():
        raise DataError(f"predictions {scores} cannot be read: no such file; correct the path")

    from flipdetect.pipeline.requests import Request, run_request

    outputs: Outputs | None = None
    if films or scores is not None:  # pictures do without these modules
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
    raise typer.Exit(run_request(request))


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
