"""The jobs of `flipdetect predict`: many films, many frames, or the scores of an earlier run; and their outputs."""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from flipdetect.errors import DataError, FrameError
from flipdetect.inference.model import Model
from flipdetect.outputs.predictions import PredictionWriter, fingerprints_path, read_predictions
from flipdetect.pipeline.book_pdf import TEXT
from flipdetect.pipeline.corrected_pages import Corrections, corrections_by_video, read_flips_csv
from flipdetect.pipeline.extract_pages import ExtractSettings, Interrupted, PageImages, extract_pages, find_pages
from flipdetect.pipeline.write_outputs import DRAWING, PREVIEW_S, STILL, Film, Outputs, Written, write_outputs
from flipdetect.progress import JobProgress
from flipdetect.records import FrameScore, VideoResult
from flipdetect.sources.streams import FPS, FrameStream, VideoStream, frame_times
from flipdetect.stills.fingerprint import GRID

logger = logging.getLogger(__name__)

FRAME = 1.0
"""Work of a frame read, the unit of progress."""
LATEST_S, SCORED_SHARE = 1.0, 0.5
"""Seconds after a film's end at which scores cannot be its own, and the share of it before which they hardly end."""

STILL_EVERY_S = 5.0
"""Seconds for which a spread may be in view, before it is known how many there are."""

WHOLE = (0.0, math.inf)
"""The part of a film that is looked at, in seconds: all of it."""


@dataclass
class FilmJob:
    """Extracts the pages of one film after the other, and writes the outputs of all of them.

    Attributes:
        folder: an empty folder for temporary files.
        several: whether there are more films than one, so that names of files tell them apart; after an interruption,
            too, when one was handled.
    """

    settings: ExtractSettings
    outputs: Outputs
    folder: Path
    films: list[Film] = field(default_factory=list)
    progress: JobProgress = field(default_factory=JobProgress)
    several: bool = False

    @property
    def results(self) -> list[VideoResult]:
        """What was found in each film."""
        return [film.result for film in self.films]

    def run(self, streams: Sequence[FrameStream], model: Model, writer: PredictionWriter) -> None:
        """Score films, writing their rows; films that the writer resumes are not scored again.

        Raises:
            KeyboardInterrupt: on Ctrl-C; the film that was interrupted has a result of what was scored until then.
        """
        known = _by_video(writer.resumed)
        self.several = len(streams) > 1
        self.settings = self.settings.settled(model)  # also of films that are not scored again
        for stream in streams:
            if stream.video not in known:
                with suppress(FrameError):  # it has gone since; the reason is reported when the film is read
                    self.progress.plan(f"read {stream.video}", (stream.expected_frames or 0) * FRAME)
            self._plan_outputs(stream)
        for stream in streams:
            if stream.video in known:
                logger.info("%s: scored before, not scored again", stream.source)
                self._find(known[stream.video], stream, stream.video, stream.source, decoding=stream.decoding)
                continue
            try:
                self._score(stream, model, writer)
            except Interrupted as error:
                self._find(
                    error.result.scores, stream, stream.video, stream.source, complete=False, decoding=stream.decoding
                )
                raise

    def run_on_scores(
        self, table: Path, fps: float = FPS, streams: Sequence[FrameStream] = (), part_s: tuple[float, float] = WHOLE
    ) -> None:
        """Detect turns and choose stills again from a predictions.csv, without scoring; images are read if wanted.

        Args:
            fps: frames per second, where it has no times.
            streams: films by their names in the table; of others, the table says where they are.

        Turns and stills are those of the outputs' `edited` table, if there is one.

        Raises:
            DataError: if a table cannot be read or followed, has no rows, or a row has neither time nor frame number.
        """
        edited = self.outputs.edited
        rows = None if edited is None else read_flips_csv(edited)
        scores = frame_times(read_predictions(table), fps)
        if not scores:
            raise DataError(f"{table} holds no scores; nothing can be found in it")
        if any(score.quality is not None and not score.quality.fingerprint for score in scores):
            logger.warning("%s has no file of fingerprints next to it, so no stills are chosen", table)
        lengths = {len(score.quality.fingerprint) for score in scores if score.quality is not None} - {0}
        if lengths - {GRID * GRID}:
            raise DataError(f"{fingerprints_path(table)} has fingerprints of another length; score the film again")
        known = _by_video(scores)
        if len(streams) == len(known) == 1:  # whatever the film is called now
            streams[0].video = next(iter(known))
        there = {stream.video: stream for stream in streams}
        corrections = corrections_by_video(rows, list(known), edited) if rows is not None and edited else {}
        strange = sorted(set(there) - set(known))
        if strange:
            raise DataError(
                f"{table} has no scores of {strange[0]}, only of {', '.join(sorted(known))}; give films of these names"
            )
        for video, own in known.items():
            own = [score for score in own if part_s[0] <= (score.time_s or 0.0) <= part_s[1]]
            own.sort(key=lambda score: score.time_s or 0.0)
            path = Path(own[0].path if own else video)
            stream = there.get(video)
            if there and stream is None:
                continue
            if stream is None and path.is_file() and len({score.path for score in own}) == 1:
                stream = VideoStream(path, video, start_s=part_s[0], end_s=part_s[1])  # only chosen frames are decoded
            elif stream is None:
                logger.warning("%s: the film is not at %s, so its images cannot be read", video, path)
            source = str(path) if stream is None else stream.source
            if stream is not None:
                _check_length(stream, known[video], table)
                self._plan_outputs(stream)
            self._find(own, stream, video, source, corrections=corrections.get(video))

    def write(self) -> Written:
        """Write the outputs of all films that were handled."""
        try:
            return write_outputs(self.films, self.outputs, self.progress, several=self.several)
        finally:
            self.progress.close()

    def _plan_outputs(self, stream: FrameStream) -> None:
        """Plan what comes after a film was read; what concerns its stills is guessed."""
        seconds = stream.duration_s or 0.0
        stills = 1 + seconds / STILL_EVERY_S
        if self.outputs.needs_images:
            self.progress.plan(f"fetch {stream.video}", stills * STILL)
        if self.outputs.ocr:
            self.progress.plan("text", stills * TEXT)
        if self.outputs.timeline:
            self.progress.plan("timeline", DRAWING)
        if self.outputs.report is not None:
            self.progress.plan("report", DRAWING)
        if self.outputs.preview is not None:
            self.progress.plan(f"preview {stream.video}", seconds * PREVIEW_S)

    def _score(self, stream: FrameStream, model: Model, writer: PredictionWriter) -> None:
        passed = 0
        part, words = f"read {stream.video}", f"reading {stream.video[-30:]}"
        self.progress.show(part, words)

        def on_scores(scores: Sequence[FrameScore]) -> None:
            nonlocal passed
            writer.write(scores)
            # Of a video, frames that were not scored count as well; they are numbered from 0.
            latest = scores[-1].frame if scores and isinstance(stream, VideoStream) else None
            passed = max(passed, passed + len(scores) if latest is None else latest + 1)
            self.progress.show(part, words, passed * FRAME)

        images = self._new_images(stream)
        result = extract_pages(stream, model, self.settings, on_scores=on_scores, images=images)
        self._keep(Film(result, stream, images))

    def _find(
        self,
        scores: Sequence[FrameScore],
        stream: FrameStream | None,
        video: str,
        source: str,
        *,
        complete: bool = True,
        corrections: Corrections | None = None,
        decoding: str = "",
    ) -> None:
        images = None if stream is None else self._new_images(stream)
        result = find_pages(
            scores, stream, self.settings, video, source, complete=complete, images=images, corrections=corrections,
            decoding=decoding,
        )  # fmt: skip
        self._keep(Film(result, stream, images))

    def _new_images(self, stream: FrameStream) -> PageImages | None:
        if not self.outputs.needs_images:
            return None

        def on_fetch(done: int, total: int) -> None:
            self.progress.plan(f"fetch {stream.video}", total * STILL)
            self.progress.show(f"fetch {stream.video}", f"fetching stills, {done} of {total}", done * STILL)

        style, full = self.outputs.style, self.outputs.needs_full_size
        return PageImages(stream, self.folder, full=full, style=style, on_fetch=on_fetch)

    def _keep(self, film: Film) -> None:
        if film.images is not None:
            film.images.drop_reduced()
        self.films.append(film)


def extract_film(
    film: Path, name: str, model: Model, settings: ExtractSettings, outputs: Outputs, progress: JobProgress
) -> VideoResult:
    """The whole job of one film; predictions.csv goes to the outputs' folder, too.

    Args:
        name: that it is called in tables.

    Returns:
        What was found; what could not be written is among its problems.

    Raises:
        FrameError: if no frame could be scored; says why.
    """
    assert outputs.folder is not None
    outputs.folder.mkdir(parents=True, exist_ok=True)
    stream = VideoStream(film, Path(name).stem)
    stream.source = name
    with tempfile.TemporaryDirectory(dir=outputs.folder) as spare:
        job = FilmJob(settings, outputs, Path(spare), progress=progress)
        with PredictionWriter(outputs.folder / "predictions.csv") as writer:
            job.run([stream], model, writer)
        (found,) = job.results
        if not found.scores:
            raise FrameError("; ".join(found.problems) or f"{name} has no frame that could be scored")
        written = job.write()
    (result,) = written.results
    return replace(result, problems=(*result.problems, *written.failures))


def readable_films(streams: Iterable[FrameStream]) -> list[FrameStream]:
    """Those that can be opened; the others are logged as errors, and nothing is written of them."""
    found = []
    for stream in streams:
        try:
            _ = stream.expected_frames
        except FrameError as error:
            logger.error("%s", error)
        else:
            found.append(stream)
    return found


def _check_length(stream: FrameStream, scores: Sequence[FrameScore], table: Path) -> None:
    """A `DataError` if scores lie beyond a film's end: its stills would be of other moments."""
    last, end = max((score.time_s or 0.0 for score in scores), default=0.0), stream.duration_s
    if end is not None and last > end + LATEST_S:
        raise DataError(
            f"{table} has scores up to {last:.1f} s, but {stream.source} ends at {end:.1f} s; give the film that was "
            "scored"
        )
    if end is not None and last < SCORED_SHARE * end:
        logger.warning(
            "%s ends at %.1f s, but the scores in %s at %.1f s: is it another film?", stream.source, end, table, last
        )


def _by_video(scores: Sequence[FrameScore]) -> dict[str, list[FrameScore]]:
    found: dict[str, list[FrameScore]] = {}
    for score in scores:
        found.setdefault(score.video, []).append(score)
    return found
