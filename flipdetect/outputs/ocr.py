"""The text of pictures of pages, as the program Tesseract reads it: words, and an invisible layer for a PDF."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from flipdetect.atomic import writing
from flipdetect.errors import ConfigError, DataError, MissingExtraError, require_extra

PROGRAM = "tesseract"
LEAST_SIDE = 2400
"""Pictures with a shorter long side are enlarged: Tesseract wants letters some 20 pixels high."""
MOST_S = 300
WORD_LEVEL = "5"


@dataclass(frozen=True, slots=True)
class Word:
    """A word in a picture.

    Attributes:
        line: what identifies its line within the picture.
        x, y: its centre, as shares of the picture's width and height.
        confidence: 0 to 100.
    """

    text: str
    line: tuple[str, ...]
    x: float
    y: float
    confidence: float


@dataclass(frozen=True, slots=True)
class PageText:
    """What was read in a picture.

    Attributes:
        scattered: the words, page numbers included, without an order.
        layer: a PDF file with one page, of the picture's shape, that holds the text in reading order.
    """

    scattered: tuple[Word, ...]
    layer: Path


def check_tesseract(languages: str) -> None:
    """Check that text can be read and put into a PDF; `languages` are Tesseract's names, joined by `+`: "deu+lat".

    Raises:
        MissingExtraError: if Tesseract or pikepdf is not installed; with the line that installs it.
        ConfigError: if a language is not installed.
    """
    names = languages.split("+")
    packages = " ".join(f"tesseract-ocr-{name.replace('_', '-')}" for name in names)
    if shutil.which(PROGRAM) is None:
        raise MissingExtraError(
            f"--ocr needs the program Tesseract: run apt-get install tesseract-ocr {packages}, or brew install "
            "tesseract tesseract-lang"
        )
    require_extra("ocr", "pikepdf")
    listed = subprocess.run([PROGRAM, "--list-langs"], capture_output=True, text=True, check=False, timeout=MOST_S)
    known = [line.strip() for line in listed.stdout.splitlines()[1:]]
    missing = [name for name in names if name not in known]
    if missing:
        raise ConfigError(
            f"Tesseract has no language {missing[0]!r}, only {', '.join(known)}: choose one of these for --ocr, or run "
            f"apt-get install tesseract-ocr-{missing[0].replace('_', '-')}"
        )


def read_text(image: Path, folder: Path, languages: str) -> PageText:
    """Read the text of a picture.

    Args:
        image: a picture file; it is enlarged if it is small.
        folder: for temporary files and the layer, which are named like the picture.
        languages: that `check_tesseract` found.

    Raises:
        DataError: if Tesseract fails, or takes longer than `MOST_S` seconds.
    """
    base = folder / image.stem
    with Image.open(image) as picture:
        scale = LEAST_SIDE / max(picture.size)
        if scale > 1:
            size = (round(picture.width * scale), round(picture.height * scale))
            image = base.with_name(f"{base.name}.large.png")
            picture.resize(size, Image.Resampling.LANCZOS).save(image, compress_level=1)
    # The analysis of the layout, which the order needs, takes a number that stands alone for dirt; page numbers do.
    for options in (("-c", "textonly_pdf=1", "pdf"), ("--psm", "11", "tsv")):
        command = [PROGRAM, str(image), str(base), "-l", languages, "--dpi", "300", *options]
        try:
            # Several pictures are read at a time, each in one thread: that is quicker than one picture in several.
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=MOST_S,
                env={**os.environ, "OMP_THREAD_LIMIT": "1"}, errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise DataError(f"the text of {image.name} could not be read within {MOST_S} s") from None
        if done.returncode:
            raise DataError(f"Tesseract could not read {image.name}: {done.stderr.strip()[-200:] or done.returncode}")
    with base.with_name(f"{base.name}.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    width, height = (float(rows[0][side]) for side in ("width", "height"))  # the first row is the whole picture
    words = (
        Word(
            row["text"],
            (row["block_num"], row["par_num"], row["line_num"]),
            (float(row["left"]) + float(row["width"]) / 2) / width,
            (float(row["top"]) + float(row["height"]) / 2) / height,
            float(row["conf"]),
        )
        for row in rows
        if row["level"] == WORD_LEVEL and re.search(r"\S", row["text"] or "")
    )
    return PageText(tuple(words), base.with_name(f"{base.name}.pdf"))


def add_text_layers(plain: Path, layers: Sequence[Path | None], path: Path) -> None:
    """Write a PDF of pictures again, with the text under them; the same files make the same bytes.

    Args:
        layers: one for each page, None for none; see `PageText`.

    Raises:
        DataError: if it cannot be written.
    """
    import pikepdf

    with ExitStack() as files:
        document = files.enter_context(pikepdf.open(plain))
        for page, layer in zip(document.pages, layers, strict=True):
            if layer is not None:
                page.add_underlay(files.enter_context(pikepdf.open(layer)).pages[0], None)
        with writing(path) as part:
            document.save(part, deterministic_id=True)
