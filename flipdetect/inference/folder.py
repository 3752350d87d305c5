"""Score frame files: decoded and scored in batches, on all cores, results in order.

There are two ways to keep the cores busy. A model that computes in the calling thread alone (ONNX Runtime with one
thread) is called from several threads at a time, each of which decodes a batch and scores it. A model that uses all
cores by itself (PyTorch) is called from one thread, while others decode the next batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from flipdetect.errors import FrameError
from flipdetect.inference.model import Inputs, Model, usable_cores
from flipdetect.records import FrameScore
from flipdetect.sources.folder import name_below
from flipdetect.sources.naming import unlabelled_video

BATCH = 16
"""Frames scored at a time where a model uses all cores: smaller batches give PyTorch too little to share."""
SINGLE_BATCH = 4
"""The same where a call has one core. Larger batches don't help ONNX Runtime: small ones stay in the core's cache."""
WAITING = 3
"""Batches per thread that are started before the first of them is needed."""


@dataclass(frozen=True)
class Predictor:
    """Scores frame files.

    Attributes:
        model: the trained model.
        threshold: a frame with at least this probability belongs to the positive class.
        batch_size: frames scored at a time; None: what suits the model.
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
            paths: the files.
            root: scores name files and videos relative to this folder.
        """
        workers = self.workers or usable_cores()
        queue = iter(paths)
        pool = ThreadPoolExecutor(workers)
        try:
            if self.model.is_single_threaded:  # each thread decodes a batch and scores it
                size = self.batch_size or SINGLE_BATCH
                started: deque[Future[list[FrameScore]]] = deque()
                while True:
                    while len(started) < WAITING * workers and (batch := list(islice(queue, size))):
                        started.append(
                            pool.submit(lambda batch: self._score(batch, map(self._load, batch), root), batch)
                        )
                    if not started:
                        return
                    yield started.popleft().result()
            else:  # threads decode the next batch while this one is scored
                size = self.batch_size or BATCH
                ahead = [(path, pool.submit(self._load, path)) for path in islice(queue, size)]
                while ahead:
                    current = ahead
                    ahead = [(path, pool.submit(self._load, path)) for path in islice(queue, size)]
                    yield self._score([path for path, _ in current], (future.result() for _, future in current), root)
        finally:
            pool.shutdown(cancel_futures=True)

    def _load_and_score(self, batch: Sequence[Path], root: Path) -> list[FrameScore]:
        return self._score(batch, map(self._load, batch), root)

    def _load(self, path: Path) -> Inputs | FrameError:
        try:
            return self.model.preprocess.load(path)
        except FrameError as error:
            return error

    def _score(self, paths: Sequence[Path], inputs: Iterable[Inputs | FrameError], root: Path) -> list[FrameScore]:
        loaded = list(inputs)
        frames = [frame for frame in loaded if not isinstance(frame, FrameError)]
        found = iter(self.model.probabilities(np.stack(frames)).tolist() if frames else [])
        scores = []
        for path, frame in zip(paths, loaded, strict=True):
            video, number = unlabelled_video(path, root, self.model.naming)
            if isinstance(frame, FrameError):
                scores.append(FrameScore(name_below(path, root), video, number, error=str(frame)))
            else:
                probability = next(found)
                label = self.model.classes.names[int(probability >= self.threshold)]
                scores.append(FrameScore(name_below(path, root), video, number, probability, label))
        return scores
