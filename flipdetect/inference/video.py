"""Score frames in order of time: coarsely, then densely where the scores change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from flipdetect.errors import ConfigError
from flipdetect.events.score_history import log_odds
from flipdetect.inference.model import Maps, Model, resize_frame
from flipdetect.records import FrameScore
from flipdetect.sources.streams import Image, StreamFrame
from flipdetect.stills.quality import FrameMeter

CHANGE = 1.0
"""Difference in log-odds of two coarse frames from which the frames between them are scored, too."""
BATCH = 8
HELD_BYTES = 1_000_000
"""A larger frame between coarse ones is reduced to the model's input at once, as it may never be scored."""


def score_video(
    frames: Iterable[StreamFrame],
    model: Model,
    threshold: float,
    *,
    video: str = "",
    refine: int = 1,
    batch_size: int = BATCH,
    measure: bool = True,
) -> Iterator[list[FrameScore]]:
    """Scores in order of time, some frames at a time; memory does not grow with the video.

    A frame without an image gets a score with its error.

    Args:
        frames: in order of time.
        model: to score with.
        threshold: a frame with at least this probability counts as a flip.
        video: the film's name in the scores.
        refine: every so many frames one is scored at first; the frames between two are scored where their log-odds
            differ by `CHANGE`, or only one of them counts as a flip.
        batch_size: frames scored at a time.
        measure: whether the quality of the coarse frames as images is measured, to choose stills.

    Raises:
        ConfigError: if a number is below 1.
    """
    for name, value in (("refine", refine), ("batch_size", batch_size)):
        if value < 1:
            raise ConfigError(f"{name} must be 1 or more, got {value}")
    scorer = _Scorer(model, threshold, video, batch_size, FrameMeter() if measure else None)
    chunk: list[_Held] = []
    coarse = 0
    for number, frame in enumerate(frames):
        held = scorer.hold(frame, coarse=number % refine == 0)
        chunk.append(held)
        coarse += held.coarse
        if held.coarse and coarse >= batch_size:
            yield scorer.finish(chunk)
            chunk, coarse = [held], 0
    if any(not held.reported for held in chunk):
        yield scorer.finish(chunk)


@dataclass(slots=True)
class _Held:
    """A frame between being read and being reported; of a large one, only the model's input is kept."""

    frame: StreamFrame
    coarse: bool
    resized: Image | None = None
    odds: float | None = None
    score: FrameScore | None = None
    reported: bool = False


@dataclass(frozen=True)
class _Scorer:
    model: Model
    threshold: float
    video: str
    batch_size: int
    meter: FrameMeter | None

    def hold(self, frame: StreamFrame, *, coarse: bool) -> _Held:
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
                found.append(
                    FrameScore(frame.path, self.video, frame.frame, error=frame.error, time_s=frame.time_s)
                )  # fmt: skip
            held.reported = True
        return found

    def _changes(self, left: _Held, right: _Held | None) -> bool:
        """Whether something may happen between two coarse frames; after the last one, if it is a flip."""
        labels = [held.score.label for held in (left, right) if held is not None and held.score is not None]
        if right is None or left.odds is None or right.odds is None:
            return self.model.classes.positive in labels
        return labels[0] != labels[1] or abs(left.odds - right.odds) >= CHANGE

    def _score(self, wanted: list[_Held]) -> None:
        spec = self.model.preprocess
        readable = [held for held in wanted if held.resized is not None or held.frame.image is not None]
        for first in range(0, len(readable), self.batch_size):
            part = readable[first : first + self.batch_size]
            for held in part:
                if held.resized is None and held.frame.image is not None:
                    held.resized = resize_frame(spec, held.frame.image)
            inputs = np.stack([spec.normalise(held.resized) for held in part if held.resized is not None])
            probabilities, hands = self.model.predict_with_maps(inputs)
            for place, held in enumerate(part):
                self._record(held, float(probabilities[place]), None if hands is None else hands[place])

    def _record(self, held: _Held, probability: float, hands: Maps | None) -> None:
        frame, quality = held.frame, None
        if self.meter is not None and held.coarse and frame.image is not None:
            height, width = frame.image.shape[:2]
            over = None if hands is None else self.model.preprocess.unplace(hands, height, width)
            quality = self.meter(frame.image, over)
        label = self.model.classes.names[int(probability >= self.threshold)]
        held.odds = float(log_odds([probability])[0])
        held.score = FrameScore(
            frame.path, self.video, frame.frame, probability, label, time_s=frame.time_s, quality=quality
        )
        held.frame, held.resized = replace(frame, image=None), None
