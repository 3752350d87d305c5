"""Dynamic batching: pictures of concurrent requests are decoded in a few threads, and scored together by one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, Queue
from typing import BinaryIO

import numpy as np

from flipdetect.errors import FlipdetectError
from flipdetect.inference.model import Inputs, Model
from flipdetect.inference.score import BATCH
from flipdetect.sources.image import usable_cores

Waiting = tuple[Inputs, "Future[float]"]


class QueueFullError(FlipdetectError):
    """More is waiting than the service accepts; try again later."""


class PictureQueue:
    """Decodes and scores pictures for many callers at once.

    While a batch is scored, what comes next gathers and is scored as one: alone, a picture waits for no other.

    Attributes:
        capacity, held: pictures that callers may hold room for, and do now; changed in the event loop's thread alone.

    Args:
        on_batch: called with the size of each batch, in the scoring thread.
    """

    def __init__(self, model: Model, capacity: int, on_batch: Callable[[int], None] = lambda size: None) -> None:
        self.capacity = capacity
        self.held = 0
        self._model = model
        self._on_batch = on_batch
        # Decoded pictures are large: when the scoring thread falls behind, decoding waits.
        self._decoded: Queue[Waiting | None] = Queue(maxsize=2 * BATCH)
        self._decoders = ThreadPoolExecutor(usable_cores(), "decode picture")
        self._scorer = threading.Thread(target=self._score, name="score pictures", daemon=True)
        self._scorer.start()

    @property
    def is_alive(self) -> bool:
        """Whether pictures are scored."""
        return self._scorer.is_alive()

    @contextmanager
    def place(self) -> Iterator[Callable[[int], None]]:
        """Room for one picture, given back at the end of the block; what it yields asks for room for so many in all.

        Raises:
            QueueFullError: here or there, if there is no room now.
        """
        own = 0

        def take(pictures: int) -> None:
            nonlocal own
            if self.held + pictures - own > self.capacity:
                raise QueueFullError(f"{self.held} pictures are waiting, {self.capacity} may; try again")
            self.held += pictures - own
            own = pictures

        try:
            take(1)
            yield take
        finally:
            self.held -= own

    def submit(self, source: bytes | BinaryIO) -> Future[float]:
        """The probability of a picture's positive class, later; or the FrameError of one that cannot be decoded.

        Args:
            source: an image file's contents, or the open file.
        """
        future: Future[float] = Future()
        self._decoders.submit(self._decode, source, future)
        return future

    def close(self) -> None:
        """Score what was submitted, and end the threads."""
        self._decoders.shutdown()
        self._decoded.put(None)
        self._scorer.join()

    def _decode(self, source: bytes | BinaryIO, future: Future[float]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            inputs = self._model.preprocess.load(source if isinstance(source, bytes) else source.read())
        except Exception as error:  # a caller waits for the answer, whatever it is
            future.set_exception(error)
        else:
            self._decoded.put((inputs, future))

    def _score(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                probabilities = self._model.probabilities(np.stack([inputs for inputs, _ in batch])).tolist()
            except Exception as error:
                for _, future in batch:
                    future.set_exception(error)
                continue
            self._on_batch(len(batch))
            for (_, future), probability in zip(batch, probabilities, strict=True):
                future.set_result(probability)

    def _next_batch(self) -> list[Waiting] | None:
        """What is there, one at least; None at the end."""
        batch: list[Waiting] = []
        try:
            item = self._decoded.get()
            while item is not None:
                batch.append(item)
                if len(batch) == BATCH:
                    return batch
                item = self._decoded.get_nowait()
        except Empty:
            return batch
        if batch:
            self._decoded.put(None)  # seen too early: for the next call
        return batch or None
