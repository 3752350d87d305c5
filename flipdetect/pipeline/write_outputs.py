"""The outputs of films: stills, pages, PDF, tables, timeline, report and preview."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from flipdetect.atomic import writing
from flipdetect.errors import FlipdetectError
from flipdetect.outputs.flips import write_flips_csv, write_flips_json
from flipdetect.outputs.html_report import write_report
from flipdetect.outputs.ocr import PageText, add_text_layers, read_text
from flipdetect.outputs.preview import HEIGHTS, preview_rate, write_preview
from flipdetect.outputs.still_files import StillStyle, file_stem, set_aside, still_name, write_pdf
from flipdetect.outputs.tables import clock
from flipdetect.pipeline.extract_pages import PageImages
from flipdetect.pipeline.page_numbers import PrintedNumber, candidates, gaps, name_pages, page_numbers
from flipdetect.pipeline.write_pages import PageFolder, write_pages
from flipdetect.progress import JobProgress
from flipdetect.records import Still, VideoResult
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import usable_cores
from flipdetect.sources.streams import FrameStream, Image
from flipdetect.stills.repeats import kept

logger = logging.getLogger(__name__)

STILL, TEXT, PAGES, DRAWING, PREVIEW_S = 40.0, 400.0, 30.0, 150.0, 10.0
"""Work relative to that of a frame read: an image fetched, its text, half of cutting out its pages, a drawing or
report, a second of preview."""


@dataclass(frozen=True)
class Outputs:
    """What to write besides predictions.csv.

    Attributes:
        folder: where flips.csv, flips.json and timelines go; None writes no tables and no timelines.
        stills: folder for one JPEG per spread; None for none.
        pdf: a document of these images, or of the pages where there are any; None for none.
        ocr: Tesseract's names of the languages whose text is put into the document, joined by `+`; empty for no text.
        report: an HTML file; None for none.
        preview: an annotated film, .mp4 or .gif; None for none.
        timeline: whether to draw timeline.png.
        style: how stills are named and encoded.
        edited: a flips.csv that a person has edited: it is not written over.
        pages: folder for the flat pages of the stills; None for none.
        page_mode: "colour", "grey" or "bw": how they are written.
    """

    folder: Path | None = None
    stills: Path | None = None
    pdf: Path | None = None
    report: Path | None = None
    preview: Path | None = None
    timeline: bool = False
    style: StillStyle = field(default_factory=StillStyle)
    edited: Path | None = None
    ocr: str = ""
    pages: Path | None = None
    page_mode: str = "colour"

    @property
    def needs_images(self) -> bool:
        """Whether images of the stills are needed."""
        return self.timeline or any(path is not None for path in (self.stills, self.pdf, self.report, self.pages))

    @property
    def needs_full_size(self) -> bool:
        """Whether they are needed in full size."""
        return any(path is not None for path in (self.stills, self.pdf, self.pages))


@dataclass
class Written:
    """What became of the outputs.

    Attributes:
        results: what was found in each film, with what was read in the images.
        paths: what was written: files, and the folder of the stills.
        failures: what could not be written, and why.
        interrupted: whether Ctrl-C came before all was written.
    """

    results: list[VideoResult] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    interrupted: bool = False

    def attempt(self, path: Path, write: Callable[[Path], None]) -> None:
        """Write one file; a failure is logged and noted, and the other outputs go on."""
        try:
            write(path)
        except (FlipdetectError, OSError) as error:
            self.fail(str(error))
        except Exception as error:  # whatever an encoder raises over one film must not take the rest with it
            self.fail(f"{path} could not be made from these frames ({type(error).__name__}: {error})")
        else:
            self.paths.append(path)

    def fail(self, reason: str) -> None:
        """Log and note a failure."""
        logger.error("%s", reason)
        self.failures.append(reason)


class Film(NamedTuple):
    """What was found in a film; its frames, if they can be read again; and the images of its stills, if wanted."""

    result: VideoResult
    stream: FrameStream | None = None
    images: PageImages | None = None


class _PdfPage(NamedTuple):
    image: Path
    video: str
    spread: int


def write_outputs(
    films: Sequence[Film], outputs: Outputs, progress: JobProgress | None = None, *, several: bool = False
) -> Written:
    """Write all that is asked for; what cannot be written is noted, and the rest goes on.

    Names of files tell films apart if there are `several`, or more than one here.
    """
    written = Written()
    try:
        several = several or len(films) > 1
        _write_outputs(films, outputs, written, progress or JobProgress(disable=True), several=several)
    except KeyboardInterrupt:
        written.interrupted = True
        there = ", ".join(map(str, written.paths)) or "nothing"
        written.fail(f"interrupted while outputs were written; complete are: {there}")
    return written


def _write_outputs(
    films: Sequence[Film], outputs: Outputs, written: Written, progress: JobProgress, *, several: bool
) -> None:
    results = written.results
    results += [film.result for film in films]
    for result, _, images in films:
        for failure in () if images is None else images.failures:
            written.fail(failure)
        if outputs.needs_full_size and result.stills and images is None:
            written.fail(f"{result.video}: the film is not at {result.source}, so there are no images of it")
    pages: list[_PdfPage] = []
    names: dict[tuple[str, int], str] = {}
    try:
        for aside_of in {outputs.stills, outputs.pages} - {None}:
            assert aside_of is not None
            try:
                aside = set_aside(aside_of, outputs.style)
                if aside is not None:
                    logger.warning("%s held stills of an earlier run; they are in %s now", aside_of, aside)
            except OSError as error:
                written.fail(f"{aside_of}: the stills of an earlier run cannot be set aside: {error}")
        if outputs.stills is not None:
            progress.show("stills", "writing the stills")
        for place, film in enumerate(films):
            if outputs.needs_full_size and film.images is not None:
                spreads = _write_stills(film.result, film.images, outputs, written, names, several=several)
                if outputs.pages is not None:
                    results[place], spreads = _write_pages(film, outputs, written, progress, several=several)
                pages += spreads
        if outputs.stills is not None and names:
            written.paths.append(outputs.stills)
        if outputs.pages is not None and any(
            page.file for one in results for still in one.stills for page in still.pages
        ):
            written.paths.append(outputs.pages)
        if outputs.pdf is not None:
            with tempfile.TemporaryDirectory(prefix="flipdetect-") as folder:
                layers = {}
                if outputs.ocr:
                    texts = _read_texts(pages, outputs.ocr, Path(folder), written, progress)
                    layers = {image: text.layer for image, text in texts.items()}
                    results[:] = [_with_page_numbers(result, pages, texts) for result in results]
                progress.show("pdf", "writing the PDF")
                written.attempt(
                    outputs.pdf, partial(_write_pdf, pages=pages, results=results, layers=layers, folder=Path(folder))
                )
    finally:
        if outputs.folder is not None:
            table = outputs.folder / "flips.csv"
            if outputs.edited is None or table.resolve() != outputs.edited.resolve():
                written.attempt(table, lambda path: write_flips_csv(path, results, names))
            written.attempt(outputs.folder / "flips.json", lambda path: write_flips_json(path, results, names))
    thumbnails = {
        (result.video, still.spread): small
        for result, _, images in films
        for still in result.stills
        if images is not None and (small := images.thumbnail(still)) is not None
    }
    if outputs.timeline and outputs.folder is not None:
        from flipdetect.outputs.plots.timeline import draw_timeline

        progress.show("timeline", "drawing the timeline")
        for result in results:
            name = f"timeline_{file_stem(result.video)}.png" if several else "timeline.png"
            own = {number: small for (video, number), small in thumbnails.items() if video == result.video}
            written.attempt(outputs.folder / name, partial(_write_drawing, draw=partial(draw_timeline, result, own)))
    if outputs.report is not None:
        progress.show("report", "writing the report")
        written.attempt(outputs.report, lambda path: write_report(path, results, thumbnails))
    if outputs.preview is not None:
        for result, stream, _ in films:
            if stream is None:
                written.fail(f"{result.video}: the film is not at {result.source}, so there is no preview of it")
                continue
            stem = f"{outputs.preview.stem}_{file_stem(result.video)}" if several else outputs.preview.stem
            frames = stream.resample(preview_rate(outputs.preview, result.duration_s), (HEIGHTS[".mp4"], 1))
            shown = _shown(frames, f"preview {result.video}", progress)
            written.attempt(outputs.preview.with_stem(stem), partial(write_preview, frames=shown, result=result))


def _shown(frames: Iterable[tuple[float, Image]], part: str, progress: JobProgress) -> Iterator[tuple[float, Image]]:
    for time_s, image in frames:
        progress.show(part, "writing the preview", time_s * PREVIEW_S)
        yield time_s, image


def _write_stills(
    result: VideoResult,
    images: PageImages,
    outputs: Outputs,
    written: Written,
    names: dict[tuple[str, int], str],
    *,
    several: bool,
) -> list[_PdfPage]:
    """Write the stills of one film, and add their names as tables give them; returns the pages of the PDF."""
    chosen = [still for still in kept(list(result.stills)) if still.time_s is not None]
    pages = []
    for place, still in enumerate(chosen, start=1):
        image = images.full_size(still)
        if image is None:
            continue  # a failure of `images`
        pages.append(_PdfPage(image, result.video, still.spread))
        style, encoded = outputs.style, images.full_size(still, outputs.style.suffix)
        if outputs.stills is not None and encoded is not None:
            path = outputs.stills / still_name(still, place, len(chosen), result.video if several else "", style)
            try:
                _write_bytes(path, encoded.read_bytes())
                names[result.video, still.spread] = name_below(path, outputs.folder or Path())
            except (FlipdetectError, OSError) as error:
                written.fail(str(error))
    return pages


def _read_texts(
    pages: Sequence[_PdfPage], languages: str, folder: Path, written: Written, progress: JobProgress
) -> dict[Path, PageText]:
    """The text of each image that could be read."""
    found = {}
    with ThreadPoolExecutor(usable_cores()) as pool:
        started = {page.image: pool.submit(read_text, page.image, folder, languages) for page in pages}
        try:
            progress.plan("text", len(started) * TEXT)
            for place, (image, text) in enumerate(started.items()):
                progress.show("text", f"reading the text, {place + 1} of {len(started)}", place * TEXT)
                try:
                    found[image] = text.result()
                except FlipdetectError as error:
                    written.fail(str(error))
        finally:
            pool.shutdown(cancel_futures=True)
    return found


def _with_page_numbers(result: VideoResult, pages: Sequence[_PdfPage], texts: Mapping[Path, PageText]) -> VideoResult:
    images: dict[int, list[Path]] = {}
    for page in pages:
        if page.video == result.video:
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


def _write_pdf(
    path: Path,
    pages: Sequence[_PdfPage],
    results: Sequence[VideoResult],
    layers: Mapping[Path, Path],
    folder: Path,
) -> None:
    """The document of some images, with the layers of text of those that have one."""
    stills = {(result.video, still.spread): still for result in results for still in result.stills}
    labels, outline = [], []
    images_of: dict[tuple[str, int], list[Path]] = {}
    for page in pages:
        images_of.setdefault((page.video, page.spread), []).append(page.image)
    for page in pages:
        still, own = stills[page.video, page.spread], images_of[page.video, page.spread]
        film = f"{page.video}, " if len(results) > 1 else ""
        shown = still.page_numbers
        if len(shown) == len(own):  # an image of each page
            shown = (shown[own.index(page.image)],)
        numbers = "–".join(map(str, shown))
        what = name_pages(shown) if numbers else f"spread {page.spread}"
        labels.append(film + (numbers or (what if layers else str(page.spread))))
        outline.append(f"{film}{what} at {clock(still.time_s or 0.0, 1)}")
    title = ", ".join(Path(result.source).stem for result in results[:3])
    images = [page.image for page in pages]
    plain = folder / "plain.pdf" if layers else path
    write_pdf(plain, images, title, labels, outline)
    if layers:
        add_text_layers(plain, [layers.get(image) for image in images], path)


def _write_pages(
    film: Film, outputs: Outputs, written: Written, progress: JobProgress, *, several: bool
) -> tuple[VideoResult, list[_PdfPage]]:
    """Write the pages of one film's stills; returns what is known of them, and the pages of the PDF."""
    assert outputs.pages is not None
    assert film.images is not None
    video = film.result.video
    chosen = [(still, film.images.full_size(still)) for still in kept(list(film.result.stills))]
    stills = [(still, file) for still, file in chosen if file is not None]
    target = PageFolder(
        outputs.pages, outputs.folder or Path(), outputs.page_mode, outputs.style, video if several else ""
    )
    known: dict[int, Still] = {}
    pages: list[_PdfPage] = []

    def on_page(done: int) -> None:
        progress.plan(f"pages {video}", 2 * len(stills) * PAGES)
        progress.show(f"pages {video}", f"cutting out pages, {done} of {2 * len(stills)}", done * PAGES)

    try:
        for still, files in write_pages(stills, target, on_page):
            known[still.spread] = still
            pages += [_PdfPage(file, video, still.spread) for file in files]
            for page in still.pages:
                if page.flaw:
                    logger.warning("%s, spread %d: %s", video, still.spread, page.flaw)
    except (FlipdetectError, OSError) as error:
        written.fail(f"{video}: its pages cannot be written: {error}")
    now = tuple(known.get(still.spread, still) for still in film.result.stills)
    return replace(film.result, stills=now), pages


def _write_drawing(path: Path, draw: Callable[[], bytes]) -> None:
    _write_bytes(path, draw())


def _write_bytes(path: Path, content: bytes) -> None:
    with writing(path) as part:
        part.write_bytes(content)
