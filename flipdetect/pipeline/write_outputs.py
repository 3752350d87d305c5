"""What comes out of a film: tables, timeline, pages, PDF, report, preview. Each is written whole or not at all."""

from __future__ import annotations

import io
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from flipdetect.errors import FlipdetectError
from flipdetect.outputs.flips import write_flips_csv, write_flips_json
from flipdetect.outputs.pdf import write_pdf
from flipdetect.outputs.preview import GIF_FRAMES, PreviewWriter
from flipdetect.outputs.report import write_report
from flipdetect.outputs.still_files import file_stem, save_still, still_name
from flipdetect.outputs.timeline import draw_timeline
from flipdetect.pipeline.clips import Clip
from flipdetect.records import FrameScore, Still, VideoResult
from flipdetect.sources.folder import name_below
from flipdetect.stills.repeats import kept

logger = logging.getLogger(__name__)

Picture = npt.NDArray[np.uint8]
Key = tuple[str, int]

THUMBNAIL = 480
"""Longer side of thumbnails in pixels; the report embeds them, the timeline shrinks them further."""
PREVIEW_RATE_HZ = 10.0
PREVIEW_HEIGHT = 480
GIF_RATE_HZ = 4.0


@dataclass(frozen=True)
class Wanted:
    """What to write besides the predictions.

    Attributes:
        folder: where flips.csv, flips.json and timeline.png go.
        stills: folder of the pages, one picture per spread; None for none.
        pdf: document of the pages; None for none.
        report: HTML file; None for none.
        preview: annotated film, .mp4 or .gif; None for none.
    """

    folder: Path
    stills: Path | None = None
    pdf: Path | None = None
    report: Path | None = None
    preview: Path | None = None


@dataclass(frozen=True)
class Finding:
    """All that is known of a clip.

    Attributes:
        result: its turns and stills.
        scores: of its frames, in order of time.
        clip: to take pictures from; None if there are no pictures.
    """

    result: VideoResult
    scores: Sequence[FrameScore]
    clip: Clip | None


class Thumbnails(Mapping[Key, Picture]):
    """Small pictures of spreads, held as JPEG, so that those of a long film take little memory."""

    def __init__(self) -> None:
        self._held: dict[Key, bytes] = {}

    def add(self, key: Key, picture: Picture) -> None:
        """Shrink a picture (H, W, 3) uint8 RGB, and hold it."""
        ratio = THUMBNAIL / max(picture.shape[:2])
        if ratio < 1:
            size = (max(1, round(picture.shape[1] * ratio)), max(1, round(picture.shape[0] * ratio)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, format="JPEG", quality=88)
        self._held[key] = buffer.getvalue()

    def __getitem__(self, key: Key) -> Picture:
        return np.asarray(Image.open(io.BytesIO(self._held[key])))

    def __iter__(self) -> Iterator[Key]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)


def write_products(
    findings: Sequence[Finding], wanted: Wanted, step: Callable[[str], None] = lambda text: None
) -> list[Path]:
    """Write all that is wanted; what cannot be written is said, and the rest goes on.

    Args:
        findings: one per clip.
        wanted: what to write.
        step: told what is being done, for the user.

    Returns:
        What was written, for the user: files, and the folder of the stills.
    """
    writer = _Products(findings, wanted, step)
    # The tables come first, and again once pages have names: nothing may be lost while pictures are fetched.
    writer.tables({})
    with tempfile.TemporaryDirectory(prefix="flipdetect-") as spare:
        pages, paths = writer.pages(wanted.stills or (Path(spare) if wanted.pdf else None))
        if wanted.pdf is not None:
            writer.attempt(wanted.pdf, lambda path: write_pdf(path, pages, title=_title(findings)))
    if wanted.stills is not None:
        writer.tables(paths)
    writer.timelines()
    if wanted.report is not None:
        scores = {finding.result.video: finding.scores for finding in findings}
        results = [finding.result for finding in findings]
        writer.attempt(wanted.report, lambda path: write_report(path, results, scores, writer.thumbnails))
    if wanted.preview is not None:
        writer.previews(wanted.preview)
    return writer.written


def _title(findings: Sequence[Finding]) -> str:
    return ", ".join(Path(finding.result.source).stem for finding in findings[:3])


class _Products:
    def __init__(self, findings: Sequence[Finding], wanted: Wanted, step: Callable[[str], None]) -> None:
        self._findings = findings
        self._wanted = wanted
        self._step = step
        self.thumbnails = Thumbnails()
        self.written: list[Path] = []

    def attempt(self, path: Path, write: Callable[[Path], None]) -> None:
        """Write one file; if it cannot be, say so and go on."""
        self._step(path.name)
        try:
            write(path)
            if path not in self.written:
                self.written.append(path)
        except (FlipdetectError, OSError) as error:
            logger.error("%s", error)

    def tables(self, paths: Mapping[Key, str]) -> None:
        """flips.csv and flips.json, with the files of the stills that were saved."""
        results = [finding.result for finding in self._findings]
        self.attempt(self._wanted.folder / "flips.csv", lambda path: write_flips_csv(path, results, paths))
        self.attempt(self._wanted.folder / "flips.json", lambda path: write_flips_json(path, results, paths))

    def pages(self, folder: Path | None) -> tuple[list[Path], dict[Key, str]]:
        """Fetch the stills, save them if there is a folder for them, and hold small ones of all.

        Returns:
            The files in reading order, and the file of each spread, relative to where the tables are written to.
        """
        files: list[Path] = []
        paths: dict[Key, str] = {}
        several = sum(1 for finding in self._findings if finding.clip is not None) > 1
        for finding in self._findings:
            if finding.clip is None:
                continue
            names = self._names(finding.result, several)
            for still, picture in self._pictures(finding.clip, finding.result, in_full=folder is not None):
                key = (finding.result.video, still.spread)
                self.thumbnails.add(key, picture)
                if folder is not None and still.spread in names:
                    try:
                        files.append(save_still(folder, names[still.spread], picture))
                        paths[key] = name_below(files[-1], self._wanted.folder)
                    except (FlipdetectError, OSError) as error:
                        logger.error("%s", error)
        if self._wanted.stills is not None and files:
            self.written.append(self._wanted.stills)
        # Pictures come in the order of their times; a page that was seen twice may be kept from its second time.
        return sorted(files, key=lambda file: file.name) if not several else files, paths

    def _pictures(self, clip: Clip, result: VideoResult, *, in_full: bool) -> Iterator[tuple[Still, Picture]]:
        """The pictures of a clip's stills; one that cannot be fetched is said, and the rest goes on."""
        left = sorted((still for still in result.stills if still.time_s is not None), key=lambda still: still.spread)
        while left:
            self._step(f"page {left[0].spread} of {result.video}")
            try:
                for still, picture in clip.pictures(left, None if in_full else (THUMBNAIL, THUMBNAIL // 2)):
                    left = left[1:]
                    yield still, picture
                return
            except FlipdetectError as error:
                logger.error("spread %d: %s", left[0].spread, error)
                left = left[1:]

    def _names(self, result: VideoResult, several: bool) -> dict[int, str]:
        """Spread -> the name of its file, for those that are kept."""
        chosen = [still for still in kept(list(result.stills)) if still.time_s is not None]
        video = result.video if several else ""
        return {
            still.spread: still_name(still, place, len(chosen), video) for place, still in enumerate(chosen, start=1)
        }

    def timelines(self) -> None:
        """A picture per clip: timeline.png, or timeline_NAME.png if there are several."""
        for finding in self._findings:
            name = "timeline.png" if len(self._findings) == 1 else f"timeline_{file_stem(finding.result.video)}.png"
            own = {key[1]: self.thumbnails[key] for key in self.thumbnails if key[0] == finding.result.video}
            draw = partial(draw_timeline, result=finding.result, scores=finding.scores, thumbnails=own)
            self.attempt(self._wanted.folder / name, draw)

    def previews(self, path: Path) -> None:
        """An annotated film per clip: the path itself, or with the clip's name if there are several."""
        for finding in self._findings:
            if finding.clip is None:
                logger.error("%s: there are no pictures to make a preview of", finding.result.video)
                continue
            several = len(self._findings) > 1
            target = path.with_stem(f"{path.stem}_{file_stem(finding.result.video)}") if several else path
            self.attempt(target, partial(write_preview, finding=finding))


def write_preview(path: Path, finding: Finding) -> None:
    """The film again, small, with the probability, and a frame around it while a page is turned.

    Raises:
        FlipdetectError: if it cannot be read or written.
    """
    assert finding.clip is not None
    rate = PREVIEW_RATE_HZ
    if path.suffix.lower() == ".gif":  # long films get fewer frames a second, as the number of frames is limited
        rate = min(GIF_RATE_HZ, (GIF_FRAMES - 1) / max(1.0, finding.result.duration_s))
    scored = [score for score in finding.scores if score.probability is not None]
    times = np.array([score.time_s for score in scored])
    values = np.array([score.probability for score in scored])
    events = finding.result.events
    frames = finding.clip.frames(rate, (PREVIEW_HEIGHT, 1))
    first = next(frames, None)
    if first is None:
        return
    height, width = first[1].shape[:2]
    with PreviewWriter(path, rate, (width, height)) as writer:
        for time_s, picture in _with(first, frames):
            probability = float(np.interp(time_s, times, values)) if len(times) else None
            turning = any(event.start_s <= time_s <= event.end_s for event in events)
            number = sum(event.start_s <= time_s for event in events)
            writer.write(picture, time_s, probability, turning, number)


def _with(first: tuple[float, Picture], rest: Iterator[tuple[float, Picture]]) -> Iterator[tuple[float, Picture]]:
    yield first
    yield from rest
