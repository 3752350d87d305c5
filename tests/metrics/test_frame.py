from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.errors import ConfigError
from flipdetect.metrics.bootstrap import METRICS
from flipdetect.metrics.frame import HIGHER_IS_BETTER, FrameMetrics, check_monitor
from flipdetect.metrics.threshold import choose_threshold

SCORES = [0.9, 0.8, 0.6, 0.4, 0.3, 0.1]
TARGETS = [1, 0, 1, 1, 0, 0]


def computed(scores: list[float], targets: list[int], threshold: float = 0.5) -> dict[str, float]:
    metrics = FrameMetrics()
    metrics.update(torch.tensor(scores), torch.tensor(targets))
    return metrics.compute(threshold)


def test_hand_computed_values() -> None:
    values = computed(SCORES, TARGETS, threshold=0.35)
    assert tuple(values) == METRICS
    assert values["precision"] == pytest.approx(3 / 4)
    assert values["recall"] == pytest.approx(1.0)
    assert values["f1"] == pytest.approx(6 / 7)
    assert values["f1_at_0.5"] == pytest.approx(2 / 3)  # 2 hits, 1 false alarm, 1 miss
    assert values["accuracy"] == pytest.approx(5 / 6)
    assert values["auroc"] == pytest.approx(7 / 9)  # of 9 pairs, 0.6 and 0.4 lose to 0.8
    assert values["average_precision"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, 1)), min_size=1, max_size=30),
    st.lists(st.integers(0, 30), max_size=6),
    st.floats(0, 1),
)
@settings(max_examples=40, deadline=None)
def test_batches_do_not_matter(rows: list[tuple[float, int]], cuts: list[int], threshold: float) -> None:
    scores = torch.tensor([score for score, _ in rows])
    targets = torch.tensor([target for _, target in rows])
    whole, parts = FrameMetrics(), FrameMetrics()
    whole.update(scores, targets)
    for part in np.split(np.arange(len(rows)), sorted(min(cut, len(rows)) for cut in cuts)):
        parts.update(scores[part], targets[part])
    one, other = whole.compute(threshold), parts.compute(threshold)
    assert [one[name] for name in METRICS] == pytest.approx([other[name] for name in METRICS], nan_ok=True)


def test_the_chosen_threshold_reaches_its_f1_even_between_adjacent_float32_numbers() -> None:
    low = np.float32(0.30000001)
    scores = [float(low), float(np.nextafter(low, np.float32(1)))]
    choice = choose_threshold(scores, [0, 1])
    assert choice.f1 == 1.0
    assert computed(scores, [0, 1], choice.threshold)["f1"] == 1.0


def test_a_second_threshold_gets_its_own_values_and_reset_forgets_the_epoch() -> None:
    metrics = FrameMetrics()
    metrics.update(torch.tensor(SCORES), torch.tensor(TARGETS))
    assert metrics.compute(0.35)["recall"] == 1.0
    assert metrics.compute(0.85)["recall"] == pytest.approx(1 / 3)
    metrics.reset()
    metrics.update(torch.tensor([0.9, 0.1], dtype=torch.bfloat16), torch.tensor([1.0, 0.0]))
    assert metrics.compute()["accuracy"] == 1.0
    probabilities, targets = metrics.collected()
    assert (probabilities.tolist(), targets.tolist()) == (pytest.approx([0.9, 0.1], abs=0.01), [1, 0])


def test_a_diverged_model_has_nan_for_every_metric() -> None:
    assert all(math.isnan(value) for value in computed([0.1, float("nan")], [0, 1]).values())


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_an_epoch_without_frames_is_an_error() -> None:
    with pytest.raises(ValueError, match="no frame"):
        FrameMetrics().compute()


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1\) and \(2,\)"):
        FrameMetrics().update(torch.zeros(2, 1), torch.zeros(2))


def _one_of_two_processes(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=(Path(folder) / "rendezvous").as_uri(), rank=rank, world_size=2
    )
    metrics = FrameMetrics()
    # Uneven shares: an average over processes could not come out right.
    part = slice(0, 1) if rank == 0 else slice(1, None)
    metrics.update(torch.tensor(SCORES)[part], torch.tensor(TARGETS)[part])
    values = metrics.compute(0.35)
    probabilities, _ = metrics.collected()
    torch.save({"values": values, "probabilities": probabilities}, Path(folder) / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="gloo rendezvous by file")
def test_two_processes_compute_over_all_frames(tmp_path: Path) -> None:
    mp.spawn(_one_of_two_processes, args=(str(tmp_path),), nprocs=2)
    expected = computed(SCORES, TARGETS, 0.35)
    for rank in range(2):
        result = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert result["values"] == pytest.approx(expected)
        assert sorted(result["probabilities"].tolist()) == pytest.approx(sorted(SCORES))


@pytest.mark.parametrize("name", HIGHER_IS_BETTER)
@pytest.mark.parametrize("prefix", ["train_", "val_", "test_", ""])
def test_a_mode_that_contradicts_the_monitor_is_refused(name: str, prefix: str) -> None:
    right, wrong = ("max", "min") if HIGHER_IS_BETTER[name] else ("min", "max")
    check_monitor(prefix + name, right)
    with pytest.raises(ConfigError, match=f"set mode: {right}"):
        check_monitor(prefix + name, wrong)


def test_unknown_monitors_pass_but_unknown_modes_do_not() -> None:
    check_monitor("lr-AdamW", "min")
    check_monitor("my_val_f1", "min")
    with pytest.raises(ConfigError, match="'maximum'"):
        check_monitor("val_f1", "maximum")
