"""What training minimises and how: maps and twins besides the label, learning rates, memory format."""

import logging
import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from flipdetect.tasks import TinyCNNClassifier
from flipdetect.tasks.trainable import (
    map_loss,
    parameter_groups,
    rank_loss,
    resolve_channels_last,
    twin_margins,
    warmup_cosine,
)


def tiny(**settings: Any) -> TinyCNNClassifier:
    torch.manual_seed(0)
    task = TinyCNNClassifier(width=4, dropout=0.0, **settings).eval()
    task.logged = {}
    task.log = lambda name, value, **more: task.logged.update({name: (float(value), more["batch_size"])})
    return task


def batch(known: list[bool], pairs: list[int]) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    count = len(known)
    has = torch.tensor(known)
    return {
        "image": torch.rand(count, 3, 64, 36),
        "target": torch.tensor([1.0, 0.0] * count)[:count],
        "index": torch.arange(count),
        "pair": torch.tensor(pairs),
        "maps": torch.rand(count, 3, 8, 5) * has[:, None, None, None],
        "has_maps": has,
    }


def test_maps_of_frames_without_any_do_not_count() -> None:
    task, mixed = tiny(rank_weight=0.0), batch([True, False, True, False], [-1] * 4)
    logits, maps = task.forward_maps(mixed["image"])
    known = [0, 2]
    of_maps = F.binary_cross_entropy_with_logits(maps[known], mixed["maps"][known])
    loss = task.training_step(mixed, 0)
    assert loss.item() == pytest.approx((task.loss(logits, mixed["target"]) + 4 * of_maps).item())
    assert task.logged["train_map_loss"] == pytest.approx((of_maps.item(), 2))
    assert task.logged["train_loss"] == pytest.approx((task.loss(logits, mixed["target"]).item(), 4))
    assert "train_rank_loss" not in task.logged


@pytest.mark.parametrize("settings", [{}, {"evidence": "none"}, {"map_weight": 0.0}])
def test_without_known_maps_the_label_alone_counts(settings: dict[str, Any]) -> None:
    task, own = tiny(**settings), batch([bool(settings)] * 4, [-1] * 4)
    expected = task.loss(task(own["image"]), own["target"]).item()
    assert task.training_step(own, 0).item() == pytest.approx(expected)
    assert set(task.logged) == {"train_loss"}
    bare = {key: own[key] for key in ("image", "target", "index")}
    assert task.training_step(bare, 0).item() == pytest.approx(expected)


def test_a_model_without_maps_says_once_that_it_learns_none(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("flipdetect").propagate = True  # an earlier command line in this process may have cut it off
    task, given = tiny(evidence="none"), batch([True] * 4, [-1] * 4)
    with caplog.at_level(logging.INFO, logger="flipdetect"):
        task.training_step(given, 0)
        task.training_step(given, 1)
    said = {id(record) for record in caplog.records if "maps are not learnt" in record.getMessage()}
    assert len(said) == 1


def test_of_twins_the_flip_is_to_lie_above() -> None:
    task, given = tiny(map_weight=0.0), batch([False] * 6, [7, 7, -1, -1, 3, 3])
    logits = task(given["image"])
    by_hand = [math.log1p(math.exp((logits[i + 1] - logits[i]).item())) for i in (0, 4)]
    expected = task.loss(logits, given["target"]).item() + sum(by_hand) / 2
    assert task.training_step(given, 0).item() == pytest.approx(expected)
    assert task.logged["train_rank_loss"] == pytest.approx((sum(by_hand) / 2, 2))


def test_margins_by_hand() -> None:
    logits = torch.tensor([3.0, 1.0, 5.0, 4.0, -1.0, 0.5, 2.0])
    targets = torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0])
    pairs = torch.tensor([0, 0, 1, 1, 2, 2, -1])  # of pair 1, both lie still
    assert twin_margins(logits, targets, pairs).tolist() == [2.0, 1.5]
    assert rank_loss(torch.tensor([0.0])).item() == pytest.approx(math.log(2))
    assert len(twin_margins(logits, targets, torch.full((7,), -1))) == 0


def test_truth_is_averaged_for_a_backbone_with_fewer_positions() -> None:
    truth = torch.rand(2, 3, 4, 4)
    maps = torch.randn(2, 3, 2, 2)
    expected = F.binary_cross_entropy_with_logits(maps, F.avg_pool2d(truth, 2))
    assert map_loss(maps, truth).item() == pytest.approx(expected.item())


def test_validation_knows_neither_maps_nor_twins() -> None:
    task, given = tiny(), batch([True] * 4, [0, 0, 1, 1])
    output = task.validation_step(given, 0)
    assert output["loss"].item() == pytest.approx(task.loss(task(given["image"]), given["target"]).item())


def test_every_parameter_is_in_one_group_with_its_own_rate_and_decay() -> None:
    task = TinyCNNClassifier(width=4)
    groups = parameter_groups(task, task.backbone, lr=1e-2, backbone_lr=1e-4, weight_decay=0.3)
    assert sum(len(group["params"]) for group in groups) == len(list(task.model.parameters()))
    for group in groups:
        assert group["lr"] == (1e-4 if group["name"].startswith("backbone") else 1e-2)
        assert all((parameter.ndim > 1) == (group["weight_decay"] > 0) for parameter in group["params"])


def test_schedule_warms_up_then_follows_a_cosine_to_its_end() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = warmup_cosine(optimizer, warmup=4, steps=14, final_ratio=0.1)
    rates = []
    for _ in range(16):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(later < earlier for earlier, later in pairwise(rates[4:15]))
    assert rates[9] == pytest.approx(0.55)
    assert rates[14:] == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize(
    ("wanted", "device", "expected"),
    [(None, "cpu", True), (None, "cuda", True), (None, "mps", False), (False, "cpu", False), (True, "mps", True)],
)
def test_memory_format_is_chosen_by_the_machine_unless_it_is_said(
    wanted: bool | None, device: str, expected: bool
) -> None:
    assert resolve_channels_last(wanted, torch.device(device)) is expected
