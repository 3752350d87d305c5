"""Frame files to scores: decoding in threads, scoring in batches, results in order as they come."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FrameError
from flipdetect.records import ClassNames, FrameScore
from flipdetect.sources.folder import name_below
from flipdetect.sources.naming import NamePattern, unlabelled_video

Frames = npt.NDArray[np.float32]


class Model(Protocol):
    """What a predictor needs of a trained model, whatever runs it."""

    @property
    def classes(self) -> ClassNames:
        """Names of the classes."""

    @property
    def preprocess(self) -> PreprocessSpec:
        """What a frame becomes before the model sees it."""

    @property
    def naming(self) -> NamePattern | None:
        """How file names are read."""

    def probabilities(self, frames: Frames) -> npt.NDArray[np.float64]:
        """(B, C, H, W) float32 -> (B,) float64."""


@dataclass(frozen=True)
class Predictor:
    """Scores frame files.

    Attributes:
        model: the trained model.
        threshold: from this probability on, a frame belongs to the positive class.
        batch_size: frames scored at a time.
        workers: decoding threads; None: one per core.
    """

    model: Model
    threshold: float
    batch_size: int = 16
    workers: int | None = None

    def predict(self, paths: Iterable[Path], root: Path) -> Iterator[list[FrameScore]]:
        """Score files, yielding a batch of results at a time, in the order of `paths`.

        A file that cannot be read gets a score with a reason and no probability. Decoding runs one batch ahead.

        Args:
            paths: the files.
            root: scores name files and videos relative to this folder.
        """
        with ThreadPoolExecutor(self.workers or os.cpu_count() or 1) as pool:
            queue = iter(paths)
            ahead = [(path, pool.submit(self._load, path)) for path in islice(queue, self.batch_size)]
            while ahead:
                current = ahead
                ahead = [(path, pool.submit(self._load, path)) for path in islice(queue, self.batch_size)]
                yield self._score([(path, future.result()) for path, future in current], root)

    def _load(self, path: Path) -> Frames | FrameError:
        try:
            return self.model.preprocess.load(path)
        except FrameError as error:
            return error

    def _score(self, loaded: list[tuple[Path, Frames | FrameError]], root: Path) -> list[FrameScore]:
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
