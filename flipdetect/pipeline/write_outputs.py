"""The outputs of films: stills, pages, PDF, tables, timeline, report and preview."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage

from flipdetect.atomic import writing
from flipdetect.errors import FlipdetectError
from flipdetect.outputs.flips import write_flips_csv, write_flips_json
from flipdetect.outputs.html_report import write_report
from flipdetect.outputs.ocr import add_text_layers
from flipdetect.outputs.preview import HEIGHTS, preview_rate, write_preview
from flipdetect.outputs.still_files import StillStyle, encode_still, file_stem, set_aside, still_name, write_pdf
from flipdetect.pages.cutting import cut_book
from flipdetect.pages.network import page_network
from flipdetect.pipeline.book_pdf import PdfPage, pdf_labels, read_texts, with_page_numbers
from flipdetect.pipeline.extract_pages import PageImages
from flipdetect.progress import JobProgress
from flipdetect.records import Still, VideoResult
from flipdetect.sources.folder import name_below
from flipdetect.sources.streams import FrameStream, Image
from flipdetect.stills.repeats import kept

logger = logging.getLogger(__name__)

STILL, PAGES, DRAWING, PREVIEW_S = 40.0, 30.0, 150.0, 10.0
"""Work relative to that of a frame read: an image fetched, half of cutting out its pages, a drawing or report, a second
of preview."""


@dataclass(frozen=True)
class Outputs:
    """What to write besides predictions.csv.

    Attributes:
        folder: where flips.csv, flips.json and timelines go; None writes no tables and no timelines.
        stills, pages: folders for one image per spread, and for the flat pages in them.
        pdf: a document of these images, or of the pages where there are any.
        preview: an annotated film, .mp4 or .gif.
        edited: a flips.csv that a person has edited: it is not written over.
        ocr: Tesseract's names of the languages whose text is put into the document, joined by `+`; empty for no text.
        page_mode: "colour", "grey" or "bw".
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
    def paths(self) -> list[Path]:
        """All that is written but timelines."""
        tables = None if self.folder is None else self.folder / "flips.json"
        wanted = (tables, self.stills, self.pages, self.pdf, self.report, self.preview)
        return [path for path in wanted if path is not None]

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


def write_outputs(
    films: Sequence[Film], outputs: Outputs, progress: JobProgress | None = None, *, several: bool = False
) -> Written:
    """Write all that is asked for; what cannot be written is noted, and the rest goes on.

    Names of files tell films apart if there are `several`, or more than one here.
    """
    several = several or len(films) > 1
    writer = _Writer(films, outputs, progress or JobProgress(disable=True), several)
    written = writer.written
    try:
        writer.write()
    except KeyboardInterrupt:
        written.interrupted = True
        there = ", ".join(map(str, written.paths)) or "nothing"
        written.fail(f"interrupted while outputs were written; complete are: {there}")
    return written


@dataclass
class _Writer:
    films: Sequence[Film]
    outputs: Outputs
    progress: JobProgress
    several: bool
    written: Written = field(default_factory=Written)
    names: dict[tuple[str, int], str] = field(default_factory=dict)
    """(video, spread) -> name of the still's file, as tables give it."""

    def write(self) -> None:
        """Write all outputs: images first, as tables name their files."""
        outputs, written = self.outputs, self.written
        written.results += [film.result for film in self.films]
        for result, _, images in self.films:
            for failure in () if images is None else images.failures:
                written.fail(failure)
            if outputs.needs_full_size and result.stills and images is None:
                written.fail(f"{result.video}: the film is not at {result.source}, so there are no images of it")
        try:
            pages = self._write_images() if outputs.needs_full_size else []
            if outputs.pdf is not None:
                with tempfile.TemporaryDirectory(prefix="flipdetect-") as folder:
                    self._write_pdf(outputs.pdf, pages, Path(folder))
        finally:
            if outputs.folder is not None:
                table, results, names = outputs.folder / "flips.csv", written.results, self.names
                if outputs.edited is None or table.resolve() != outputs.edited.resolve():
                    written.attempt(table, lambda path: write_flips_csv(path, results, names))
                written.attempt(outputs.folder / "flips.json", lambda path: write_flips_json(path, results, names))
        self._draw()

    def _write_images(self) -> list[PdfPage]:
        """Write stills and pages; returns the pages of the PDF."""
        outputs, written = self.outputs, self.written
        for folder in {outputs.stills, outputs.pages} - {None}:
            assert folder is not None
            try:
                aside = set_aside(folder, outputs.style)
                if aside is not None:
                    logger.warning("%s held stills of an earlier run; they are in %s now", folder, aside)
            except OSError as error:
                written.fail(f"{folder}: the stills of an earlier run cannot be set aside: {error}")
        if outputs.stills is not None:
            self.progress.show("stills", "writing the stills")
        pdf: list[PdfPage] = []
        for place, film in enumerate(self.films):
            if film.images is None:
                continue
            pages = self._write_stills(film.result, film.images)
            if outputs.pages is not None:
                written.results[place], pages = self._write_pages(film.result, film.images, outputs.pages)
            pdf += pages
        if outputs.stills is not None and self.names:
            written.paths.append(outputs.stills)
        cut = (page for one in written.results for still in one.stills for page in still.pages)
        if outputs.pages is not None and any(page.file for page in cut):
            written.paths.append(outputs.pages)
        return pdf

    def _write_stills(self, result: VideoResult, images: PageImages) -> list[PdfPage]:
        chosen = [still for still in kept(list(result.stills)) if still.time_s is not None]
        pages = []
        for place, still in enumerate(chosen, start=1):
            image = images.full_size(still)
            if image is None:
                continue  # a failure of `images`
            pages.append(PdfPage(image, result.video, still.spread))
            style = self.outputs.style
            encoded = images.full_size(still, style.suffix)
            if self.outputs.stills is not None and encoded is not None:
                name = still_name(still, place, len(chosen), result.video if self.several else "", style)
                path = self.outputs.stills / name
                try:
                    _write_bytes(path, encoded.read_bytes())
                    self.names[result.video, still.spread] = self._shown(path)
                except (FlipdetectError, OSError) as error:
                    self.written.fail(str(error))
        return pages

    def _write_pages(self, result: VideoResult, images: PageImages, folder: Path) -> tuple[VideoResult, list[PdfPage]]:
        """Cut the pages out of stills: `..._left.jpg`, `..._right.jpg`, or `..._whole.jpg`."""
        chosen = [(still, images.full_size(still)) for still in kept(list(result.stills))]
        stills = [(still, file) for still, file in chosen if file is not None]
        style, video = replace(self.outputs.style, suffix=".jpg"), result.video if self.several else ""
        known: dict[int, Still] = {}
        pdf: list[PdfPage] = []

        def on_still(done: int) -> None:  # each is read twice
            self.progress.plan(f"pages {result.video}", 2 * len(stills) * PAGES)
            words = f"cutting out pages, {done} of {2 * len(stills)}"
            self.progress.show(f"pages {result.video}", words, done * PAGES)

        try:
            network = page_network()
            readers = [lambda file=file: np.asarray(PillowImage.open(file).convert("RGB")) for _, file in stills]
            cut = cut_book(readers, network, self.outputs.page_mode, on_still)
            for place, (pages, (still, _)) in enumerate(zip(cut, stills, strict=True), start=1):
                name = Path(still_name(still, place, len(stills), video, style)).stem
                found = []
                for page, picture in pages:
                    if page.flaw:
                        logger.warning("%s, spread %d: %s", result.video, still.spread, page.flaw)
                    if picture is not None:
                        file = folder / f"{name}_{page.side}.jpg"
                        _write_bytes(file, encode_still(picture, quality=style.quality))
                        pdf.append(PdfPage(file, result.video, still.spread, page.side))
                        page = replace(page, file=self._shown(file))
                    found.append(page)
                known[still.spread] = replace(still, pages=tuple(found))
        except (FlipdetectError, OSError) as error:
            self.written.fail(f"{result.video}: its pages cannot be written: {error}")
        return replace(result, stills=tuple(known.get(still.spread, still) for still in result.stills)), pdf

    def _shown(self, path: Path) -> str:
        """A file as tables name it."""
        return name_below(path, self.outputs.folder or Path())

    def _write_pdf(self, path: Path, pages: Sequence[PdfPage], folder: Path) -> None:
        """The document, with the text that is read in its images."""
        layers: dict[Path, Path] = {}
        images = [page.image for page in pages]
        if self.outputs.ocr:
            texts = read_texts(images, folder, self.outputs.ocr, self.progress, self.written.fail)
            layers = {image: text.layer for image, text in texts.items()}
            self.written.results[:] = [with_page_numbers(one, pages, texts) for one in self.written.results]
        self.progress.show("pdf", "writing the PDF")
        labels, outline = pdf_labels(pages, self.written.results, with_text=bool(layers))
        title = ", ".join(Path(result.source).stem for result in self.written.results[:3])

        def write(path: Path) -> None:
            plain = folder / "plain.pdf" if layers else path
            write_pdf(plain, images, title, labels, outline)
            if layers:
                add_text_layers(plain, [layers.get(image) for image in images], path)

        self.written.attempt(path, write)

    def _draw(self) -> None:
        """Timelines, report and previews."""
        outputs, written, progress = self.outputs, self.written, self.progress
        thumbnails = {
            (result.video, still.spread): small
            for result, _, images in self.films
            for still in result.stills
            if images is not None and (small := images.thumbnail(still)) is not None
        }
        if outputs.timeline and outputs.folder is not None:
            from flipdetect.outputs.plots.timeline import draw_timeline

            progress.show("timeline", "drawing the timeline")
            for result in written.results:
                name = f"timeline_{file_stem(result.video)}.png" if self.several else "timeline.png"
                own = {number: small for (video, number), small in thumbnails.items() if video == result.video}

                def draw(path: Path, result: VideoResult = result, own: dict[int, Image] = own) -> None:
                    _write_bytes(path, draw_timeline(result, own))

                written.attempt(outputs.folder / name, draw)
        if outputs.report is not None:
            progress.show("report", "writing the report")
            written.attempt(outputs.report, lambda path: write_report(path, written.results, thumbnails))
        for result, stream, _ in self.films if outputs.preview is not None else ():
            assert outputs.preview is not None
            if stream is None:
                written.fail(f"{result.video}: the film is not at {result.source}, so there is no preview of it")
                continue
            stem = f"{outputs.preview.stem}_{file_stem(result.video)}" if self.several else outputs.preview.stem
            frames = stream.resample(preview_rate(outputs.preview, result.duration_s), (HEIGHTS[".mp4"], 1))
            shown = self._counted(frames, f"preview {result.video}")
            written.attempt(outputs.preview.with_stem(stem), partial(write_preview, frames=shown, result=result))

    def _counted(self, frames: Iterable[tuple[float, Image]], part: str) -> Iterator[tuple[float, Image]]:
        for time_s, image in frames:
            self.progress.show(part, "writing the preview", time_s * PREVIEW_S)
            yield time_s, image


def _write_bytes(path: Path, content: bytes) -> None:
    with writing(path) as part:
        part.write_bytes(content)
