"""Twins side by side: two rendered frames that differ in the sheet alone, in one batch and augmented alike.

What tells them apart is then the sheet, whatever the book, the light and the augmentation: a contrast as in siamese
training (Bromley et al., 1993).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from flipdetect.data.dataset import Draw, EpochSampler
from flipdetect.records import FrameRecord

TWIN_COLUMN = "twin"
"""Column of `labels.csv`: an id that the two frames of a pair share; empty for a frame without a twin."""


def twin_positions(records: Sequence[FrameRecord]) -> list[tuple[int, int]]:
    """Positions of the frames whose twin is among the records, too, by pair."""
    found: dict[str, list[int]] = {}
    for position, record in enumerate(records):
        if twin := record.extra.get(TWIN_COLUMN):
            found.setdefault(twin, []).append(position)
    return [(each[0], each[1]) for each in found.values() if len(each) == 2]


class PairSampler(EpochSampler):
    """Draws frames two by two: twins together, and of those without a twin any two.

    The order follows from seed and epoch alone. Every process draws the whole epoch and takes whole pairs from it, so
    that with an even batch size each pair lies in one batch. If the frames without a twin are odd in number, another
    one is left out in each epoch.

    Args:
        dataset: what the positions of `records` point into.
        records: the frames to draw from.
        epoch_frames: frames in an epoch of all processes, rounded up to whole pairs for each of them; None: each once.
        num_replicas, rank: processes, and which one this is.
        seed: another seed, another order.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        records: Sequence[FrameRecord],
        *,
        epoch_frames: int | None,
        num_replicas: int,
        rank: int,
        seed: int,
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, seed=seed)
        self._twins = twin_positions(records)
        self._singles = sorted(set(range(len(records))) - {position for pair in self._twins for position in pair})
        frames = len(records) - len(self._singles) % 2 if epoch_frames is None else epoch_frames
        self._couples = -(-frames // (2 * num_replicas)) * num_replicas
        self.num_samples = 2 * self._couples // num_replicas
        self.total_size = 2 * self._couples

    def __iter__(self) -> Iterator[Draw]:
        seen: Counter[int] = Counter()
        draws: list[tuple[Draw, Draw]] = []
        for number, (first, second, are_twins) in enumerate(self._drawn()):
            pair = number if are_twins else None
            one = Draw(self.epoch, first, seen[first], pair)
            seen[first] += 1
            draws.append((one, Draw(self.epoch, second, seen[second], pair)))
            seen[second] += 1
        return (draw for couple in draws[self.rank :: self.num_replicas] for draw in couple)

    def _drawn(self) -> list[tuple[int, int, bool]]:
        """Two positions each, and whether they are twins; none comes again before all have come."""
        rng = np.random.default_rng((self.seed, self.epoch))
        singles = rng.permutation(self._singles).astype(int).tolist()
        every = [(*pair, True) for pair in self._twins]
        every += [(first, second, False) for first, second in zip(singles[::2], singles[1::2], strict=False)]
        rounds = -(-self._couples // len(every))
        order = np.concatenate([rng.permutation(len(every)) for _ in range(rounds)])
        return [every[i] for i in order[: self._couples].tolist()]
