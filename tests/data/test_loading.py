"""Loader processes leave the model its cores, and do as they are told."""

import logging

import pytest

from flipdetect.data import loading
from flipdetect.data.dataset import ShareSampler, even_batch_size
from flipdetect.data.loading import Loading, ResolvedLoading, resolve_loading
from flipdetect.errors import ConfigError


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


@pytest.mark.parametrize(
    ("cores", "processes", "workers"), [(1, 1, 0), (2, 1, 0), (3, 1, 1), (8, 1, 6), (64, 1, 8), (8, 2, 2), (2, 2, 0)]
)
def test_two_cores_are_the_models_and_the_rest_is_shared(cores: int, processes: int, workers: int) -> None:
    settled = resolve_loading(Loading(), processes=processes, cores=cores)
    assert settled == ResolvedLoading(workers, 2 if workers else None, False)


def test_what_is_configured_counts() -> None:
    wanted = Loading(workers=3, prefetch=5, pin=True)
    assert resolve_loading(wanted, cores=2) == ResolvedLoading(3, 5, True)
    assert resolve_loading(Loading(workers=0, prefetch=5), cores=16) == ResolvedLoading(0, None, False)


def test_memory_is_pinned_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert resolve_loading(Loading()).pin
    assert not resolve_loading(Loading(pin=False)).pin


def test_the_choice_is_logged_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(loading, "_said", set())
    monkeypatch.setattr(logging.getLogger("flipdetect"), "propagate", True)
    with caplog.at_level(logging.INFO, logger="flipdetect"):
        for _ in range(3):
            resolve_loading(Loading(), cores=4)
    assert caplog.text.count("Loading on 4 cores: 2 loader processes") == 1


@pytest.mark.parametrize("wanted", [{"workers": -1}, {"prefetch": 0}])
def test_impossible_numbers_are_refused(wanted: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least"):
        Loading(**wanted)


@pytest.mark.parametrize("frames", [2, 5, 9, 16, 17, 33])
@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 8])
def test_what_is_judged_is_shared_without_repeats_in_equally_many_batches(
    frames: int, ranks: int, batch_size: int
) -> None:
    if frames < ranks:
        return
    samplers = [ShareSampler(range(frames), num_replicas=ranks, rank=rank) for rank in range(ranks)]
    assert sorted(index for sampler in samplers for index in sampler) == list(range(frames))
    size = even_batch_size(frames, ranks, batch_size)
    assert size >= batch_size
    assert len({-(-len(sampler) // size) for sampler in samplers}) == 1
