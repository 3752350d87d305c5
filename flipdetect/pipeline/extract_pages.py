"""The job: from the frames of a film to page turns and one still per spread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from flipdetect.errors import ConfigError, FlipdetectError, FrameError
from flipdetect.events.score_history import ScoredFrame
from flipdetect.inference.folder import BATCH
from flipdetect.inference.model import Model
from flipdetect.inference.settings import EventSettings, read_event_settings, settings_of
from flipdetect.inference.video import score_video
from flipdetect.pipeline.page_images import COMPARE_SIZE, PageImages
from flipdetect.records import FrameScore, Still, VideoResult
from flipdetect.sources.streams import FrameStream, Image
from flipdetect.stills.repeats import find_repeats
from flipdetect.stills.select import choose_stills

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExtractSettings:
    """How pages are extracted.

    Attributes:
        threshold: a frame with at least this probability counts as a flip; None: the model's own.
        events: how turns are detected and stills are chosen; for the threshold above.
        batch_size: frames scored at a time; None: what suits the engine.
        model_name: for the tables; empty: the stem of the model's file.
    """

    threshold: float | None = None
    events: EventSettings = field(default_factory=EventSettings)
    batch_size: int | None = None
    model_name: str = ""

    @classmethod
    def of_model(
        cls, path: Path, threshold: float | None = None, events: Path | None = None, batch_size: int | None = None
    ) -> ExtractSettings:
        """The settings of a model's file, or of a YAML file `events`, moved to another threshold if one is given.

        Raises:
            ConfigError: if a file cannot be used, or a number is impossible.
        """
        found = settings_of(path) if events is None else read_event_settings(events)
        if threshold is not None:
            found = found.at_threshold(threshold)
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch_size must be 1 or more, got {batch_size}")
        return cls(threshold, found, batch_size, path.stem)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during `extract_pages`; `result` holds what was found until then."""

    def __init__(self, result: VideoResult) -> None:
        super().__init__()
        self.result = result


def extract_pages(
    stream: FrameStream,
    model: Model,
    settings: ExtractSettings | None = None,
    *,
    on_scores: Callable[[Sequence[FrameScore]], None] = lambda scores: None,
    images: PageImages | None = None,
) -> VideoResult:
    """Detect the page turns of a film, and choose one still per spread.

    Damage to the source becomes a problem in the result, with what could be read; so does a source that cannot be read
    at all, with `complete` false.

    Args:
        stream: the frames.
        model: to score them with.
        settings: see `ExtractSettings`; None for those of the model.
        on_scores: called with the scores as they come, in order.
        images: takes the images of the stills; None if only their times are wanted.

    Raises:
        Interrupted: on Ctrl-C; with what was found until then, without images.
        DataError: if frames of an iterable are not in order of time.
        ConfigError: if a setting is impossible.
    """
    settings = settings or ExtractSettings.of_model(model.path)
    threshold = model.threshold if settings.threshold is None else settings.threshold
    settings = replace(settings, threshold=threshold, model_name=settings.model_name or model.path.stem)
    scores: list[FrameScore] = []
    problems: tuple[str, ...] = ()
    complete = True
    batches = score_video(
        stream, model, threshold, video=stream.video, refine=stream.refine, batch_size=settings.batch_size or BATCH
    )
    try:
        for batch in batches:
            scores += batch
            on_scores(batch)
    except FrameError as error:
        problems, complete = (str(error),), False
    except KeyboardInterrupt:
        raise Interrupted(find_pages(scores, None, settings, stream.video, stream.source, complete=False)) from None
    problems += stream.problems
    for problem in problems:
        logger.warning("%s", problem if problem.startswith(f"{stream.source}: ") else f"{stream.source}: {problem}")
    return find_pages(
        scores, stream, settings, stream.video, stream.source, problems=problems, complete=complete, images=images
    )


def find_pages(
    scores: Sequence[FrameScore],
    stream: FrameStream | None,
    settings: ExtractSettings,
    video: str,
    source: str,
    *,
    problems: Iterable[str] = (),
    complete: bool = True,
    images: PageImages | None = None,
) -> VideoResult:
    """The second half of `extract_pages`: turns and stills from the scores of a film, without scoring it again.

    Args:
        scores: of one film, in order of time.
        stream: to compare the images of spreads that may repeat; None: no repeats are marked.
        settings: see `ExtractSettings`.
        video, source: the film's name, and its file or folder.
        problems: for the result.
        complete: whether the film was read to its end.
        images: takes the images of the stills.
    """
    timed = [score for score in scores if score.time_s is not None]
    frames = [ScoredFrame(score.time_s or 0.0, score.probability, score.frame) for score in timed]
    events = settings.events.find(frames, video)
    measured = [score for score in timed if score.quality is not None and score.quality.fingerprint]
    stills = choose_stills(measured, events, settings.events.stills, video) if measured else []
    if stream is not None and stream.can_reread:
        if images is not None:
            images.load(stills)
        stills = _mark_repeats(stills, stream, settings, images)
    unread = sum(score.probability is None for score in scores)
    return VideoResult(
        video=video,
        source=source,
        duration_s=frames[-1].time_s - frames[0].time_s if frames else 0.0,
        frames=len(scores),
        events=tuple(events),
        stills=tuple(stills),
        model=settings.model_name,
        threshold=settings.threshold,
        problems=(*problems, *([f"{unread} frames could not be read; predictions.csv says why"] if unread else [])),
        complete=complete,
        scores=tuple(timed),
    )


def _mark_repeats(
    stills: list[Still], stream: FrameStream, settings: ExtractSettings, images: PageImages | None
) -> list[Still]:
    """Compare the images of spreads that may repeat; if they cannot be read, all spreads are kept."""

    def fetch(still: Still) -> Image:
        if images is not None:
            return images.reduced(still)
        assert still.time_s is not None
        return next(stream.fetch([still.time_s], COMPARE_SIZE))

    try:
        return find_repeats(stills, fetch, settings.events.stills)
    except FlipdetectError as error:
        logger.warning("%s: repeated spreads could not be compared, so all are kept: %s", stream.source, error)
        return stills
