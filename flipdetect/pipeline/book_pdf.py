"""The PDF of a book: the text in its images, printed page numbers, and how readers name and find its pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from flipdetect.errors import FlipdetectError
from flipdetect.outputs.ocr import PageText, read_text
from flipdetect.outputs.tables import clock
from flipdetect.pages.surface import SIDES
from flipdetect.pipeline.page_numbers import PrintedNumber, candidates, gaps, name_pages, page_numbers
from flipdetect.progress import JobProgress
from flipdetect.records import WHOLE_FRAME, VideoResult
from flipdetect.sources.image import usable_cores

TEXT = 400.0
"""Work of reading the text of an image, relative to that of a frame read."""


class PdfPage(NamedTuple):
    """A page of the document: an image of a spread, or of its page on one side."""

    image: Path
    video: str
    spread: int
    side: str = ""


def read_texts(
    images: Sequence[Path], folder: Path, languages: str, progress: JobProgress, on_failure: Callable[[str], None]
) -> dict[Path, PageText]:
    """The text of each image that could be read; see `read_text`."""
    found = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        started = {image: pool.submit(read_text, image, folder, languages) for image in images}
        try:
            progress.plan("text", len(started) * TEXT)
            for place, (image, text) in enumerate(started.items()):
                progress.show("text", f"reading the text, {place + 1} of {len(started)}", place * TEXT)
                try:
                    found[image] = text.result()
                except FlipdetectError as error:
                    on_failure(str(error))
        finally:
            pool.shutdown(cancel_futures=True)
    return found


def with_page_numbers(result: VideoResult, pages: Sequence[PdfPage], texts: Mapping[Path, PageText]) -> VideoResult:
    """A film's result with the printed numbers in its images, and what they say of missing and doubled pages."""
    images: dict[int, list[Path]] = {}
    for page in pages:
        if page.video == result.video and page.side == WHOLE_FRAME:  # a page of it may be there, too
            images[page.spread] = [page.image]
        elif page.video == result.video:
            images.setdefault(page.spread, []).append(page.image)
    read = {
        spread: [  # one image of the spread, or one of each page
            PrintedNumber(found.value, (place + found.x) / len(own))
            for place, image in enumerate(own)
            for found in (candidates(texts[image].scattered) if image in texts else ())
        ]
        for spread, own in images.items()
    }
    numbers = dict(zip(read, page_numbers(list(read.values())), strict=True))
    times = [still.time_s or 0.0 for spread in read for still in result.stills if still.spread == spread]
    stills = tuple(replace(still, page_numbers=numbers.get(still.spread, ())) for still in result.stills)
    return replace(result, stills=stills, numbering=tuple(gaps(list(numbers.values()), times)))


def pdf_labels(
    pages: Sequence[PdfPage], results: Sequence[VideoResult], *, with_text: bool
) -> tuple[list[str], list[str]]:
    """The label and the bookmark of each page of the document: by printed numbers where they are known."""
    stills = {(result.video, still.spread): still for result in results for still in result.stills}
    labels, outline = [], []
    for page in pages:
        still = stills[page.video, page.spread]
        film = f"{page.video}, " if len(results) > 1 else ""
        shown = still.page_numbers
        if len(shown) == len(SIDES) and page.side in SIDES:
            shown = (shown[SIDES.index(page.side)],)
        numbers = "–".join(map(str, shown))
        side = f" {page.side}" if page.side in SIDES else ""
        what = name_pages(shown) if numbers else f"spread {page.spread}{side}"
        labels.append(film + (numbers or (what if with_text else f"{page.spread}{side}")))
        outline.append(f"{film}{what} at {clock(still.time_s or 0.0, 1)}")
    return labels, outline
