"""The pages of a film's stills: cut out, made flat, and written as JPEG files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage

from flipdetect.atomic import writing
from flipdetect.inference.onnx_model import open_session
from flipdetect.outputs.still_files import StillStyle, encode_still, still_name
from flipdetect.pages.cutting import cut_book
from flipdetect.pages.outline import Image as Picture
from flipdetect.pages.outline import PageNetwork
from flipdetect.records import BookPage, Still
from flipdetect.sources.folder import name_below
from flipdetect.zoo import PAGE_NETWORK


class PageFolder(NamedTuple):
    """Where pages go, and how.

    Attributes:
        folder: for the files.
        tables: the folder of the tables, from which files are named.
        mode: one of `pages.light.MODES`.
        style: names and quality of the files; always JPEG.
        video: put in front of the names; empty leaves it out.
    """

    folder: Path
    tables: Path
    mode: str
    style: StillStyle
    video: str = ""


def write_pages(
    stills: Sequence[tuple[Still, Path]], target: PageFolder, on_still: Callable[[int], None] = lambda done: None
) -> Iterator[tuple[Still, list[Path]]]:
    """Cut the pages out of stills, and write them as `..._left.jpg`, `..._right.jpg`, or `..._whole.jpg`.

    Args:
        stills: of one film in order, each with its picture's file.
        target: where they go.
        on_still: called with the number of stills read; each is read twice.

    Yields:
        each still with what is known of its pages, and the files written.

    Raises:
        ModelError: if the network that finds pages cannot be loaded.
        OSError: if a file cannot be written.
    """
    network = PageNetwork(open_session(PAGE_NETWORK, threads=1))
    style = replace(target.style, suffix=".jpg")
    pictures: list[Callable[[], Picture]] = [partial(_read, file) for _, file in stills]
    cut = cut_book(pictures, network, target.mode, on_still)
    for place, (pages, (still, _)) in enumerate(zip(cut, stills, strict=True), start=1):
        name = Path(still_name(still, place, len(stills), target.video, style)).stem
        known: list[BookPage] = []
        files = []
        for page, picture in pages:
            file = target.folder / f"{name}_{page.side}.jpg"
            if picture is not None:
                with writing(file) as part:
                    part.write_bytes(encode_still(picture, quality=style.quality))
                files.append(file)
            known.append(page if picture is None else replace(page, file=name_below(file, target.tables)))
        yield replace(still, pages=tuple(known)), files


def _read(file: Path) -> Picture:
    with PillowImage.open(file) as picture:
        return np.asarray(picture.convert("RGB"))
