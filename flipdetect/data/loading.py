"""How training loads frames: which ones an epoch consists of, in which order, and by how many processes.

Draws depend on seed and epoch alone, so that an epoch can be repeated, resumed and shared by processes. Every process
draws the whole epoch and takes its own share of it.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from flipdetect.data.dataset import Draw
from flipdetect.errors import ConfigError
from flipdetect.records import FrameRecord
from flipdetect.sources.image import usable_cores

logger = logging.getLogger(__name__)
_log_once = cache(logger.info)

MAX_WORKERS = 8
"""Loader processes; more do not help, because frames come decoded from the cache."""
Balance = Literal["none", "class", "video"]
TWIN_COLUMN = "twin"
"""Column of `labels.csv`: an id that the two frames of a pair share; empty for a frame without a twin."""


class EpochSampler(DistributedSampler[Any]):
    """All frames once, shuffled by seed and epoch.

    Lightning calls `set_epoch`, and leaves a `DistributedSampler` in place when several processes train.
    """

    def __iter__(self) -> Iterator[Draw]:
        return (Draw(self.epoch, int(index)) for index in super().__iter__())


class Pool:
    """Frames to draw from, each as often as its class and video allow; see `balance` of `FrameDataModule`.

    `first` is the position of the first record in the data set.
    """

    def __init__(self, records: Sequence[FrameRecord], balance: Balance, first: int = 0) -> None:
        classes: dict[str, dict[str, list[int]]] = {}
        for position, record in enumerate(records, start=first):
            label = "" if balance == "none" else record.label
            video = record.video if balance == "video" else ""
            classes.setdefault(label, {}).setdefault(video, []).append(position)
        self._classes = [[np.array(found) for found in videos.values()] for videos in classes.values()]

    def draw(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Positions of `count` frames; a frame of a video is repeated only after all of its frames were drawn."""
        chosen = [np.empty(0, np.int64)]
        for videos, of_class in zip(self._classes, _even_parts(count, len(self._classes), rng), strict=True):
            for frames, times in zip(videos, _even_parts(of_class, len(videos), rng), strict=True):
                rounds = math.ceil(times / len(frames))
                chosen += [rng.permutation(frames)[: times - i * len(frames)] for i in range(rounds)]
        return np.concatenate(chosen)


def _even_parts(count: int, parts: int, rng: np.random.Generator) -> list[int]:
    """`count` as whole numbers that differ by at most 1; which parts get one more is random."""
    base, rest = divmod(count, parts)
    more = set(rng.permutation(parts)[:rest].tolist())
    return [base + (part in more) for part in range(parts)]


class DrawSampler(EpochSampler):
    """Draws a number of frames from each of several pools, in random order.

    A frame drawn several times is augmented differently each time: `Draw.repeat` counts. The numbers of frames of all
    pools are together a multiple of `num_replicas`; `process` is that, `rank` and `seed`.
    """

    def __init__(self, dataset: Dataset[Any], pools: Sequence[tuple[Pool, int]], **process: Any) -> None:
        super().__init__(dataset, **process)
        self._pools = tuple(pools)
        self.total_size = sum(count for _, count in pools)
        self.num_samples = self.total_size // self.num_replicas

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng((self.seed, self.epoch))
        drawn = rng.permutation(np.concatenate([pool.draw(count, rng) for pool, count in self._pools]))
        seen: Counter[int] = Counter()
        draws = []
        for index in drawn.tolist():
            draws.append(Draw(self.epoch, index, seen[index]))
            seen[index] += 1
        return iter(draws[self.rank :: self.num_replicas])


def twin_positions(records: Sequence[FrameRecord]) -> list[tuple[int, int]]:
    """Positions of the two frames of each pair of twins; a frame whose twin is not among the records is left out."""
    found: dict[str, list[int]] = {}
    for position, record in enumerate(records):
        if twin := record.extra.get(TWIN_COLUMN):
            found.setdefault(twin, []).append(position)
    return [(each[0], each[1]) for each in found.values() if len(each) == 2]


class PairSampler(EpochSampler):
    """Draws frames two by two: twins (rendered frames that differ only in the turning sheet), or any two without twins.

    Twins in one batch, augmented alike, differ in nothing but the sheet: a contrast as in siamese training (Bromley et
    al., 1993). Every process takes whole pairs, so that with an even batch size each pair is in one batch. If the
    number of frames without a twin is odd, a different one is left out in each epoch. `epoch_frames` are those of all
    processes, rounded up to whole pairs for each; None: each frame once.
    """

    def __init__(
        self, dataset: Dataset[Any], records: Sequence[FrameRecord], *, epoch_frames: int | None, **process: Any
    ) -> None:
        super().__init__(dataset, **process)
        self._twins = twin_positions(records)
        self._singles = sorted(set(range(len(records))) - {position for pair in self._twins for position in pair})
        frames = len(records) - len(self._singles) % 2 if epoch_frames is None else epoch_frames
        self._couples = -(-frames // (2 * self.num_replicas)) * self.num_replicas
        self.num_samples = 2 * self._couples // self.num_replicas
        self.total_size = 2 * self._couples

    def __iter__(self) -> Iterator[Draw]:
        rng = np.random.default_rng((self.seed, self.epoch))
        singles = rng.permutation(self._singles).astype(int).tolist()
        every = [(*pair, True) for pair in self._twins]
        every += [(first, second, False) for first, second in zip(singles[::2], singles[1::2], strict=False)]
        # No couple is repeated before all have been drawn.
        rounds = -(-self._couples // len(every))
        order = np.concatenate([rng.permutation(len(every)) for _ in range(rounds)])
        seen: Counter[int] = Counter()
        draws: list[tuple[Draw, Draw]] = []
        for number, place in enumerate(order[: self._couples].tolist()):
            first, second, are_twins = every[place]
            pair = number if are_twins else None
            draws.append((Draw(self.epoch, first, seen[first], pair), Draw(self.epoch, second, seen[second], pair)))
            seen.update((first, second))
        return (draw for couple in draws[self.rank :: self.num_replicas] for draw in couple)


def train_sampler(
    dataset: Dataset[Any],
    own: Sequence[FrameRecord],
    rendered: Sequence[FrameRecord] = (),
    *,
    share: float = 0.0,
    epoch_frames: int | None = None,
    balance: Balance = "none",
    pairs: bool = False,
    **process: Any,
) -> EpochSampler:
    """The sampler that fits the settings of `FrameDataModule`, which the log explains.

    Args:
        dataset: the frames of `own`, followed by those of `rendered`.
        share: of rendered frames in an epoch, 0 to below 1.
        process: `num_replicas`, `rank` and `seed`.

    Raises:
        ConfigError: if an epoch would hold no own frame.
    """
    if pairs:
        twins = len(twin_positions(own))
        if rendered:
            reason = "data.mix_in is set"
        elif balance != "none":
            reason = f"data.balance is {balance}"
        elif not twins:
            reason = "no two training frames are twins"
        else:
            logger.info("Drawn in pairs of twins: %d of %d training frames.", 2 * twins, len(own))
            return PairSampler(dataset, own, epoch_frames=epoch_frames, **process)
        logger.info("data.pairs is ignored: %s.", reason)
    if not rendered and epoch_frames is None and balance == "none":
        return EpochSampler(dataset, **process)
    counts = epoch_counts(len(own), epoch_frames=epoch_frames, share=share, ranks=process["num_replicas"])
    logger.info("An epoch: %d frames drawn from %d of your own, and %d rendered ones.", counts[0], len(own), counts[1])
    pools = [(Pool(own, balance), counts[0])]
    if rendered:
        pools.append((Pool(rendered, balance, first=len(own)), counts[1]))
    return DrawSampler(dataset, pools, **process)


def epoch_counts(own: int, *, epoch_frames: int | None, share: float, ranks: int) -> tuple[int, int]:
    """How many own and how many rendered frames an epoch of all processes holds; together a multiple of `ranks`.

    Without `epoch_frames`, as many as it takes to draw each own frame once.

    Raises:
        ConfigError: if no own frame is left.
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


class ShareSampler(DistributedSampler[Any]):
    """A validation or test set in order; each process takes its share.

    Lightning's own sampler repeats frames until all shares are equal, and metrics would count them twice.
    """

    def __init__(self, dataset: Dataset[Any], *, num_replicas: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)
        self._share = range(rank, len(dataset), num_replicas)  # type: ignore[arg-type]
        self.total_size = len(dataset)  # type: ignore[arg-type]
        self.num_samples = len(self._share)

    def __iter__(self) -> Iterator[int]:
        return iter(self._share)


def even_batch_size(frames: int, ranks: int, batch_size: int) -> int:
    """The batch size, or the next larger one with which the shares of all processes have the same number of batches.

    A process with one batch more would wait for the others forever.
    """
    largest, smallest = -(-frames // ranks), frames // ranks
    while smallest and -(-largest // batch_size) != -(-smallest // batch_size):
        batch_size += 1
    return batch_size


class FrameLoader(DataLoader[Any]):
    """Draws its first frame when the first batch is asked for, not when it is iterated.

    Lightning makes the first iterator before it restores a resumed run: drawn then, the first epoch after resuming
    would repeat the frames of epoch 0.
    """

    def __init__(self, dataset: Dataset[Any], **settings: Any) -> None:
        super().__init__(dataset, worker_init_fn=start_worker, **settings)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        yield from super().__iter__()


def start_worker(_: int) -> None:
    """Set up a loader process: without this, OpenCV starts a thread per core in every one of them."""
    cv2.setNumThreads(0)


def loader_settings(
    workers: int | None = None,
    prefetch: int | None = None,
    pin: bool | None = None,
    *,
    processes: int = 1,
    cores: int | None = None,
) -> dict[str, Any]:
    """The arguments of a `DataLoader`; None is replaced by what suits the machine, and logged once.

    Two cores are left to the model; each of the `processes` that train on this machine gets its share of the others as
    loader processes, at most 8. On two cores, frames are loaded in the training process itself: a loader process would
    compete with the model's threads (loading in between measured 1.2 times as fast for TinyCNN). Memory is pinned if
    there is a GPU.
    """
    cores = usable_cores() if cores is None else cores
    chosen = max(0, min(MAX_WORKERS, cores // processes - 2)) if workers is None else workers
    settings = {
        "num_workers": chosen,
        "prefetch_factor": (prefetch or 2) if chosen else None,
        "pin_memory": torch.cuda.is_available() if pin is None else pin,
        "persistent_workers": chosen > 0,
    }
    how = f"{chosen} loader processes" if chosen else "in the training process"
    _log_once("Loading on %d cores: %s%s.", cores, how, ", into pinned memory" if settings["pin_memory"] else "")
    return settings
