"""The work of `flipdetect predict` in its order: on films, single pictures, or the scores of an earlier run.

Nothing that films need is imported for pictures alone.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipdetect.atomic import alone
from flipdetect.errors import ConfigError
from flipdetect.inference.detector import Detector
from flipdetect.inference.load import Engine, load_model, load_trained
from flipdetect.inference.onnx_model import file_digest
from flipdetect.inference.score import Predictor
from flipdetect.inference.settings import chosen_settings
from flipdetect.outputs.predictions import PredictionWriter
from flipdetect.progress import progress_bar
from flipdetect.records import DetectionResult, FrameScore, VideoResult
from flipdetect.sources.folder import FoundInputs, name_below
from flipdetect.sources.naming import NamePattern
from flipdetect.zoo import FOLDER

if TYPE_CHECKING:
    from flipdetect.pipeline.jobs import FilmJob
    from flipdetect.pipeline.write_outputs import Outputs
    from flipdetect.sources.streams import FrameStream

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What was asked for.

    Attributes:
        found: the inputs; None: the films that `scores`, a predictions.csv, names.
        output: the table of frames; None: standard output.
        outputs: what else is written of films; None if there are none.
        events: whether the pictures are ordered frames of films; with `one_film` of a single one.
        part_s: the seconds of films that are looked at.
        reading: how films are read, as `video_streams` takes it.
        meaningless: options that were given and mean nothing with a detector of objects.
    """

    found: FoundInputs | None
    model: Path
    engine: Engine
    device: str
    batch_size: int | None
    output: Path | None
    outputs: Outputs | None
    threshold: float | None
    event_settings: Path | None
    scores: Path | None
    events: bool
    one_film: bool
    fps: float
    part_s: tuple[float, float]
    reading: Mapping[str, Any]
    resume: bool
    strict: bool
    meaningless: Sequence[str]


@dataclass
class Outcome:
    """What was found and written; after Ctrl-C, what was until then.

    Attributes:
        films: what was found in films.
        pictures: scores of single pictures; None: there were none, or the job was interrupted.
        boxes: what a detector found in pictures; None without one.
        positive: the model's positive class.
        clip_threshold: for clips as a whole, by the highest probability of their frames; None if unknown.
        paths: all files that were written.
        failed: whether a film could not be read, or a file not be written.
        unsound: whether an input could not be read, or the pages of a film are in doubt.
    """

    films: Sequence[VideoResult] = ()
    pictures: Sequence[FrameScore] | None = None
    boxes: Sequence[DetectionResult] | None = None
    positive: str = ""
    clip_threshold: float | None = None
    paths: Sequence[Path] = ()
    failed: bool = False
    unsound: bool = False
    interrupted: bool = False


def run_request(request: Request) -> Outcome:
    """Do what was asked for; on Ctrl-C, what was found until then is written.

    Raises:
        ConfigError: if options contradict each other.
        DataError: if an output cannot be written, or another run is writing it.
        ModelError: if the model cannot be loaded.
    """
    found = request.found
    if found is not None and request.scores is None and request.model.parent != FOLDER:  # there are classifiers
        trained = load_trained(request.model, request.engine, request.device, threads=1)
        if isinstance(trained, Detector):
            return _find_boxes(request, trained, found)
    outcome = Outcome()
    outcome.clip_threshold = chosen_settings(request.model, request.event_settings, request.threshold).clip_threshold
    with tempfile.TemporaryDirectory(prefix="flipdetect-") as spare, ExitStack() as stack:
        films, job = [], None
        if request.outputs is not None:
            from flipdetect.pipeline.extract_pages import ExtractSettings
            from flipdetect.pipeline.jobs import FilmJob, readable_films
            from flipdetect.sources.streams import video_streams

            asked = (request.threshold, request.event_settings, request.batch_size)
            settings = ExtractSettings.of_model(request.model, *asked)
            videos, (start_s, end_s) = found.videos if found else [], request.part_s
            films = readable_films(video_streams(videos, **request.reading, start_s=start_s, end_s=end_s))
            job = FilmJob(settings, request.outputs, Path(spare))
        if found is not None:
            outcome.unsound = bool(found.problems)
            outcome.failed = len(films) < len(found.videos)
            if not films and not found.frames:
                return outcome  # nothing is written of what is no film
        _lock(stack, request.output if request.scores is None else None)
        if request.outputs is not None:
            _lock(stack, *request.outputs.paths)
        if request.scores is None:
            _score(request, films, job, outcome)
        else:
            assert job is not None
            if found is not None:
                films += _frame_films(request, None)
            job.run_on_scores(request.scores, request.fps, films, request.part_s)
        if job is not None and job.results:
            written = job.write()
            outcome.films, outcome.paths = written.results, [*outcome.paths, *written.paths]
            outcome.interrupted |= written.interrupted
            outcome.failed |= bool(written.failures) or any(not result.frames for result in written.results)
            outcome.unsound |= any(each.problems or each.doubtful or each.numbering for each in written.results)
        return outcome


def _frame_films(request: Request, naming: NamePattern | None) -> Sequence[FrameStream]:
    """The films whose frames are files; their names are read as the model's were, unless all are of one film."""
    from flipdetect.sources.streams import folder_streams

    assert request.found is not None
    naming = NamePattern(one_film=True) if request.one_film else naming
    start_s, end_s = request.part_s
    return folder_streams(request.found.frames, request.found.root, request.fps, naming, start_s=start_s, end_s=end_s)


def _score(request: Request, films: list[FrameStream], job: FilmJob | None, outcome: Outcome) -> None:
    """Score films and pictures, and write their rows."""
    assert request.found is not None
    found, pictures = request.found, [] if request.events else request.found.frames
    # Films take the 8-bit model. Single frames take threads that decode and score: that keeps all cores busy.
    model, engine, device = request.model, request.engine, request.device
    film_model = load_model(model, engine, device, fast=True) if films or request.events else None
    frame_model = load_model(model, engine, device, threads=1) if pictures else None
    chosen = film_model or frame_model
    assert chosen is not None
    limit = chosen.threshold if request.threshold is None else request.threshold
    logger.info("Model: %s (threshold %.3f, %s)", chosen.path, limit, chosen.runs_on)
    reading = {"--rate": "rate_hz", "--stride": "stride", "--every-frame": "every_frame"}
    depends_on = {
        "model": file_digest(chosen.path) if chosen.path.is_file() else chosen.path,
        "--threshold": f"{limit:.9g}",
        **{option: request.reading[name] for option, name in reading.items()},
        "--hwaccel": "auto" if request.reading["hardware"] else "none",
        "--fps": request.fps,
        "--start": request.part_s[0],
        "--end": request.part_s[1],
    }
    writer = PredictionWriter(request.output, sys.stdout, resume=request.resume, run=depends_on)
    scores: list[FrameScore] = []
    try:
        with writer:
            if film_model is not None:
                assert job is not None
                if request.events:
                    films += _frame_films(request, film_model.naming)
                job.run(films, film_model, writer)
            if frame_model is not None:
                predictor = Predictor(frame_model, limit, request.batch_size)
                _score_pictures(predictor, pictures, found.root, writer, scores)
    except KeyboardInterrupt:
        outcome.interrupted = True
        count = f" after {len(scores)} of {len(pictures)} frames" if pictures else ""
        rows = f" The rows are in {writer.part_path}; --resume continues." if writer.part_path else ""
        logger.warning("Interrupted%s. What was found so far is written.%s", count, rows)
    if outcome.interrupted:
        return
    outcome.paths = [] if writer.output is None else [writer.output]
    if frame_model is not None:
        outcome.pictures, outcome.positive = scores, frame_model.classes.positive
        outcome.unsound |= any(score.probability is None for score in scores)


def _score_pictures(
    predictor: Predictor, files: Sequence[Path], root: Path, writer: PredictionWriter, scores: list[FrameScore]
) -> None:
    """Score picture files that the writer does not resume, and write their rows.

    `scores` gets all scores as they come, so that they are known after Ctrl-C as well.
    """
    known = {score.path for score in writer.resumed}
    scores += [score for score in writer.resumed if score.time_s is None]
    left = [file for file in files if name_below(file, root) not in known]
    with progress_bar(total=len(left), desc="scoring", unit="frame", delay=1) as bar:
        for batch in predictor.predict(left, root):
            writer.write(batch)
            scores += batch
            bar.update(len(batch))


def _find_boxes(request: Request, detector: Detector, found: FoundInputs) -> Outcome:
    """Find the objects in pictures, and write tables and drawn pictures."""
    from flipdetect.outputs.box_files import write_boxes
    from flipdetect.pipeline.picture_boxes import find_boxes

    if request.meaningless:
        raise ConfigError(
            f"{request.meaningless[0]} has no meaning with {detector.path}, which is a detector of objects in "
            "pictures; leave it out, or choose another --model"
        )
    for film in found.videos:
        reason = "is a film, and a detector takes pictures (JPEG, PNG, WebP, BMP); take frames out of it, e.g. with"
        logger.warning("%s %s: ffmpeg -i %s frames/%%06d.jpg", film, reason, film.name)
    drawn = None if request.output is None else request.output.with_suffix("")
    # Pictures that an earlier run has drawn may lie below the folder that is searched.
    files = [file for file in found.frames if drawn is None or not file.resolve().is_relative_to(drawn.resolve())]
    if not files:
        raise ConfigError(f"there is no picture among the inputs, and {detector.path} finds boxes in pictures alone")
    threshold = detector.threshold if request.threshold is None else request.threshold
    logger.info("Model: %s (threshold %.3f, %s)", detector.path, threshold, detector.runs_on)
    results = find_boxes(detector, files, found.root, threshold, drawn)
    pictures: list[DetectionResult] = []
    outcome = Outcome(boxes=pictures)
    with ExitStack() as stack:
        _lock(stack, request.output)
        try:
            with closing(results), progress_bar(results, total=len(files), unit="picture", delay=1) as bar:
                for picture in bar:
                    pictures.append(picture)  # noqa: PERF402 - those found before Ctrl-C are kept
        except KeyboardInterrupt:
            outcome.interrupted = True
            count = f"{len(pictures)} of {len(files)} pictures"
            logger.warning("Interrupted after %s. What was found so far is written.", count)
        if request.output is not None:
            tables = write_boxes(pictures, detector.classes, detector.path.name, threshold, request.output)
            outcome.paths = [*tables, *([drawn] if drawn is not None else [])]
    outcome.unsound = any(picture.error for picture in pictures) or bool(found.problems or found.videos)
    return outcome


def _lock(stack: ExitStack, *paths: Path | None) -> None:
    """Keep other runs from writing the same files until the stack is closed."""
    for path in paths:
        if path is not None:
            if path.suffix and path.is_dir():
                raise ConfigError(f"{path} is a folder; choose another name for the file")
            stack.enter_context(alone(path))
