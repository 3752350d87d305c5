"""Frame files to scores: decoded and scored in batches, on all cores, results in order as they come.

Two ways to keep the cores busy. A model that computes in the calling thread alone (ONNX Runtime with one thread) is
called from several threads at a time, each of which decodes a batch and scores it: nobody waits for anybody. A model
that takes all cores by itself (PyTorch) is called from one thread, while others decode the next batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flipdetect.errors import FrameError
from flipdetect.inference.cores import usable_cores
from flipdetect.inference.model import Model
from flipdetect.records import FrameScore
from flipdetect.sources.folder import name_below
from flipdetect.sources.naming import unlabelled_video

Frames = npt.NDArray[np.float32]
Loaded = list[tuple[Path, Frames | FrameError]]

BATCH = 16
"""Frames scored at a time where a model takes all cores: below it, PyTorch divides too little among them."""
SINGLE_BATCH = 4
"""The same where a call has one core. ONNX Runtime takes no less time per frame for more of them, rather more: those of
a small batch stay in the core's own cache."""
WAITING = 3
"""Batches per thread that are begun before the first of them is asked for."""


@dataclass(frozen=True)
class Predictor:
    """Scores frame files.

    Attributes:
        model: the trained model.
        threshold: from this probability on, a frame belongs to the positive class.
        batch_size: frames scored at a time; None: as many as suit the model.
        workers: threads that decode (and score, if the model is single-threaded); None: one per core.
    """

    model: Model
    threshold: float
    batch_size: int | None = None
    workers: int | None = None

    def predict(self, paths: Iterable[Path], root: Path) -> Iterator[list[FrameScore]]:
        """Score files, yielding a batch of results at a time, in the order of `paths`.

        A file that cannot be read gets a score with a reason and no probability. What is read ahead is bounded.

        Args:
            paths: the files.
            root: scores name files and videos relative to this folder.
        """
        workers = self.workers or usable_cores()
        pool = ThreadPoolExecutor(workers)
        try:
            single = self.model.is_single_threaded
            yield from self._side_by_side(pool, workers, paths, root) if single else self._ahead(pool, paths, root)
        finally:
            pool.shutdown(cancel_futures=True)

    def _side_by_side(
        self, pool: ThreadPoolExecutor, workers: int, paths: Iterable[Path], root: Path
    ) -> Iterator[list[FrameScore]]:
        """Each thread decodes a batch and scores it."""
        queue = iter(paths)
        size = self.batch_size or SINGLE_BATCH
        begun: deque[Future[list[FrameScore]]] = deque()
        while True:
            while len(begun) < WAITING * workers and (batch := list(islice(queue, size))):
                begun.append(pool.submit(self._load_and_score, batch, root))
            if not begun:
                return
            yield begun.popleft().result()

    def _ahead(self, pool: ThreadPoolExecutor, paths: Iterable[Path], root: Path) -> Iterator[list[FrameScore]]:
        """Threads decode the next batch while this one scores."""
        queue = iter(paths)
        size = self.batch_size or BATCH
        ahead = [(path, pool.submit(self._load, path)) for path in islice(queue, size)]
        while ahead:
            current = ahead
            ahead = [(path, pool.submit(self._load, path)) for path in islice(queue, size)]
            yield self._score([(path, future.result()) for path, future in current], root)

    def _load_and_score(self, batch: list[Path], root: Path) -> list[FrameScore]:
        return self._score([(path, self._load(path)) for path in batch], root)

    def _load(self, path: Path) -> Frames | FrameError:
        try:
            return self.model.preprocess.load(path)
        except FrameError as error:
            return error

    def _score(self, loaded: Loaded, root: Path) -> list[FrameScore]:
        frames = [frame for _, frame in loaded if not isinstance(frame, FrameError)]
        found = iter(self.model.probabilities(np.stack(frames)) if frames else ())
        return [
            self._failed(path, frame, root) if isinstance(frame, FrameError) else self._scored(path, next(found), root)
            for path, frame in loaded
        ]

    def _scored(self, path: Path, probability: float, root: Path) -> FrameScore:
        label = self.model.classes.names[int(probability >= self.threshold)]
        video, frame = unlabelled_video(path, root, self.model.naming)
        return FrameScore(name_below(path, root), video, frame, float(probability), label)

    def _failed(self, path: Path, error: FrameError, root: Path) -> FrameScore:
        video, frame = unlabelled_video(path, root, self.model.naming)
        return FrameScore(name_below(path, root), video, frame, error=str(error))
