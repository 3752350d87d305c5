"""Score frames: those of a film in order of time, coarsely, then densely where scores change; or single frame files.

There are two ways to keep all cores busy with frame files. A model that computes in the calling thread alone (ONNX
Runtime with one thread) is called from several threads at a time, each of which decodes a batch and scores it. A model
that uses all cores by itself (PyTorch) is called from one thread, while others decode the next batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flipdetect.errors import ConfigError, FrameError
from flipdetect.events.score_history import log_odds
from flipdetect.inference.model import Inputs, Maps, Model, resize_frame
from flipdetect.records import DECIMALS, FrameScore
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import in_order, usable_cores
from flipdetect.sources.naming import unlabelled_video
from flipdetect.stills.page_finder import PageFinder
from flipdetect.stills.quality import FrameMeter, hidden_by

if TYPE_CHECKING:  # it imports a video decoder, which pictures need not wait for
    from flipdetect.sources.streams import Image, StreamFrame
    from flipdetect.sources.video_change import Opinion

CHANGE = 1.0
"""Difference in log-odds of two coarse frames from which the frames between them are scored, too."""
FILM_BATCH = 8
"""Frames of a film scored at a time."""
APART_S = 0.35
"""Seconds between two measured frames from which one says nothing of motion at the other."""
MOST_COVERED = 0.4
"""Share of the pages behind hands from which the rest of a picture does not show whether a page was turned."""
HELD_BYTES = 2_000_000
"""A larger frame between coarse ones is reduced to the model's input at once, as it may never be scored."""
BATCH = 16
"""Frames scored at a time where a model uses all cores: smaller batches give PyTorch too little to share."""
SINGLE_BATCH = 4
"""The same where a call has one core. Larger batches don't help ONNX Runtime: small ones stay in the core's cache."""
WAITING = 3
"""Batches per thread that are started before the first of them is needed."""


def score_video(
    frames: Iterable[StreamFrame],
    model: Model,
    threshold: float,
    *,
    video: str = "",
    batch_size: int = FILM_BATCH,
    measure: bool = True,
) -> Iterator[list[FrameScore]]:
    """Scores in order of time, some frames at a time; memory does not grow with the video.

    Coarse frames are scored; the fine ones between two of them where their log-odds differ by `CHANGE`, or only one of
    them counts as a flip. A frame without an image gets a score with its error.

    Args:
        frames: a stream may ask the model itself, to leave out frames.
        measure: whether the quality of the coarse frames as images is measured, to choose stills.

    Raises:
        ConfigError: if `batch_size` is below 1.
    """
    from flipdetect.sources.streams import FrameStream

    if batch_size < 1:
        raise ConfigError(f"batch_size must be 1 or more, got {batch_size}")
    if isinstance(frames, FrameStream):
        frames.look = _Look(model, threshold)
    scorer = _Scorer(model, threshold, video, batch_size, FrameMeter() if measure else None)
    chunk: list[_Held] = []
    coarse = 0
    for frame in frames:
        held = scorer.hold(frame)
        chunk.append(held)
        coarse += held.coarse
        if held.coarse and coarse >= batch_size:
            yield scorer.finish(chunk)
            chunk, coarse = [held], 0
    if any(not held.reported for held in chunk):
        yield scorer.finish(chunk)


@dataclass
class _Look:
    """Asks a model about frames of one film, in order of time."""

    model: Model
    threshold: float
    finder: PageFinder = field(default_factory=PageFinder)

    def __call__(self, frame: Image) -> Opinion | None:
        """The opinion of a frame (H, W, 3) uint8 RGB; None if the model has no maps of hands."""
        from flipdetect.sources.video_change import Opinion

        spec = self.model.preprocess
        (probability,), hands = self.model.predict_with_maps(spec.normalise(resize_frame(spec, frame))[None])
        if hands is None:
            return None
        pages = self.finder.find(frame)
        _, near = hidden_by(spec.unplace(hands[0], *frame.shape[:2]), pages.shape)
        hidden = near | (near[pages].mean() > MOST_COVERED)
        odds = float(log_odds([probability])[0])
        is_flip = bool(probability >= self.threshold)
        return Opinion(float(probability), is_flip, odds, hands[0], hidden.astype(np.uint8))


@dataclass(slots=True)
class _Held:
    """A frame between being read and being reported; of a large one, only the model's input is kept."""

    frame: StreamFrame
    coarse: bool
    resized: Image | None = None
    odds: float | None = None
    score: FrameScore | None = None
    reported: bool = False


@dataclass
class _Scorer:
    model: Model
    threshold: float
    video: str
    batch_size: int
    meter: FrameMeter | None
    last_s: float = -math.inf
    """Second of the last frame that was measured."""

    def hold(self, frame: StreamFrame) -> _Held:
        coarse = not frame.fine
        if coarse or frame.image is None or frame.image.nbytes <= HELD_BYTES:
            return _Held(frame, coarse)
        return _Held(replace(frame, image=None), coarse, resize_frame(self.model.preprocess, frame.image))

    def finish(self, chunk: list[_Held]) -> list[FrameScore]:
        """Score what is new in a chunk that begins with a coarse frame, and report it."""
        self._score([held for held in chunk if held.coarse and held.score is None])
        places = [place for place, held in enumerate(chunk) if held.coarse]
        between: list[_Held] = []
        for left, right in zip(places, [*places[1:], None], strict=True):
            inside = chunk[left + 1 : right]
            if inside and self._changes(chunk[left], None if right is None else chunk[right]):
                between += inside
        self._score(between)
        found = []
        for held in chunk:
            if not held.reported and held.score is not None:
                found.append(held.score)
            elif not held.reported and held.frame.error:
                frame = held.frame
                time_s = round(frame.time_s, DECIMALS)
                found.append(FrameScore(frame.path, self.video, frame.frame, error=frame.error, time_s=time_s))
            held.reported = True
        return found

    def _changes(self, left: _Held, right: _Held | None) -> bool:
        """Whether something may happen between two coarse frames; after the last one, if it is a flip."""
        labels = [held.score.label for held in (left, right) if held is not None and held.score is not None]
        if right is None or left.odds is None or right.odds is None:
            return self.model.classes.positive in labels
        return labels[0] != labels[1] or abs(left.odds - right.odds) >= CHANGE

    def _score(self, wanted: list[_Held]) -> None:
        readable = [held for held in wanted if held.resized is not None or held.frame.image is not None]
        asked = [held for held in readable if held.frame.opinion is None]
        # One core for each of several calls takes less time than all cores for each call.
        workers = usable_cores() if self.model.is_single_threaded else 1
        size = max(1, min(self.batch_size, math.ceil(len(asked) / workers)))
        parts = [asked[first : first + size] for first in range(0, len(asked), size)]
        with ThreadPoolExecutor(workers) as pool:
            answers = chain.from_iterable((pool.map if workers > 1 else map)(self._ask, parts))
            for held in readable:
                known = held.frame.opinion
                probability, hands = next(answers) if known is None else (known.probability, known.hands)
                self._record(held, round(probability, DECIMALS), hands)

    def _ask(self, wanted: list[_Held]) -> list[tuple[float, Maps | None]]:
        spec = self.model.preprocess
        for held in wanted:
            if held.resized is None and held.frame.image is not None:
                held.resized = resize_frame(spec, held.frame.image)
        inputs = np.stack([spec.normalise(held.resized) for held in wanted if held.resized is not None])
        probabilities, hands = self.model.predict_with_maps(inputs)
        return list(zip(probabilities.tolist(), [None] * len(wanted) if hands is None else hands, strict=True))

    def _record(self, held: _Held, probability: float, hands: Maps | None) -> None:
        frame, quality = held.frame, None
        if self.meter is not None and held.coarse and frame.image is not None:
            height, width = frame.image.shape[:2]
            over = None if hands is None else self.model.preprocess.unplace(hands, height, width)
            if frame.time_s - self.last_s > APART_S:
                self.meter.pause()
            self.last_s = frame.time_s
            quality = self.meter(frame.image, over)
        label = self.model.classes.names[int(probability >= self.threshold)]
        held.odds = float(log_odds([probability])[0])
        held.score = FrameScore(
            frame.path, self.video, frame.frame, probability, label,
            time_s=round(frame.time_s, DECIMALS), quality=quality,
        )  # fmt: skip
        held.frame, held.resized = replace(frame, image=None), None


@dataclass(frozen=True)
class Predictor:
    """Scores frame files.

    Attributes:
        threshold: a frame with at least this probability belongs to the positive class.
        workers: threads that decode (and score, if the model is single-threaded); None: one per core.
    """

    model: Model
    threshold: float
    batch_size: int | None = None
    workers: int | None = None

    def predict(self, paths: Iterable[Path], root: Path) -> Iterator[list[FrameScore]]:
        """Score files; yields batches of results in the order of `paths`.

        A file that cannot be read gets a score with an error and no probability. Read-ahead is bounded.

        Args:
            root: scores name files and videos relative to this folder.
        """
        workers, queue = self.workers or usable_cores(), iter(paths)
        if self.model.is_single_threaded:  # each thread decodes a batch and scores it
            batches = iter(lambda: list(islice(queue, self.batch_size or SINGLE_BATCH)), [])
            calls = (partial(self._decode_and_score, batch, root) for batch in batches)
            yield from in_order(calls, workers, WAITING * workers)
        else:  # threads decode the next batch while this one is scored
            size = self.batch_size or BATCH
            with closing(in_order((partial(self._load, path) for path in queue), workers, 2 * size)) as loaded:
                while batch := list(islice(loaded, size)):
                    yield self._score(batch, root)

    def _decode_and_score(self, paths: Sequence[Path], root: Path) -> list[FrameScore]:
        return self._score([self._load(path) for path in paths], root)

    def _load(self, path: Path) -> tuple[Path, Inputs | FrameError]:
        try:
            return path, self.model.preprocess.load(path)
        except FrameError as error:
            return path, error

    def _score(self, loaded: Sequence[tuple[Path, Inputs | FrameError]], root: Path) -> list[FrameScore]:
        frames = [frame for _, frame in loaded if not isinstance(frame, FrameError)]
        found = iter(self.model.probabilities(np.stack(frames)).tolist() if frames else [])
        scores = []
        for path, frame in loaded:
            video, number = unlabelled_video(path, root, self.model.naming)
            if isinstance(frame, FrameError):
                scores.append(FrameScore(name_below(path, root), video, number, error=str(frame)))
            else:
                probability = round(next(found), DECIMALS)
                label = self.model.classes.names[int(probability >= self.threshold)]
                scores.append(FrameScore(name_below(path, root), video, number, probability, label))
        return scores
