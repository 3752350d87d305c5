"""Which training frames an epoch is made of: how often each is drawn, and how many rendered ones come among them.

What is drawn depends on seed and epoch alone, so that an epoch can be repeated, resumed and shared by processes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset

from flipdetect.data.dataset import Draw, EpochSampler
from flipdetect.errors import ConfigError
from flipdetect.records import FrameRecord

Balance = Literal["none", "class", "video"]
Positions = npt.NDArray[np.int64]


class Pool:
    """Frames to draw from, each as often as its class and video allow.

    Args:
        records: the frames.
        balance: "none": every frame alike; "class": both classes alike, and the frames of a class alike; "video":
            both classes alike, and the videos of a class alike, however many frames they have.
        first: position of the first record in the data set.
    """

    def __init__(self, records: Sequence[FrameRecord], balance: Balance, first: int = 0) -> None:
        classes: dict[str, dict[str, list[int]]] = {}
        for position, record in enumerate(records, start=first):
            label = "" if balance == "none" else record.label
            video = record.video if balance == "video" else ""
            classes.setdefault(label, {}).setdefault(video, []).append(position)
        self._classes = [[np.array(found) for found in videos.values()] for videos in classes.values()]

    def draw(self, count: int, rng: np.random.Generator) -> Positions:
        """Positions of `count` frames; no frame of a video comes again before all of them have come."""
        chosen = [np.empty(0, np.int64)]
        for videos, of_class in zip(self._classes, _even_parts(count, len(self._classes), rng), strict=True):
            for frames, times in zip(videos, _even_parts(of_class, len(videos), rng), strict=True):
                rounds = math.ceil(times / len(frames))
                chosen += [rng.permutation(frames)[: times - i * len(frames)] for i in range(rounds)]
        return np.concatenate(chosen)


class DrawSampler(EpochSampler):
    """Draws the frames of each epoch anew from one or several pools, so many from each, in random order.

    Every process draws the whole epoch and takes its own share of it. A frame drawn several times is augmented
    differently each time: `Draw.repeat` counts.

    Args:
        dataset: what the pools' positions point into.
        pools: with the number of frames that an epoch takes from each; together a multiple of `num_replicas`.
        num_replicas, rank: processes, and which one this is.
        seed: another seed, other draws.
    """

    def __init__(
        self, dataset: Dataset[Any], pools: Sequence[tuple[Pool, int]], *, num_replicas: int, rank: int, seed: int
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, seed=seed)
        self._pools = tuple(pools)
        self.total_size = sum(count for _, count in pools)
        self.num_samples = self.total_size // num_replicas

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng((self.seed, self.epoch))
        drawn = rng.permutation(np.concatenate([pool.draw(count, rng) for pool, count in self._pools]))
        seen: Counter[int] = Counter()
        draws = []
        for index in drawn.tolist():
            draws.append(Draw(self.epoch, index, seen[index]))
            seen[index] += 1
        return iter(draws[self.rank :: self.num_replicas])


def epoch_counts(own: int, *, epoch_frames: int | None, share: float, ranks: int) -> tuple[int, int]:
    """How many of one's own frames and how many rendered ones an epoch holds; together a multiple of `ranks`.

    Args:
        own: number of one's own training frames.
        epoch_frames: of both together; None: as many as it takes for each of one's own to come once.
        share: of the rendered ones, 0 to below 1.
        ranks: processes that share the epoch.
    """
    total = round(own / (1 - share)) if epoch_frames is None else epoch_frames
    total += -total % ranks
    rendered = math.floor(total * share + 0.5)
    if rendered >= total:
        raise ConfigError(
            f"data.epoch_frames={epoch_frames} with data.mix_in.share={share} leaves no frame of your own in an "
            "epoch; raise the one or lower the other"
        )
    return total - rendered, rendered


def _even_parts(count: int, parts: int, rng: np.random.Generator) -> list[int]:
    """`count` as whole numbers that differ by 1 at most; which parts get one more is drawn."""
    base, rest = divmod(count, parts)
    more = set(rng.permutation(parts)[:rest].tolist())
    return [base + (part in more) for part in range(parts)]
