"""Epochs: exact shares, balanced classes and videos, whole pairs; the same again from seed and epoch."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.data.dataset import Draw
from flipdetect.data.loading import (
    DrawSampler,
    EpochSampler,
    PairSampler,
    Pool,
    ShareSampler,
    epoch_counts,
    even_batch_size,
    loader_settings,
    train_sampler,
    twin_positions,
)
from flipdetect.errors import ConfigError
from flipdetect.records import FrameRecord

LONG, SHORT, STILL = 30, 2, 1


def records(first: str = "") -> list[FrameRecord]:
    """A long and a short flip clip, and one still of the other class."""
    clips = (("flip", "long", LONG), ("flip", "short", SHORT), ("notflip", "still", STILL))
    return [
        FrameRecord(Path(f"{first}{video}_{frame}.jpg"), label, video, frame)
        for label, video, frames in clips
        for frame in range(frames)
    ]


def twins_and_singles(pairs: int, singles: int) -> list[FrameRecord]:
    """Twins first, then frames that have none."""
    twins = [
        FrameRecord(Path(f"{label}{i}"), label, label, extra={"twin": f"{i:04d}-1"})
        for i in range(pairs)
        for label in ("flip", "notflip")
    ]
    return twins + [FrameRecord(Path(f"single{i}"), "flip", "a", extra={"twin": ""}) for i in range(singles)]


def drawn(balance, count: int, seed: int = 0) -> np.ndarray:
    return Pool(records(), balance).draw(count, np.random.default_rng(seed))


def draws_of(sampler: EpochSampler, epoch: int) -> list[Draw]:
    sampler.set_epoch(epoch)
    draws = list(sampler)
    assert len(draws) == len(sampler)
    return draws


def plain(epoch: int, ranks: int = 1, rank: int = 0, seed: int = 3) -> list[Draw]:
    return draws_of(EpochSampler(range(60), num_replicas=ranks, rank=rank, seed=seed), epoch)


def pooled(epoch: int, ranks: int = 1, rank: int = 0, seed: int = 3) -> list[Draw]:
    own, rendered = records(), records("rendered-")
    pools = [(Pool(own, "video"), 60), (Pool(rendered, "none", first=len(own)), 20)]
    return draws_of(DrawSampler([None] * 66, pools, num_replicas=ranks, rank=rank, seed=seed), epoch)


def paired(
    epoch: int, ranks: int = 1, rank: int = 0, seed: int = 3, *, pairs=9, singles=6, frames: int | None = None
) -> list[Draw]:
    found = twins_and_singles(pairs, singles)
    return draws_of(PairSampler(found, found, epoch_frames=frames, num_replicas=ranks, rank=rank, seed=seed), epoch)


samplers = pytest.mark.parametrize("epoch", [plain, pooled, paired])


@samplers
def test_an_epoch_follows_from_seed_and_number_alone(epoch) -> None:
    assert epoch(2) == epoch(2)
    assert [draw.index for draw in epoch(2)] != [draw.index for draw in epoch(3)]
    assert [draw.index for draw in epoch(2)] != [draw.index for draw in epoch(2, seed=4)]
    assert {draw.epoch for draw in epoch(2)} == {2}


@samplers
def test_processes_share_an_epoch_and_no_draw_is_made_twice(epoch) -> None:
    shares = [epoch(1, ranks=4, rank=rank) for rank in range(4)]
    assert len({len(share) for share in shares}) == 1
    assert len({draw for share in shares for draw in share}) == sum(len(share) for share in shares)
    assert Counter(draw for share in shares for draw in share) == Counter(epoch(1))


def test_every_frame_alike_without_balance() -> None:
    assert sorted(drawn("none", 33)) == list(range(33))
    assert set(Counter(drawn("none", 66)).values()) == {2}
    assert len(set(drawn("none", 10))) == 10


def test_a_long_clip_does_not_drown_a_short_one() -> None:
    positions = drawn("video", 80)
    assert Counter(records()[position].video for position in positions) == {"long": 20, "short": 20, "still": 40}
    of_long = [count for position, count in Counter(positions.tolist()).items() if position < LONG]
    assert of_long == [1] * 20  # none comes again before all have come
    assert {count for p, count in Counter(positions.tolist()).items() if LONG <= p < LONG + SHORT} == {10}


@given(st.integers(0, 200), st.sampled_from(["none", "class", "video"]), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_exactly_as_many_as_asked_for(count: int, balance: str, seed: int) -> None:
    assert len(drawn(balance, count, seed)) == count


@given(
    st.integers(1, 5000), st.none() | st.integers(8, 5000), st.sampled_from([0.0, 0.25, 0.5, 0.8]), st.integers(1, 8)
)
@settings(max_examples=200, deadline=None)
def test_counts_keep_the_share_and_fill_all_processes_alike(own, epoch_frames, share, ranks) -> None:
    mine, rendered = epoch_counts(own, epoch_frames=epoch_frames, share=share, ranks=ranks)
    total = mine + rendered
    assert total % ranks == 0
    assert abs(rendered - share * total) <= 0.5
    wanted = own / (1 - share) if epoch_frames is None else epoch_frames
    assert wanted - 0.5 <= total < wanted + 0.5 + ranks


def test_an_epoch_without_a_frame_of_ones_own_is_refused() -> None:
    with pytest.raises(ConfigError, match="leaves no frame of your own"):
        epoch_counts(70, epoch_frames=1, share=0.9, ranks=1)


def test_repeats_of_a_frame_are_numbered() -> None:
    repeats: dict[int, list[int]] = {}
    for draw in pooled(0):
        repeats.setdefault(draw.index, []).append(draw.repeat)
    assert all(numbers == list(range(len(numbers))) for numbers in repeats.values())
    assert max(len(numbers) for numbers in repeats.values()) == 30


@pytest.mark.parametrize("frames", [3, 5, 9, 16, 17, 33])
@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 8])
def test_validation_frames_are_shared_without_repeats_in_equally_many_batches(
    frames: int, ranks: int, batch_size: int
) -> None:
    shares = [ShareSampler(range(frames), num_replicas=ranks, rank=rank) for rank in range(ranks)]
    assert sorted(index for share in shares for index in share) == list(range(frames))
    size = even_batch_size(frames, ranks, batch_size)
    assert size >= batch_size
    assert len({-(-len(share) // size) for share in shares}) == 1


@given(st.integers(1, 30), st.integers(0, 9), st.integers(1, 4), st.none() | st.integers(1, 100), st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_no_pair_is_torn_between_processes(
    pairs: int, singles: int, ranks: int, frames: int | None, epoch: int
) -> None:
    shares = [paired(epoch, ranks, rank, pairs=pairs, singles=singles, frames=frames) for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    for share in shares:
        for one, two in zip(share[::2], share[1::2], strict=True):
            assert one.pair == two.pair
            assert (one.pair is not None) == (max(one.index, two.index) < 2 * pairs)
            assert one.pair is None or one.index // 2 == two.index // 2
    every = [draw for share in shares for draw in share]
    assert len(set(every)) == len(every)
    wanted = 2 * pairs + singles - singles % 2 if frames is None else frames
    assert wanted <= len(every) < wanted + 2 * ranks
    if frames is None and ranks == 1:
        assert {draw.index for draw in every} >= set(range(2 * pairs))


def test_twins_share_a_stream_of_random_numbers_and_nobody_else_has_it() -> None:
    draws = paired(0, pairs=20, frames=120)
    streams = [draw.stream(1) for draw in draws]
    for one, two in zip(range(0, len(draws), 2), range(1, len(draws), 2), strict=True):
        assert (streams[one] == streams[two]) == (draws[one].pair is not None)
    couples = sum(draw.pair is None for draw in draws)
    assert len(set(streams)) == couples + (len(draws) - couples) // 2


def test_only_two_that_share_an_id_are_twins() -> None:
    three = [FrameRecord(Path(str(i)), "flip", "a", extra={"twin": "x"}) for i in range(3)]
    assert twin_positions(three) == []
    assert twin_positions(twins_and_singles(2, 1)) == [(0, 1), (2, 3)]
    assert twin_positions(twins_and_singles(2, 1)[1:]) == [(1, 2)]  # the first one's twin is in another split


@pytest.mark.parametrize(
    ("own", "more", "kind", "said"),
    [
        (twins_and_singles(2, 1), {}, PairSampler, "in pairs of twins: 4 of 5"),
        (records(), {}, EpochSampler, "data.pairs is ignored: no two training frames are twins"),
        (twins_and_singles(2, 0), {"balance": "video"}, DrawSampler, "data.pairs is ignored: data.balance is video"),
        (twins_and_singles(2, 0), {"rendered": records(), "share": 0.5}, DrawSampler, "ignored: data.mix_in is set"),
    ],
)
def test_pairs_are_drawn_where_there_are_twins_and_nothing_else_is_asked_for(
    own: list[FrameRecord], more: dict[str, Any], kind: type, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("flipdetect").propagate = True  # an earlier command line in this process may have cut it off
    with caplog.at_level(logging.INFO, logger="flipdetect"):
        sampler = train_sampler(range(99), own, pairs=True, num_replicas=1, rank=0, seed=0, **more)
    assert type(sampler) is kind
    assert said in caplog.text


@pytest.mark.parametrize(
    ("cores", "processes", "workers"), [(1, 1, 0), (2, 1, 0), (3, 1, 1), (8, 1, 6), (64, 1, 8), (8, 2, 2), (2, 2, 0)]
)
def test_two_cores_are_left_to_the_model_and_the_rest_is_shared(cores: int, processes: int, workers: int) -> None:
    chosen = loader_settings(processes=processes, cores=cores)
    assert chosen["num_workers"] == workers
    assert chosen["prefetch_factor"] == (2 if workers else None)


def test_configured_loading_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = loader_settings(workers=3, prefetch=5, pin=True, cores=2)
    assert chosen == {"num_workers": 3, "prefetch_factor": 5, "pin_memory": True, "persistent_workers": True}
    assert loader_settings(workers=0, prefetch=5)["prefetch_factor"] is None
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert loader_settings()["pin_memory"]
