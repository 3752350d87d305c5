"""The jobs of `flipdetect predict`: many films, many frames, or the scores of an earlier run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flipdetect.errors import DataError, FrameError
from flipdetect.inference.folder import Predictor
from flipdetect.inference.model import Model
from flipdetect.outputs.predictions import PredictionWriter, read_predictions
from flipdetect.pipeline.extract_pages import ExtractSettings, Interrupted, extract_pages, find_pages
from flipdetect.pipeline.page_images import PageImages
from flipdetect.pipeline.write_outputs import Outputs, Written, write_outputs
from flipdetect.progress import progress_bar
from flipdetect.records import FrameScore, VideoResult
from flipdetect.sources.folder import name_below
from flipdetect.sources.streams import FPS, FrameStream, VideoStream, frame_times

logger = logging.getLogger(__name__)


@dataclass
class FilmJob:
    """Extracts the pages of one film after the other, and writes the outputs of all of them.

    Attributes:
        settings: see `ExtractSettings`.
        outputs: what to write.
        folder: an empty folder for temporary files.
        results: one per film, in order.
    """

    settings: ExtractSettings
    outputs: Outputs
    folder: Path
    results: list[VideoResult] = field(default_factory=list)
    _images: dict[str, PageImages] = field(default_factory=dict)
    _streams: dict[str, FrameStream] = field(default_factory=dict)

    def run(self, streams: Sequence[FrameStream], model: Model, writer: PredictionWriter) -> None:
        """Score films, writing their rows; films that the writer resumes are not scored again.

        Raises:
            KeyboardInterrupt: on Ctrl-C; the film that was interrupted has a result of what was scored until then.
        """
        known = _by_video(writer.resumed)
        for stream in streams:
            if stream.video in known:
                logger.info("%s: scored before, not scored again", stream.source)
                self._add(known[stream.video], stream)
                continue
            try:
                self._score(stream, model, writer)
            except Interrupted as error:
                self._add(error.result.scores, stream, complete=False)
                raise

    def run_on_scores(self, table: Path, fps: float = FPS) -> None:
        """Detect turns and choose stills again from a predictions.csv, without scoring; images are read if wanted.

        Raises:
            DataError: if the table cannot be read, has no rows, or a row has neither time nor frame number.
        """
        scores = frame_times(read_predictions(table), fps)
        if not scores:
            raise DataError(f"{table} holds no scores; nothing can be found in it")
        if any(score.quality is not None and not score.quality.fingerprint for score in scores):
            logger.warning("%s has no file of fingerprints next to it, so no stills are chosen", table)
        for video, own in _by_video(scores).items():
            own.sort(key=lambda score: score.time_s or 0.0)
            path = Path(own[0].path)
            stream: FrameStream | None = None
            if path.is_file() and len({score.path for score in own}) == 1:
                stream = VideoStream(path, video)  # only chosen frames are decoded
            else:
                logger.warning("%s: the film is not at %s, so its images cannot be read", video, path)
            self._add(own, stream, video=video, source=str(path))

    def write(self) -> Written:
        """Write the outputs of all films that were handled."""
        return write_outputs(self.results, self.outputs, self._images, self._streams)

    def _score(self, stream: FrameStream, model: Model, writer: PredictionWriter) -> None:
        try:
            total = stream.expected_frames
        except FrameError:
            total = None  # the reason is reported when the film is read
        passed = 0
        with progress_bar(total=total, desc=stream.video[-30:], unit="frame", delay=1) as bar:

            def on_scores(scores: Sequence[FrameScore]) -> None:
                nonlocal passed
                writer.write(scores)
                # Of a video, frames that were not scored count as well; they are numbered from 0.
                latest = scores[-1].frame if scores and isinstance(stream, VideoStream) else None
                now = passed + len(scores) if latest is None else latest + 1
                bar.update(max(0, now - passed))
                passed = max(passed, now)

            images = self._new_images(stream)
            result = extract_pages(stream, model, self.settings, on_scores=on_scores, images=images)
            if result.complete and total is not None:
                bar.update(max(0, total - passed))
        self._keep(result, stream, images)

    def _add(
        self,
        scores: Sequence[FrameScore],
        stream: FrameStream | None,
        *,
        video: str = "",
        source: str = "",
        complete: bool = True,
    ) -> None:
        if stream is not None:
            video, source = stream.video, stream.source
        images = None if stream is None else self._new_images(stream)
        result = find_pages(scores, stream, self.settings, video, source, complete=complete, images=images)
        self._keep(result, stream, images)

    def _new_images(self, stream: FrameStream) -> PageImages | None:
        if not self.outputs.needs_images:
            return None
        return PageImages(stream, self.folder, full=self.outputs.needs_full_size)

    def _keep(self, result: VideoResult, stream: FrameStream | None, images: PageImages | None) -> None:
        self.results.append(result)
        if stream is not None:
            self._streams[result.video] = stream
        if images is not None:
            images.drop_reduced()
            self._images[result.video] = images


def score_frames(
    predictor: Predictor, files: Sequence[Path], root: Path, writer: PredictionWriter, scores: list[FrameScore]
) -> None:
    """Score frame files that belong to no film, writing their rows; files that the writer resumes are not scored again.

    Args:
        predictor: to score with.
        files: in the order of the rows.
        root: rows name files relative to this folder.
        writer: for the rows.
        scores: all scores are appended to this list, so that they are known after Ctrl-C as well.
    """
    known = {score.path for score in writer.resumed}
    scores += [score for score in writer.resumed if score.time_s is None]
    left = [file for file in files if name_below(file, root) not in known]
    with progress_bar(total=len(left), desc="scoring", unit="frame", delay=1) as bar:
        for batch in predictor.predict(left, root):
            writer.write(batch)
            scores += batch
            bar.update(len(batch))


def _by_video(scores: Sequence[FrameScore]) -> dict[str, list[FrameScore]]:
    found: dict[str, list[FrameScore]] = {}
    for score in scores:
        found.setdefault(score.video, []).append(score)
    return found
