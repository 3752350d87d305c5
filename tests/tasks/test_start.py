"""The threshold that comes with the weights a training starts from."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flipdetect.models.packed import read_facts
from flipdetect.shipped import shipped_path
from flipdetect.tasks import TinyCNNClassifier
from flipdetect.tasks.decision import Decision
from flipdetect.tasks.start import starting_decision


def test_none_and_imagenet_bring_no_threshold() -> None:
    model = TinyCNNClassifier(width=4).model
    assert starting_decision("none", model) is None
    assert starting_decision("imagenet", model) is None


def test_bare_tensors_bring_no_threshold(tmp_path: Path) -> None:
    task = TinyCNNClassifier(width=4)
    save_file(task.model.state_dict(), tmp_path / "bare.safetensors")
    torch.save(task.model.state_dict(), tmp_path / "bare.pt")
    for name in ("bare.safetensors", "bare.pt"):
        assert starting_decision(str(tmp_path / name), task.model) is None


def test_a_checkpoint_brings_its_own(trained: Path) -> None:
    facts = torch.load(trained, weights_only=True)["flipdetect"]
    stored = Decision(facts["threshold"], facts["temperature"])
    task = TinyCNNClassifier(weights=str(trained))
    assert starting_decision(str(trained), task.model) == stored
    task.setup("fit")
    assert (task.threshold.item(), task.temperature.item()) == (stored.threshold, stored.temperature)


def test_shipped_weights_bring_theirs() -> None:
    facts = read_facts(shipped_path("tiny_cnn"))
    assert facts is not None
    task = TinyCNNClassifier(weights="flipdetect", evidence="maps")
    task.setup("fit")
    assert task.threshold.item() == pytest.approx(facts["threshold"])


def test_a_threshold_chosen_since_is_not_overwritten(trained: Path) -> None:
    task = TinyCNNClassifier(weights=str(trained))
    task.setup("fit")
    task.threshold.fill_(0.9)
    task.setup("test")
    assert task.threshold.item() == 0.9
