"""From clips to turns and stills: score, find, choose. What is done survives an interruption."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from flipdetect.errors import FlipdetectError, FrameError
from flipdetect.events.score_history import ScoredFrame
from flipdetect.inference.model import Model
from flipdetect.inference.settings import EventSettings
from flipdetect.inference.video import Scanner, ScanSettings
from flipdetect.outputs.predictions import PredictionWriter
from flipdetect.pipeline.clips import Clip, Picture
from flipdetect.records import FrameScore, Still, VideoResult
from flipdetect.stills.repeats import find_repeats
from flipdetect.stills.select import choose_stills

logger = logging.getLogger(__name__)

Progress = Callable[[list[FrameScore]], None]

COMPARE_SIZE = (960, 540)
"""Height and width that pictures still cover when repeats are confirmed: text is legible, and little is decoded."""

SAME_TIME_S = 1e-4
"""Seconds by which a time that was written and read may be off."""


class Extraction:
    """A job over clips that keeps what it has found.

    Attributes:
        scores: of each clip so far, in order of time.
        problems: of each clip so far, for the user.
        finished: clips that were read to their end.

    Args:
        model: that scores; None if all scores are given.
        settings: how turns and stills are found.
        threshold: probability from which a frame counts as a flip.
        model_name: for the tables.
        batch_size: frames scored at a time.
    """

    def __init__(
        self,
        model: Model | None,
        settings: EventSettings,
        threshold: float | None,
        model_name: str = "",
        batch_size: int = 8,
    ) -> None:
        self._model = model
        self._settings = settings
        self._threshold = threshold
        self._model_name = model_name
        self._batch_size = batch_size
        self.scores: dict[str, list[FrameScore]] = {}
        self.problems: dict[str, tuple[str, ...]] = {}
        self.finished: set[str] = set()

    def resume(self, scores: Iterable[FrameScore]) -> None:
        """Take over what an earlier run has scored, clip after clip; all but the last of them are finished."""
        for score in scores:
            self.scores.setdefault(score.video, []).append(score)
        self.finished.update(list(self.scores)[:-1])

    def score(self, clip: Clip, writer: PredictionWriter, progress: Progress | None = None) -> None:
        """Score a clip, or what is left of it, writing rows as they come.

        A clip that cannot be read at all has that as its problem; the job goes on.
        """
        assert self._model is not None
        assert self._threshold is not None
        if clip.video in self.finished:
            return
        known = self.scores.setdefault(clip.video, [])
        scan = ScanSettings(refine=clip.refine, batch_size=self._batch_size)
        scanner = Scanner(self._model, self._threshold, clip.video, scan)
        try:
            with clip.shots(known) as shots:
                done = max((score.time_s or 0.0 for score in known), default=-1.0) + SAME_TIME_S
                for scores in scanner.scan(shots):
                    # Where a run goes on, the first frames are those that the earlier one ended with.
                    found = [score for score in scores if score.time_s is None or score.time_s > done]
                    writer.write(found)
                    known += found
                    if progress is not None:
                        progress(found)
                self.problems[clip.video] = shots.problems
            self.finished.add(clip.video)
        except FrameError as error:
            self.problems[clip.video] = (str(error),)
        for problem in self.problems[clip.video]:
            logger.warning("%s: %s", clip.source, problem)

    def result(self, clip: Clip | None, video: str, source: str = "") -> VideoResult:
        """Turns and stills of a clip, from what was scored so far.

        Args:
            clip: to look at pictures again, where spreads seem to repeat; None if there are none.
            video: the clip's name.
            source: the file or folder, if there is no clip.
        """
        scores = [score for score in self.scores.get(video, []) if score.time_s is not None]
        frames = [ScoredFrame(score.time_s or 0.0, score.probability, score.frame) for score in scores]
        events = self._settings.find(frames, video)
        measured = [score for score in scores if score.quality is not None]
        stills = choose_stills(measured, events, self._settings.stills, video) if measured else []
        unread = sum(score.probability is None for score in self.scores.get(video, []))
        lost = (f"{unread} frames could not be read; predictions say why",) if unread else ()
        result = VideoResult(
            video=video,
            source=clip.source if clip is not None else source,
            duration_s=frames[-1].time_s - frames[0].time_s if frames else 0.0,
            frames=len(self.scores.get(video, [])),
            events=tuple(events),
            stills=tuple(stills),
            model=self._model_name,
            threshold=self._threshold,
            problems=(*self.problems.get(video, ()), *lost),
            complete=video in self.finished,
        )
        return result if clip is None else self._confirmed(result, clip)

    def _confirmed(self, result: VideoResult, clip: Clip) -> VideoResult:
        """Repeats looked at closely, in the pictures; where they cannot be, both spreads stay."""

        def fetch(still: Still) -> Picture:
            return next(picture for _, picture in clip.pictures([still], COMPARE_SIZE))

        try:
            stills = find_repeats(result.stills, fetch, self._settings.stills)
        except FlipdetectError as error:
            logger.warning("%s: repeated spreads could not be compared, so all are kept: %s", clip.source, error)
            stills = [replace(still, same_as=None) for still in result.stills]
        return replace(result, stills=tuple(stills))


def by_video(scores: Sequence[FrameScore]) -> dict[str, list[FrameScore]]:
    """Scores of each clip in order of time, clips in the order in which they first appear."""
    found: dict[str, list[FrameScore]] = {}
    for score in scores:
        found.setdefault(score.video, []).append(score)
    return {video: sorted(own, key=lambda score: score.time_s or 0.0) for video, own in found.items()}
