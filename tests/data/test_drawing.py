"""Which frames an epoch is made of: exact shares, balanced classes and videos, the same again from seed and epoch."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.data.dataset import Draw
from flipdetect.data.drawing import DrawSampler, Pool, epoch_counts
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


def drawn(balance, count: int, seed: int = 0) -> np.ndarray:
    return Pool(records(), balance).draw(count, np.random.default_rng(seed))


def by_video(positions: np.ndarray) -> dict[str, int]:
    return dict(Counter(records()[position].video for position in positions))


def test_every_frame_alike_without_balance() -> None:
    assert sorted(drawn("none", 33)) == list(range(33))
    assert set(Counter(drawn("none", 66)).values()) == {2}
    assert len(set(drawn("none", 10))) == 10


def test_classes_alike() -> None:
    counts = by_video(drawn("class", 64))
    assert counts == {"long": 30, "short": 2, "still": 32}


def test_a_long_clip_does_not_drown_a_short_one() -> None:
    positions = drawn("video", 80)
    assert by_video(positions) == {"long": 20, "short": 20, "still": 40}
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


def epoch(number: int, *, ranks: int = 1, rank: int = 0, seed: int = 3) -> list[Draw]:
    own, rendered = records(), records("rendered-")
    pools = [(Pool(own, "video"), 60), (Pool(rendered, "none", first=len(own)), 20)]
    sampler = DrawSampler([None] * 66, pools, num_replicas=ranks, rank=rank, seed=seed)
    sampler.set_epoch(number)
    draws = list(sampler)
    assert len(draws) == len(sampler)
    return draws


def test_share_of_rendered_frames_is_exact_and_drawn_anew_each_epoch() -> None:
    rendered = [frozenset(draw.index for draw in epoch(number) if draw.index >= 33) for number in range(4)]
    assert [len(chosen) for chosen in rendered] == [20] * 4
    assert len(set(rendered)) == 4


def test_an_epoch_follows_from_seed_and_number_alone() -> None:
    assert epoch(2) == epoch(2)
    assert epoch(2) != epoch(3)
    assert epoch(2) != epoch(2, seed=4)
    assert {draw.epoch for draw in epoch(2)} == {2}


def test_processes_share_an_epoch_and_no_draw_is_made_twice() -> None:
    shares = [epoch(1, ranks=4, rank=rank) for rank in range(4)]
    assert [len(share) for share in shares] == [20] * 4
    assert len({draw for share in shares for draw in share}) == 80
    assert {draw for share in shares for draw in share} == set(epoch(1))


def test_repeats_of_a_frame_are_numbered() -> None:
    repeats: dict[int, list[int]] = {}
    for draw in epoch(0):
        repeats.setdefault(draw.index, []).append(draw.repeat)
    assert all(numbers == list(range(len(numbers))) for numbers in repeats.values())
    assert max(len(numbers) for numbers in repeats.values()) == 30
