"""Score frames that come in order of time: coarsely, then densely where the scores change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from flipdetect.errors import ConfigError
from flipdetect.events.score_history import log_odds
from flipdetect.inference.model import Maps, Model, resize_frame
from flipdetect.records import FrameQuality, FrameScore
from flipdetect.sources.streams import Image, StreamFrame
from flipdetect.stills.quality import FrameMeter

RATE_HZ = 10.0
"""Frames per second of a video that are scored while nothing changes."""
REFINE = 3
"""Times as many are scored where scores change."""
HELD_BYTES = 1_000_000
"""A larger frame is brought to the model's size at once, if it is held only in case it should be scored."""


@dataclass(frozen=True)
class ScanSettings:
    """How closely a sequence is looked at.

    Attributes:
        refine: every so many frames one is scored at first; the frames between two are scored where the two differ.
        change: difference in log-odds from which the frames between are scored, too; so they are where one of the
            two counts as a flip and the other does not.
        batch_size: frames scored at a time.
        measure: whether the quality of the coarse frames as pictures is measured, for stills.

    Raises:
        ConfigError: if a number is too small.
    """

    refine: int = 1
    change: float = 1.0
    batch_size: int = 8
    measure: bool = True

    def __post_init__(self) -> None:
        for name in ("refine", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be 1 or more, got {getattr(self, name)}")


@dataclass(slots=True)
class _Seen:
    """A frame between being taken and being reported; of a large one, what the model takes is kept instead."""

    shot: StreamFrame
    coarse: bool
    prepared: Image | None = None
    odds: float | None = None
    score: FrameScore | None = None
    reported: bool = False


class Scanner:
    """Turns a sequence of shots into scores.

    Args:
        model: that scores.
        threshold: from this probability on, a frame counts as a flip.
        video: the clip's name in the scores.
        settings: how closely to look.
    """

    def __init__(self, model: Model, threshold: float, video: str, settings: ScanSettings | None = None) -> None:
        self._model = model
        self._threshold = threshold
        self._video = video
        self._settings = settings or ScanSettings()
        self._meter = FrameMeter() if self._settings.measure else None

    def scan(self, shots: Iterable[StreamFrame]) -> Iterator[list[FrameScore]]:
        """Scores in order of time, some frames at a time; memory does not grow with the sequence.

        A shot without an image yields a score with its error.
        """
        chunk: list[_Seen] = []
        coarse = 0
        for number, shot in enumerate(shots):
            seen = self._take(shot, coarse=number % self._settings.refine == 0)
            chunk.append(seen)
            coarse += seen.coarse
            if seen.coarse and coarse >= self._settings.batch_size:
                yield self._finish(chunk)
                chunk, coarse = [seen], 0
        if any(not seen.reported for seen in chunk):
            yield self._finish(chunk)

    def _take(self, shot: StreamFrame, *, coarse: bool) -> _Seen:
        if coarse or shot.image is None or shot.image.nbytes <= HELD_BYTES:
            return _Seen(shot, coarse)
        kept = StreamFrame(shot.path, shot.time_s, shot.frame, None, shot.error)
        return _Seen(kept, coarse, resize_frame(self._model.preprocess, shot.image))

    def _finish(self, chunk: list[_Seen]) -> list[FrameScore]:
        """Score what is new in a chunk that begins with a coarse frame, and report it."""
        self._look([seen for seen in chunk if seen.coarse and seen.score is None])
        places = [place for place, seen in enumerate(chunk) if seen.coarse]
        between: list[_Seen] = []
        for left, right in zip(places, [*places[1:], None], strict=True):
            inside = chunk[left + 1 : right]
            if inside and self._changes(chunk[left], None if right is None else chunk[right]):
                between += inside
        self._look(between)
        done = [seen for seen in chunk if not seen.reported and (seen.score is not None or seen.shot.error)]
        for seen in chunk:
            seen.reported = True
        return [seen.score or self._failed(seen.shot) for seen in done]

    def _changes(self, left: _Seen, right: _Seen | None) -> bool:
        """Whether something may have happened between two coarse frames; after the last one, if it is a flip."""
        if left.odds is None or right is None or right.odds is None:
            flips = [seen.score for seen in (left, right) if seen is not None and seen.score is not None]
            return any(score.label == self._model.classes.positive for score in flips)
        assert left.score is not None
        assert right.score is not None
        return left.score.label != right.score.label or abs(left.odds - right.odds) >= self._settings.change

    def _look(self, wanted: list[_Seen]) -> None:
        spec = self._model.preprocess
        readable = [seen for seen in wanted if seen.prepared is not None or seen.shot.image is not None]
        for first in range(0, len(readable), self._settings.batch_size):
            part = readable[first : first + self._settings.batch_size]
            probabilities, hands = self._model.predict_with_maps(
                np.stack([spec.normalise(self._prepared(seen)) for seen in part])
            )
            for place, seen in enumerate(part):
                self._record(seen, float(probabilities[place]), None if hands is None else hands[place])

    def _prepared(self, seen: _Seen) -> Image:
        if seen.prepared is not None:
            return seen.prepared
        assert seen.shot.image is not None
        return resize_frame(self._model.preprocess, seen.shot.image)

    def _record(self, seen: _Seen, probability: float, hands: Maps | None) -> None:
        shot = seen.shot
        label = self._model.classes.names[int(probability >= self._threshold)]
        quality: FrameQuality | None = None
        if self._meter is not None and seen.coarse and shot.image is not None:
            height, width = shot.image.shape[:2]
            over = None if hands is None else self._model.preprocess.unplace(hands, height, width)
            quality = self._meter(shot.image, over)
        seen.odds = float(log_odds([probability])[0])
        seen.score = FrameScore(
            shot.path, self._video, shot.frame, probability, label, time_s=shot.time_s, quality=quality
        )
        seen.shot = StreamFrame(shot.path, shot.time_s, shot.frame, None, shot.error)
        seen.prepared = None

    def _failed(self, shot: StreamFrame) -> FrameScore:
        return FrameScore(shot.path, self._video, shot.frame, error=shot.error, time_s=shot.time_s)
