"""`flipdetect prepare`: an archive, labelled videos or a folder of frames become a data set for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flipdetect.cli.options import NamePatternText, NegativeClass, OneFilm, PositiveClass


def prepare(
    source: Annotated[
        Path, typer.Argument(help="A zip or tar archive, a folder of frames, or a folder of videos in class folders.")
    ],
    target: Annotated[Path, typer.Argument(help="The folder to create.")],
    positive: PositiveClass = "flip",
    negative: NegativeClass = "notflip",
    rate: Annotated[float, typer.Option(help="Frames per second to take from videos.")] = 10.0,
    name_pattern: NamePatternText = None,
    one_film: OneFilm = False,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="CAPTURED=CLASS", help="Class of a captured label, such as 0=closed; repeatable."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a target that is not empty.")] = False,
) -> None:
    """Turn an archive, labelled videos or a folder of frames into the layout that training reads.

    The target gets [training/|testing/]flip|notflip/VideoID_FrameNumber.jpg; what could not be used is listed in its
    problems.csv. An interruption leaves the target as it was.

    Examples: flipdetect prepare archive.zip data/monreader; flipdetect prepare my_videos/ data/mine --rate 5
    """
    from flipdetect.data.prepare import PROBLEMS_NAME, prepare_data
    from flipdetect.records import ClassNames
    from flipdetect.sources.naming import NamePattern

    if any("=" not in pair for pair in labels or ()):
        raise typer.BadParameter("--label takes a pair such as 0=closed", param_hint="--label")
    classes_of = dict(pair.split("=", 1) for pair in labels or ())
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
