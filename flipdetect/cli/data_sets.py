"""Commands about data sets: `flipdetect prepare` and `audit` labelled frames, `render` books that do not exist."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from flipdetect.cli.options import (
    IS_FILE,
    Data,
    Manifest,
    NamePatternText,
    NegativeClass,
    OneFilm,
    OptionalOutput,
    PositiveClass,
    Seed,
)
from flipdetect.records import ClassNames

logger = logging.getLogger(__name__)

PAIRS_SHOWN = 12
PICTURE_SIZE = (480, 270)
"""Height and width in pixels that pictures of frames cover at least."""
COLOURS = {"conflict": "#A01C6B", "copy": "#D55E00", "twice": "#5B8DB8"}


def prepare(
    source: Annotated[
        Path,
        Argument(exists=True, help="A zip or tar archive, a folder of frames, or a folder of videos in class folders."),
    ],
    target: Annotated[Path, Argument(help="The folder to create.")],
    positive: PositiveClass = "flip",
    negative: NegativeClass = "notflip",
    rate: Annotated[float, Option(help="Frames per second to take from videos.")] = 10.0,
    name_pattern: NamePatternText = None,
    one_film: OneFilm = False,
    labels: Annotated[
        list[str] | None,
        Option("--label", metavar="CAPTURED=CLASS", help="Class of a captured label, such as 0=closed; repeatable."),
    ] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace a target that is not empty.")] = False,
) -> None:
    """Turn an archive, labelled videos or a folder of frames into the layout that training reads.

    The target gets [training/|testing/]flip|notflip/VideoID_FrameNumber.jpg; what could not be used is listed in its
    problems.csv. An interruption leaves the target as it was.

    Examples: flipdetect prepare archive.zip data/monreader; flipdetect prepare my_videos/ data/mine --rate 5
    """
    from flipdetect.data.prepare import PROBLEMS_NAME, prepare_data
    from flipdetect.sources.naming import NamePattern

    if any("=" not in pair for pair in labels or ()):
        raise typer.BadParameter("--label takes a pair such as 0=closed", param_hint="--label")
    classes_of = dict(pair.split("=", 1) for pair in labels or ())
    if classes_of and not name_pattern:
        raise typer.BadParameter("--label needs --name-pattern with the group label: what it captures has a class")
    if strange := set(classes_of.values()) - {positive, negative}:
        raise typer.BadParameter(f"--label gives the class {min(strange)!r}; the classes are {positive} and {negative}")
    index = prepare_data(
        source,
        target,
        classes=ClassNames(negative=negative, positive=positive),
        pattern=NamePattern(name_pattern, classes_of or None, one_film) if name_pattern or one_film else None,
        rate=rate,
        overwrite=overwrite,
    )
    print(index.summary())
    if index.problems:
        print(f"  all {len(index.problems):,} are listed in {target / PROBLEMS_NAME}")


Fraction = Annotated[float, Option(min=0, max=1, help="Share of the frames, of a split drawn here.")]


def audit(
    data: Data,
    output: OptionalOutput = None,
    manifest: Manifest = None,
    split_file: Annotated[
        Path | None, Option(**IS_FILE, help="A splits.csv. Default: the split that training would draw.")
    ] = None,
    use_supplied_test: Annotated[
        bool, Option("--use-supplied-test", help="The testing/ folder of the data set is the test split.")
    ] = False,
    group_by: Annotated[
        Literal["auto", "video", "source"], Option(help="What a split drawn here must not divide.")
    ] = "auto",
    val_fraction: Fraction = 0.15,
    test_fraction: Fraction = 0.15,
    split_seed: Annotated[int, Option(help="Seed of a split drawn here.")] = 0,
    name_pattern: NamePatternText = None,
    one_film: OneFilm = False,
    strict: Annotated[bool, Option("--strict", help="Exit with status 1 if there is a fault.")] = False,
    positive: PositiveClass = "flip",
    negative: NegativeClass = "notflip",
    cache_dir: Annotated[Path, Option(help="Cache folder of training, for thumbnails.")] = Path("data/cache"),
    no_cache: Annotated[bool, Option("--no-cache", help="Keep no thumbnails.")] = False,
    workers: Annotated[int | None, Option(min=1, help="Decoding threads. Default: one per core.")] = None,
) -> None:
    """Find leaks between training, validation and test, copied pictures and wrong labels.

    Without --split-file, audits the split that `flipdetect train` would draw with the same settings. Reads every frame
    once, scaled down. --output FOLDER writes audit.json, pairs.csv and pairs.png, a picture of the worst pairs.
    """
    from flipdetect.data.audit.audit_report import audit_text, write_audit
    from flipdetect.data.audit.findings import audit_frames, worst_pairs
    from flipdetect.data.grouped_splits import split_records
    from flipdetect.data.index import index_frames
    from flipdetect.data.splits import read_split
    from flipdetect.sources.naming import NamePattern

    classes = ClassNames(negative, positive)
    naming = NamePattern(name_pattern, one_film=one_film) if name_pattern or one_film else None
    index = index_frames(data, classes=classes, pattern=naming, manifest=manifest, check=False)
    logger.info("%s", index.summary())
    if split_file is not None:
        split = read_split(split_file, index.records, index.root, classes)
    else:
        split = split_records(
            index.records,
            classes=classes,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
            group_by=group_by,
            seed=split_seed,
            use_supplied_test=use_supplied_test,
        )
    found = audit_frames(split, cache_dir=None if no_cache else cache_dir, workers=workers)
    print(audit_text(found))
    if output is not None:
        write_audit(found, output, index.root)
        from flipdetect.outputs.plots.canvas import INK, save_figure
        from flipdetect.outputs.plots.frames import Tile, plot_tiles
        from flipdetect.sources.image import decode_frame

        tiles = []
        for pair in worst_pairs(found.findings, PAIRS_SHOWN):
            pictures, captions, colour = [], [], COLOURS[pair.kind]
            for record, name in zip((pair.first, pair.second), pair.splits, strict=True):
                pictures.append(decode_frame(record.path, min_size=PICTURE_SIZE))
                source = [f"source {record.source}"] if record.source else []
                lines = [f"{name}, {record.label}", *source, f"video {record.video}", record.path.name]
                captions.append([(line, INK) for line in lines])
            title = f"{pair.kind}: differ by {pair.difference:.1f} grey levels"
            tiles.append(Tile(pictures, captions, (title, colour), colour))
        title = f"{len(tiles)} of {len(found.findings):,} pairs" if tiles else "Pairs of frames"
        save_figure(plot_tiles(tiles, title, empty=f"{title}: nothing to show"), output / "pairs.png")
        logger.info("Written: audit.json, pairs.csv and pairs.png in %s", output)
    if strict and found.faults:
        raise typer.Exit(1)


def render(
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="FOLDER", help="Write a data set of short clips.")
    ] = None,
    recording: Annotated[
        Path | None, Option(metavar="FOLDER", help="Write the frames and tables of a long recording.")
    ] = None,
    sheet: Annotated[
        Path | None,
        Option(metavar="PNG", help="Write a contact sheet of the clips; with --recording alone, of the recording."),
    ] = None,
    count: Annotated[int, Option(min=1, help="Frames on a contact sheet.")] = 40,
    workers: Annotated[int | None, Option(min=1, help="Processes. Default: one per CPU.")] = None,
    seed: Seed = 0,
    height: Annotated[int, Option(help="Long side of a frame in pixels.")] = 384,
    orientation: Annotated[str, Option(help="portrait, landscape or mixed.")] = "portrait",
    scenes: Annotated[str, Option(help="desk, or any: also books held up, single pages, notebooks ...")] = "desk",
    aspect: Annotated[float, Option(help="Short side over long side.", show_default="9/16")] = 9 / 16,
    sources: Annotated[int, Option(help="Clips: number of books, each with desk, light and reader.")] = 40,
    clips_per_source: Annotated[int, Option(help="Clips: of each book, half of them flips.")] = 16,
    frames_per_clip: Annotated[int, Option(help="Clips: frames of each.")] = 3,
    margin: Annotated[
        float, Option(help="Clips: least distance of a turning page's edge from rest, in page widths.")
    ] = 0.22,
    index: Annotated[int, Option(help="Recording: its number; each has a book and a reader of its own.")] = 0,
    seconds: Annotated[float, Option(help="Recording: its length.")] = 180.0,
    turns: Annotated[int, Option(help="Recording: completed turns in it.")] = 30,
    visits: Annotated[int, Option(help="Recording: times that a hand comes and turns nothing; 0: as it happens.")] = 0,
    fps: Annotated[float, Option(help="Recording: frames per second.")] = 10.0,
) -> None:
    """Render page turns of books that do not exist: labelled clips for training, or a long recording with known turns.

    Give at least one of --output, --recording and --sheet. An interrupted rendering continues when the same command is
    run again.

    Examples: flipdetect render --output data/embedded; flipdetect render --recording book --seconds 60 --turns 12
    """
    if not (output or recording or sheet):
        raise typer.BadParameter("nothing to render; give --output FOLDER, --recording FOLDER or --sheet FILE.png")
    if sheet is not None and sheet.suffix.lower() != ".png":
        raise typer.BadParameter(f"a contact sheet is written as .png, got {sheet}")
    from flipdetect.synth import RecordingConfig, SynthConfig, render_dataset, render_recording, sample_frames

    clips = book = None
    if output or not recording:
        clips = SynthConfig(
            seed=seed, sources=sources, clips_per_source=clips_per_source, frames_per_clip=frames_per_clip,
            height=height, orientation=orientation, aspect=aspect, margin=margin, scenes=scenes,
        )  # fmt: skip
    if recording:
        book = RecordingConfig(
            seed=seed, index=index, seconds=seconds, turns=turns, height=height, orientation=orientation, scenes=scenes,
            aspect=aspect, fps=fps, visits=visits,
        )  # fmt: skip
    try:
        if sheet and (shown := clips or book):
            from flipdetect.outputs.plots.canvas import save_figure
            from flipdetect.outputs.plots.frames import plot_batch

            save_figure(plot_batch(*sample_frames(shown, count)), sheet)
        if output and clips:
            print(render_dataset(output, clips, workers=workers))
        if recording and book:
            print(render_recording(recording, book, workers=workers))
    except KeyboardInterrupt:
        logger.info("interrupted; run the same command again to continue")
        raise
