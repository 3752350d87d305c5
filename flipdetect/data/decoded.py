"""Frames that were decoded: where each lies in the cache, and how lists of files are worked through."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from flipdetect.data.frame_set import Frame
from flipdetect.data.packs import map_pack
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FrameError
from flipdetect.progress import progress_bar

logger = logging.getLogger(__name__)

NOWHERE = -1

Result = TypeVar("Result")


@dataclass(frozen=True)
class DecodedFrames:
    """The frames of a list of files at working size, and the files that could not be decoded.

    Cheap to hand to another process: what travels is where the frames lie.

    Attributes:
        files: paths as text, in the order given.
        spec: the preprocessing whose size they were brought to.
        failures: reason by position in `files`.
        packs: the cache files that hold the frames; empty if the cache is off.
        pack_of: (N,) int32, for each file its pack; `NOWHERE` if it is not cached, in which case the frame is decoded
            each time it is asked for.
        row_of: (N,) int32, for each file its row in the pack.
    """

    files: tuple[str, ...]
    spec: PreprocessSpec
    failures: dict[int, str]
    packs: tuple[Path, ...]
    pack_of: npt.NDArray[np.int32]
    row_of: npt.NDArray[np.int32]
    _mapped: dict[int, Frame | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def cached(self) -> int:
        """How many of the files need not be decoded again."""
        return int(np.count_nonzero(self.pack_of != NOWHERE)) + len(self.failures)

    def __getitem__(self, position: int) -> Frame:
        """(height, width, channels) uint8; a copy, free to be written to.

        Raises:
            FrameError: if the file could not be decoded.
        """
        if position in self.failures:
            raise FrameError(self.failures[position])
        pack = int(self.pack_of[position])
        mapped = None if pack == NOWHERE else self._map(pack)
        if mapped is None:
            return self.spec.read(Path(self.files[position]))
        return np.array(mapped[self.row_of[position]])

    def map_all(self) -> None:
        """Open all packs: what is open stays readable if another process makes room."""
        for pack in range(len(self.packs)):
            self._map(pack)

    def _map(self, pack: int) -> Frame | None:
        if pack not in self._mapped:
            shape = (self.spec.height, self.spec.width, self.spec.channels)
            try:
                self._mapped[pack] = map_pack(self.packs[pack], shape)
            except (OSError, ValueError) as error:
                logger.warning("The cache file %s is gone (%s): its frames are decoded anew.", self.packs[pack], error)
                self._mapped[pack] = None
        return self._mapped[pack]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_mapped": {}}


def check_frames(files: tuple[str, ...], spec: PreprocessSpec, workers: int | None) -> DecodedFrames:
    """Decode all files to find those that cannot be decoded, and keep nothing."""

    def attempt(position: int) -> str | None:
        try:
            spec.read(Path(files[position]))
        except FrameError as error:
            return str(error)
        return None

    results = in_threads(attempt, range(len(files)), workers, "checking frames")
    failures = {position: reason for position, reason in results if reason is not None}
    nowhere = np.full(len(files), NOWHERE, np.int32)
    return DecodedFrames(files, spec, failures, (), nowhere, nowhere)


def in_threads(
    work: Callable[[int], Result], positions: Sequence[int], workers: int | None, what: str
) -> Iterator[tuple[int, Result]]:
    """Yield (position, result) in order; a bounded number of results is held at a time."""
    count = workers or os.cpu_count() or 1
    bar = progress_bar(total=len(positions), desc=what, unit="frame", delay=2)
    with bar, ThreadPoolExecutor(count) as pool:
        queue: Iterable[int] = iter(positions)
        pending = [(i, pool.submit(work, i)) for i in islice(queue, 8 * count)]
        while pending:
            position, result = pending.pop(0)
            yield position, result.result()
            bar.update()
            pending.extend((i, pool.submit(work, i)) for i in islice(queue, 1))
