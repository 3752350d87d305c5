"""`flipdetect audit`: what a split shares between training, validation and test."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flipdetect.cli.options import Data, NamePatternText, NegativeClass, OneFilm, OptionalOutput, PositiveClass
from flipdetect.records import ClassNames, FrameRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flipdetect.data.audit.audit import Duplicate, FullAudit

logger = logging.getLogger(__name__)

PAIRS_SHOWN = 12
PICTURE_SIZE = (480, 270)
"""Height and width in pixels that pictures of frames cover at least."""
COLOURS = {"conflict": "#A01C6B", "copy": "#D55E00", "twice": "#5B8DB8"}


class GroupBy(StrEnum):
    """The unit that a split must not divide."""

    AUTO = "auto"
    VIDEO = "video"
    SOURCE = "source"


Fraction = Annotated[float, typer.Option(min=0, max=1, help="Share of the frames, of a split drawn here.")]


def audit(
    data: Data,
    output: OptionalOutput = None,
    manifest: Annotated[
        Path | None, typer.Option(help="CSV file path,label,video,frame,source that describes the data set.")
    ] = None,
    split_file: Annotated[
        Path | None, typer.Option(help="A splits.csv. Default: the split that training would draw.")
    ] = None,
    use_supplied_test: Annotated[
        bool, typer.Option("--use-supplied-test", help="The testing/ folder of the data set is the test split.")
    ] = False,
    group_by: Annotated[GroupBy, typer.Option(help="What a split drawn here must not divide.")] = GroupBy.AUTO,
    val_fraction: Fraction = 0.15,
    test_fraction: Fraction = 0.15,
    split_seed: Annotated[int, typer.Option(help="Seed of a split drawn here.")] = 0,
    name_pattern: NamePatternText = None,
    one_film: OneFilm = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with status 1 if there is a fault.")] = False,
    positive: PositiveClass = "flip",
    negative: NegativeClass = "notflip",
    cache_dir: Annotated[Path, typer.Option(help="Cache folder of training, for thumbnails.")] = Path("data/cache"),
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no thumbnails.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding threads. Default: one per core.")] = None,
) -> None:
    """Find leaks between training, validation and test, copied pictures and wrong labels.

    Without --split-file, audits the split that `flipdetect train` would draw with the same settings. Reads every frame
    once, scaled down. --output FOLDER writes audit.json, pairs.csv and pairs.png, a picture of the worst pairs.
    """
    from flipdetect.data.audit.audit import (
        audit_frames,
        audit_text,
        worst_pairs,
        write_audit_csv,
        write_audit_json,
    )
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
            group_by=group_by.value,
            seed=split_seed,
            use_supplied_test=use_supplied_test,
        )
    found = audit_frames(split, cache_dir=None if no_cache else cache_dir, workers=workers)
    print(audit_text(found))
    if output is not None:
        write_audit_json(found, output / "audit.json", index.root)
        write_audit_csv(found, output / "pairs.csv", index.root)
        _write_picture(found, worst_pairs(found.findings, PAIRS_SHOWN), output / "pairs.png")
        logger.info("Written: audit.json, pairs.csv and pairs.png in %s", output)
    if strict and found.faults:
        raise typer.Exit(1)


def _write_picture(found: FullAudit, pairs: Sequence[Duplicate], path: Path) -> None:
    from flipdetect.outputs.plots.canvas import save_figure
    from flipdetect.outputs.plots.frames import PicturePair, plot_pairs
    from flipdetect.sources.image import decode_frame

    def caption(record: FrameRecord, name: str) -> tuple[str, ...]:
        source = (f"source {record.source}",) if record.source else ()
        return (f"{name}, {record.label}", *source, f"video {record.video}", record.path.name)

    shown = [
        PicturePair(
            pictures=(
                decode_frame(pair.first.path, min_size=PICTURE_SIZE),
                decode_frame(pair.second.path, min_size=PICTURE_SIZE),
            ),
            captions=(caption(pair.first, pair.splits[0]), caption(pair.second, pair.splits[1])),
            title=f"{pair.kind}: differ by {pair.difference:.1f} grey levels",
            colour=COLOURS[pair.kind],
        )
        for pair in pairs
    ]
    title = f"{len(shown)} of {len(found.findings):,} pairs" if shown else "Pairs of frames"
    save_figure(plot_pairs(shown, title), path)
