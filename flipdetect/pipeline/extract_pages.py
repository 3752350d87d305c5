"""The job: from the frames of a film to page turns and one still per spread."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage

from flipdetect.errors import FlipdetectError, FrameError
from flipdetect.events.score_history import ScoredFrame
from flipdetect.inference.model import Model
from flipdetect.inference.score import FILM_BATCH, score_video
from flipdetect.inference.settings import EventSettings, chosen_settings
from flipdetect.outputs.still_files import StillStyle, encode_still
from flipdetect.pipeline.corrected_pages import Corrections
from flipdetect.records import CONTENT, TAKEN_BACK, FlipEvent, FrameScore, Still, VideoResult
from flipdetect.sources.streams import FrameStream, Image
from flipdetect.stills.changes import add_content_changes, mark_doubts, same_pages_after
from flipdetect.stills.parameters import StillParameters
from flipdetect.stills.repeats import find_repeats
from flipdetect.stills.select import choose_stills

logger = logging.getLogger(__name__)

COMPARE_SIZE = (960, 540)
"""Height and width that images still cover when repeats are confirmed: print is legible, and they are small."""
THUMBNAIL = 480
"""Longer side of thumbnails in pixels."""


@dataclass(frozen=True)
class ExtractSettings:
    """How pages are extracted.

    Attributes:
        threshold: a frame with at least this probability counts as a flip; None: the model's own.
        events: how turns are detected and stills are chosen; for this threshold.
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
        """The settings of a model's file, or of a YAML file `events`; raises as `chosen_settings`."""
        return cls(threshold, chosen_settings(path, events, threshold), batch_size, path.stem)

    @property
    def limit(self) -> float:
        """The threshold, or that of `events`."""
        return self.events.asked_threshold if self.threshold is None else self.threshold

    def settled(self, model: Model) -> ExtractSettings:
        """With the threshold and the name of a model, where there are none."""
        threshold = model.threshold if self.threshold is None else self.threshold
        return replace(self, threshold=threshold, model_name=self.model_name or model.path.stem)


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
        settings: see `ExtractSettings`; None for those of the model.
        on_scores: called with the scores as they come, in order.
        images: takes the images of the stills; None if only their times are wanted.

    Raises:
        Interrupted: on Ctrl-C; with what was found until then, without images.
        DataError: if frames of an iterable are not in order of time.
        ConfigError: if a setting is impossible.
    """
    settings = (settings or ExtractSettings.of_model(model.path)).settled(model)
    assert settings.threshold is not None
    scores: list[FrameScore] = []
    problems: tuple[str, ...] = ()
    complete, interrupted = True, False
    size = settings.batch_size or FILM_BATCH
    try:
        for batch in score_video(stream, model, settings.threshold, video=stream.video, batch_size=size):
            scores += batch
            on_scores(batch)
    except FrameError as error:
        problems, complete = (str(error),), False
    except KeyboardInterrupt:
        complete, interrupted = False, True
    problems += stream.problems
    for problem in problems:
        logger.warning("%s", problem if problem.startswith(f"{stream.source}: ") else f"{stream.source}: {problem}")
    found = partial(
        find_pages, scores, settings=settings, video=stream.video, source=stream.source, problems=problems,
        complete=complete, decoding=stream.decoding,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):
        if not interrupted:
            return found(stream, images=images)
    raise Interrupted(found(None))


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
    corrections: Corrections | None = None,
    decoding: str = "",
) -> VideoResult:
    """The second half of `extract_pages`: turns and stills from the scores of a film, without scoring it again.

    Args:
        scores: of one film, in order of time.
        stream: to compare the images of spreads that may repeat; None: no repeats are marked.
        corrections: turns and stills as a person wants them, instead of those that would be found.
        decoding: what was decoded for the scores, for the result.

    Raises:
        DataError: if the corrections cannot be followed.
    """
    timed = [score for score in scores if score.time_s is not None]
    frames = [ScoredFrame(score.time_s or 0.0, score.probability, score.frame) for score in timed]
    length = max((stream.duration_s if stream is not None else None) or 0.0, frames[-1].time_s if frames else 0.0)
    stills: list[Still] = []
    if corrections is not None:
        corrections.check(length)
        events = corrections.events(timed) if timed else []
    else:
        events = settings.events.find(frames, video)
    if measured := _measured(timed):
        fetch = None if stream is None or not stream.can_reread else _PictureSource(stream, images)
        if corrections is not None:
            chosen, longest_s = settings.events.stills, settings.events.longest_turn_s
            stills = corrections.turned(choose_stills(measured, events, chosen, video, corrections.times(stream)))
            if fetch is not None:
                stills = fetch.mark_repeats(stills, chosen, ())
            stills = mark_doubts(corrections.settled(stills), events, measured, settings.limit, chosen, longest_s)
            stills = corrections.doubts(stills)
        else:
            events, stills = _compare_rests(events, timed, settings, video, fetch)
    unread = sum(score.probability is None for score in scores)
    return VideoResult(
        video=video,
        source=source,
        duration_s=length,
        frames=len(scores),
        events=tuple(events),
        stills=tuple(stills),
        decoding=decoding,
        model=settings.model_name,
        threshold=settings.threshold,
        problems=(*problems, *([f"{unread} frames could not be read; predictions.csv says why"] if unread else [])),
        complete=complete,
        scores=tuple(timed),
    )


def _compare_rests(
    turns: list[FlipEvent],
    frames: Sequence[FrameScore],
    settings: ExtractSettings,
    video: str,
    pictures: _PictureSource | None,
) -> tuple[list[FlipEvent], list[Still]]:
    """Turns by what lies there before and after, and the stills of the spreads between them.

    Where other pages lie there without a turn, one is added, unless pictures show the same pages. A turn that was seen,
    after which pictures show the same pages, was taken back.
    """
    chosen, limit, measured = settings.events.stills, settings.limit, _measured(frames)
    turns = add_content_changes(turns, frames, chosen, settings.events.longest_turn_s)

    def weak(turn: FlipEvent) -> bool:
        return turn.kind == CONTENT or turn.peak_probability < limit

    while True:
        stills = choose_stills(measured, turns, chosen, video)
        if pictures is not None:
            stills = pictures.mark_repeats(stills, chosen, {turn.number + 1 for turn in turns if weak(turn)})
        back = same_pages_after(turns, stills)
        kept = [turn for turn in turns if turn.kind != CONTENT or turn.number not in back]
        if len(kept) == len(turns):
            break
        turns = [replace(turn, number=number) for number, turn in enumerate(kept, 1)]
    turns = [replace(turn, kind=TAKEN_BACK) if turn.number in back else turn for turn in turns]
    return turns, mark_doubts(stills, turns, measured, limit, chosen, settings.events.longest_turn_s)


def _measured(frames: Sequence[FrameScore]) -> list[FrameScore]:
    return [frame for frame in frames if frame.quality is not None and frame.quality.fingerprint]


@dataclass(frozen=True)
class _PictureSource:
    """Where the pictures of stills come from: the film, or images that were taken from it."""

    stream: FrameStream
    images: PageImages | None

    def mark_repeats(self, stills: list[Still], parameters: StillParameters, doubted: Collection[int]) -> list[Still]:
        """Compare the pictures of spreads that may repeat; if they cannot be read, all spreads are kept."""
        if self.images is not None:
            self.images.load(stills)
        try:
            return find_repeats(stills, self._fetch, parameters, doubted)
        except FlipdetectError as error:
            logger.warning("%s: repeated spreads could not be compared, so all are kept: %s", self.stream.source, error)
            return stills

    def _fetch(self, still: Still) -> Image:
        if self.images is not None:
            return self.images.reduced(still)
        assert still.time_s is not None
        return next(self.stream.fetch([still.time_s], COMPARE_SIZE))


class PageImages:
    """Images of the stills of one film, in a temporary folder.

    Attributes:
        failures: what could not be read, for the user.

    Args:
        folder: where the files go; several films can share one.
        full: whether images in full size are wanted, or reduced ones only.
        on_fetch: called with the numbers of images that were read, and that are to be read.
    """

    def __init__(
        self,
        stream: FrameStream,
        folder: Path,
        *,
        full: bool,
        style: StillStyle | None = None,
        on_fetch: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._stream = stream
        self._folder = folder
        self._full = full
        self._style = style or StillStyle()
        self._on_fetch = on_fetch
        self._key = hashlib.sha256(stream.video.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        self.failures: list[str] = []

    def load(self, stills: list[Still]) -> None:
        """Read the images of all stills, in order of time; one that cannot be read is a failure, the rest goes on.

        What was read before is there still.
        """
        left = sorted(
            (still.time_s, still.spread, still.rotate)
            for still in stills
            if still.time_s is not None and not self._path(still.time_s, ".small.jpg").is_file()
        )
        total = len(left)
        while left:
            frames = self._stream.fetch([time for time, _, _ in left], None if self._full else COMPARE_SIZE)
            try:
                for image in frames:
                    time_s, _, rotate = left.pop(0)
                    self._keep(time_s, image, rotate)
                    self._on_fetch(total - len(left), total)
                return
            except (FlipdetectError, OSError) as error:  # OSError: the disk of temporary files is full
                _, number, _ = left.pop(0)
                self.failures.append(f"{self._stream.video}, spread {number}: {error}")

    def _keep(self, time_s: float, image: Image, rotate: int) -> None:
        covering = max(COMPARE_SIZE[0] / image.shape[0], COMPARE_SIZE[1] / image.shape[1])
        np.save(self._path(time_s, ".npy"), _shrink(image, covering))  # as filmed, to be compared with others
        image = np.ascontiguousarray(np.rot90(image, -rotate // 90))
        if self._full:
            for suffix in {".jpg", self._style.suffix}:  # a PDF takes JPEG files
                self._path(time_s, suffix).write_bytes(encode_still(image, suffix, self._style.quality))
        small = _shrink(image, THUMBNAIL / max(image.shape[:2]))
        PillowImage.fromarray(small).save(self._path(time_s, ".small.jpg"), quality=88)

    def reduced(self, still: Still) -> Image:
        """The image, reduced to cover `COMPARE_SIZE`; raises FrameError if it could not be read."""
        path = self._path(still.time_s, ".npy")
        if not path.is_file():
            raise FrameError(f"spread {still.spread} of {self._stream.video} could not be read")
        return np.asarray(np.load(path))

    def full_size(self, still: Still, suffix: str = ".jpg") -> Path | None:
        """The file of the image in full size, JPEG or as the stills are; None if it could not be read."""
        path = self._path(still.time_s, suffix)
        return path if path.is_file() else None

    def thumbnail(self, still: Still) -> Image | None:
        """The image, small; None if there is none."""
        path = self._path(still.time_s, ".small.jpg")
        return np.asarray(PillowImage.open(path)) if path.is_file() else None

    def drop_reduced(self) -> None:
        """Delete what only `reduced` needs, once repeats are confirmed."""
        for path in self._folder.glob(f"{self._key}-*.npy"):
            path.unlink()

    def _path(self, time_s: float | None, suffix: str) -> Path:
        return self._folder / f"{self._key}-{time_s}{suffix}"


def _shrink(image: Image, ratio: float) -> Image:
    """An image (H, W, 3) uint8 at a share of its size; unchanged if that is not smaller."""
    if ratio >= 1:
        return image
    size = (max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
