"""Write what was found in films: tables, stills, PDF, timeline, report, preview. Each is written atomically."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from flipdetect.atomic import writing
from flipdetect.errors import FlipdetectError
from flipdetect.outputs.flips import write_flips_csv, write_flips_json
from flipdetect.outputs.pdf import write_pdf
from flipdetect.outputs.preview import HEIGHTS, preview_rate, write_preview
from flipdetect.outputs.report import write_report
from flipdetect.outputs.still_files import file_stem, still_name
from flipdetect.outputs.timeline import draw_timeline
from flipdetect.pipeline.page_images import PageImages
from flipdetect.records import VideoResult
from flipdetect.sources.folder import name_below
from flipdetect.sources.streams import FrameStream
from flipdetect.stills.repeats import kept

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outputs:
    """What to write besides predictions.csv.

    Attributes:
        folder: where flips.csv, flips.json and timelines go; None writes no tables and no timelines.
        stills: folder for one JPEG per spread; None for none.
        pdf: a document of these images; None for none.
        report: an HTML file; None for none.
        preview: an annotated film, .mp4 or .gif; None for none.
        timeline: whether to draw timeline.png.
    """

    folder: Path | None = None
    stills: Path | None = None
    pdf: Path | None = None
    report: Path | None = None
    preview: Path | None = None
    timeline: bool = False

    @property
    def needs_images(self) -> bool:
        """Whether images of the stills are needed."""
        return self.timeline or any(path is not None for path in (self.stills, self.pdf, self.report))

    @property
    def needs_full_size(self) -> bool:
        """Whether they are needed in full size."""
        return self.stills is not None or self.pdf is not None


@dataclass
class Written:
    """What became of the outputs.

    Attributes:
        paths: what was written: files, and the folder of the stills.
        failures: what could not be written, and why.
    """

    paths: list[Path] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def attempt(self, path: Path, write: Callable[[Path], None]) -> bool:
        """Write one file; a failure is logged and noted, and the other outputs go on."""
        try:
            write(path)
        except (FlipdetectError, OSError) as error:
            self.fail(str(error))
            return False
        self.paths.append(path)
        return True

    def fail(self, reason: str) -> None:
        """Log and note a failure."""
        logger.error("%s", reason)
        self.failures.append(reason)


def write_outputs(
    results: Sequence[VideoResult],
    outputs: Outputs,
    images: Mapping[str, PageImages] | None = None,
    streams: Mapping[str, FrameStream] | None = None,
) -> Written:
    """Write all that is asked for; what cannot be written is noted, and the rest goes on.

    Args:
        results: one per film.
        outputs: what to write.
        images: of the stills, by film; films without any have no pictures in the outputs.
        streams: by film, for previews.
    """
    images, streams = images or {}, streams or {}
    written = Written()
    for name in images:
        for failure in images[name].failures:
            written.fail(failure)
    for result in results:
        if outputs.needs_full_size and result.stills and result.video not in images:
            written.fail(f"{result.video}: the film is not at {result.source}, so there are no images of it")
    files: list[Path] = []
    names: dict[tuple[str, int], str] = {}
    several = len(results) > 1
    try:
        for result in results if outputs.needs_full_size else ():
            if result.video in images:
                files += _write_stills(result, images[result.video], outputs, written, names, several=several)
        if outputs.stills is not None and names:
            written.paths.append(outputs.stills)
        if outputs.pdf is not None:
            title = ", ".join(Path(result.source).stem for result in results[:3])
            written.attempt(outputs.pdf, lambda path: write_pdf(path, files, title=title))
    finally:
        if outputs.folder is not None:
            written.attempt(outputs.folder / "flips.csv", lambda path: write_flips_csv(path, results, names))
            written.attempt(outputs.folder / "flips.json", lambda path: write_flips_json(path, results, names))
    thumbnails = {
        (result.video, still.spread): small
        for result in results
        for still in result.stills
        if result.video in images and (small := images[result.video].thumbnail(still.spread)) is not None
    }
    if outputs.timeline and outputs.folder is not None:
        for result in results:
            name = f"timeline_{file_stem(result.video)}.png" if several else "timeline.png"
            own = {number: small for (video, number), small in thumbnails.items() if video == result.video}
            written.attempt(outputs.folder / name, partial(_write_bytes, content=draw_timeline(result, own)))
    if outputs.report is not None:
        written.attempt(outputs.report, lambda path: write_report(path, results, thumbnails))
    if outputs.preview is not None:
        for result in results:
            if result.video not in streams:
                written.fail(f"{result.video}: the film is not at {result.source}, so there is no preview of it")
                continue
            stem = f"{outputs.preview.stem}_{file_stem(result.video)}" if several else outputs.preview.stem
            write = partial(_write_preview, result=result, stream=streams[result.video])
            written.attempt(outputs.preview.with_stem(stem), write)
    return written


def _write_stills(
    result: VideoResult,
    images: PageImages,
    outputs: Outputs,
    written: Written,
    names: dict[tuple[str, int], str],
    *,
    several: bool,
) -> list[Path]:
    """Write the stills of one film, and add their names as tables give them; returns the images for the PDF."""
    chosen = [still for still in kept(list(result.stills)) if still.time_s is not None]
    files = []
    for place, still in enumerate(chosen, start=1):
        image = images.full_size(still)
        if image is None:
            continue  # a failure of `images`
        files.append(image)
        if outputs.stills is not None:
            path = outputs.stills / still_name(still, place, len(chosen), result.video if several else "")
            try:
                _write_bytes(path, image.read_bytes())
                names[result.video, still.spread] = name_below(path, outputs.folder or Path())
            except (FlipdetectError, OSError) as error:
                written.fail(str(error))
    return files


def _write_bytes(path: Path, content: bytes) -> None:
    with writing(path) as part:
        part.write_bytes(content)


def _write_preview(path: Path, result: VideoResult, stream: FrameStream) -> None:
    frames = stream.resample(preview_rate(path, result.duration_s), (HEIGHTS[".mp4"], 1))
    write_preview(path, frames, result)
