"""What comes with the weights that a training starts from: a threshold, and statistics of frames."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from safetensors.torch import save_file

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.models.imagenet import check_statistics
from flipdetect.models.weights import read_facts
from flipdetect.tasks import EfficientNetLite0Classifier, TinyCNNClassifier
from flipdetect.tasks.decision import Decision, starting_decision
from flipdetect.zoo import pretrained_path


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
    facts = read_facts(pretrained_path("tiny_cnn"))
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


HALF = (0.5,)


def test_training_warns_once_if_pretraining_normalised_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    task = EfficientNetLite0Classifier(weights="imagenet", channels_last=False)
    task.trainer = pl.Trainer(logger=False, accelerator="cpu")
    task.trainer.datamodule = SimpleNamespace(preprocess=PreprocessSpec())
    with caplog.at_level(logging.WARNING, "flipdetect"):
        task.setup("fit")
        task.setup("test")
    (message,) = (each.getMessage() for each in caplog.records if each.levelno == logging.WARNING)
    assert "set data.preprocess.mean: [0.5, 0.5, 0.5] and data.preprocess.std: [0.5, 0.5, 0.5]" in message
    assert "data.preprocess has mean [0.485, 0.456, 0.406]" in message


@pytest.mark.parametrize(
    ("weights", "channels", "spec", "warned"),
    [
        ("imagenet", 3, PreprocessSpec(mean=HALF * 3, std=HALF * 3), False),
        ("imagenet", 3, None, False),
        ("none", 3, PreprocessSpec(), False),
        ("imagenet", 1, PreprocessSpec(channels=1, mean=HALF, std=(0.502,)), False),
        ("imagenet", 1, PreprocessSpec(channels=1, mean=(0.449,), std=(0.226,)), True),
    ],
)
def test_statistics_are_compared_with_those_of_the_pretraining(
    weights: str, channels: int, spec: PreprocessSpec | None, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = EfficientNetLite0Classifier(in_channels=channels, weights=weights).model
    caplog.clear()
    check_statistics(model, spec)
    assert bool(caplog.records) is warned
