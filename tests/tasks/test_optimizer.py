"""Learning rates and weight decay of backbone and head, and the schedule."""

from itertools import pairwise

import pytest
import torch

from flipdetect.tasks import TinyCNNClassifier
from flipdetect.tasks.optimizer import parameter_groups, warmup_cosine


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
