"""`flipdetect render`: labelled clips of page turns for training, or a long recording with known turns."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from flipdetect.cli.options import Seed

logger = logging.getLogger(__name__)


def render(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Write a data set of short clips.")
    ] = None,
    recording: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the frames and tables of a long recording.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Write a contact sheet of random frames of the clips.")
    ] = None,
    recording_sheet: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Write a contact sheet of frames spread over the recording.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Frames on a contact sheet.")] = 40,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. Default: one per CPU.")] = None,
    seed: Seed = 0,
    height: Annotated[int, typer.Option(help="Long side of a frame in pixels.")] = 384,
    orientation: Annotated[str, typer.Option(help="portrait, landscape or mixed.")] = "portrait",
    aspect: Annotated[float, typer.Option(help="Short side over long side.", show_default="9/16")] = 9 / 16,
    sources: Annotated[int, typer.Option(help="Clips: number of books, each with desk, light and reader.")] = 40,
    clips_per_source: Annotated[int, typer.Option(help="Clips: of each book, half of them flips.")] = 16,
    frames_per_clip: Annotated[int, typer.Option(help="Clips: frames of each.")] = 3,
    margin: Annotated[
        float, typer.Option(help="Clips: least distance of a turning page's edge from rest, in page widths.")
    ] = 0.22,
    without: Annotated[str, typer.Option(help="Clips: parts to leave out, separated by commas.")] = "",
    spacing: Annotated[int, typer.Option(help="Clips: take every so many frames; 0 chooses them freely.")] = 0,
    index: Annotated[int, typer.Option(help="Recording: its number; each has a book and a reader of its own.")] = 0,
    seconds: Annotated[float, typer.Option(help="Recording: its length.")] = 180.0,
    turns: Annotated[int, typer.Option(help="Recording: completed turns in it.")] = 30,
    visits: Annotated[
        int, typer.Option(help="Recording: times that a hand comes and turns nothing; 0: as it happens.")
    ] = 0,
    fps: Annotated[float, typer.Option(help="Recording: frames per second.")] = 10.0,
    pace: Annotated[str, typer.Option(help="Recording: slow, normal, fast or mixed.")] = "normal",
) -> None:
    """Render page turns of books that do not exist: labelled clips for training, or a long recording with known turns.

    Give at least one of --output, --recording, --sheet and --recording-sheet. An interrupted rendering continues when
    the same command is run again.

    Examples: flipdetect render --output data/embedded; flipdetect render --recording book --seconds 60 --turns 12
    """
    if not (output or recording or sheet or recording_sheet):
        raise typer.BadParameter("nothing to render; give --output FOLDER, --recording FOLDER or --sheet FILE.png")
    from flipdetect.synth import RecordingConfig, SynthConfig, render_dataset, render_recording
    from flipdetect.synth.writers import contact_sheet, write_sheet
    from flipdetect.synth.writers import recording_sheet as sheet_of_recording

    try:
        if output or sheet:
            clips = SynthConfig(
                seed=seed, sources=sources, clips_per_source=clips_per_source, frames_per_clip=frames_per_clip,
                height=height, orientation=orientation, aspect=aspect, margin=margin, without=without, spacing=spacing,
            )  # fmt: skip
            if sheet:
                write_sheet(sheet, contact_sheet(clips, count))
            if output:
                print(render_dataset(output, clips, workers=workers))
        if recording or recording_sheet:
            book = RecordingConfig(
                seed=seed, index=index, seconds=seconds, turns=turns, height=height, orientation=orientation,
                aspect=aspect, fps=fps, pace=pace, visits=visits,
            )  # fmt: skip
            if recording_sheet:
                write_sheet(recording_sheet, sheet_of_recording(book, count))
            if recording:
                print(render_recording(recording, book, workers=workers))
    except KeyboardInterrupt:
        logger.info("interrupted; run the same command again to continue")
        raise
