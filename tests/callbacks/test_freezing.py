"""Frozen stages: weights and statistics stay, training computes what evaluation does, each thaws at its epoch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader

from flipdetect.callbacks import AveragedWeights, BackboneFreezing
from flipdetect.errors import ConfigError
from flipdetect.tasks import FrameClassifier, MobileNetV2Classifier, TimmClassifier, TinyCNNClassifier

BATCHES = 3
STAGES = 4
"""Of TinyCNN."""


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def loader() -> DataLoader:
    generator = torch.Generator().manual_seed(1)
    frames = [
        {
            "image": torch.randn(3, 32, 32, generator=generator),
            "target": torch.tensor(float(number % 2)),
            "index": number,
        }
        for number in range(4 * BATCHES)
    ]
    return DataLoader(frames, batch_size=4)


def pretrained(task: FrameClassifier) -> FrameClassifier:
    """As if it had been trained before: the running statistics are those of some frames."""
    task.model.train()(torch.randn(16, 3, 32, 32))
    return task


def tiny(**settings: Any) -> FrameClassifier:
    return pretrained(TinyCNNClassifier(width=4, lr=0.01, **settings))


class Watch(Callback):
    """Keeps, of each epoch, which stages learn, and of each step what the backbone computes of a grey frame."""

    def __init__(self) -> None:
        self.learning: list[list[bool]] = []
        self.outputs: list[Tensor] = []
        self.modes: list[bool] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any) -> None:
        self.modes.append(pl_module.backbone.training)
        if batch[-1] == 0:
            self.learning.append([learns(stage) for stage in pl_module.model.backbone_stages()])

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, _: int) -> None:
        with torch.no_grad():
            self.outputs.append(deepcopy(pl_module.backbone)(batch["image"] * 0 + 0.5)[0])


class TrainingMode(Callback):
    """Somebody who puts the whole module into training mode."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.train()


def learns(stage: tuple[nn.Module, ...]) -> bool:
    answers = {parameter.requires_grad for module in stage for parameter in module.parameters()}
    assert len(answers) == 1
    return answers.pop()


def fit(task: FrameClassifier, *callbacks: Callback, epochs: int = 1, ckpt_path: Path | None = None) -> None:
    torch.manual_seed(7)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, loader(), loader(), ckpt_path=ckpt_path, weights_only=True)


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def stage_state(task: FrameClassifier, number: int) -> dict[str, Tensor]:
    found = {}
    for position, module in enumerate(task.model.backbone_stages()[number]):
        found |= {f"{position}.{name}": value for name, value in copied(module).items()}
    return found


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The last parts of the names of what is not bit-equal."""
    assert before.keys() == after.keys()
    return {name.rsplit(".", 1)[1] for name, value in before.items() if not torch.equal(value, after[name])}


WEIGHTS = {"weight", "bias"}

BUILD: dict[str, Callable[[], FrameClassifier]] = {
    "tiny_cnn": lambda: tiny(),
    "mobilenet": lambda: pretrained(MobileNetV2Classifier(width=0.35, lr=0.01)),
    "resnet18": lambda: pretrained(TimmClassifier("resnet18", lr=0.01)),
    # Its layers behind the pooling are part of the backbone, and of no stage.
    "mobilenetv3": lambda: pretrained(TimmClassifier("mobilenetv3_small_050", lr=0.01)),
    "dropping": lambda: pretrained(
        TimmClassifier("efficientnet_lite0", lr=0.01, backbone_args={"drop_path_rate": 0.8, "drop_rate": 0.5})
    ),
    "convolutions": lambda: pretrained(TimmClassifier("vgg11", lr=0.01)),
}


@pytest.fixture(params=BUILD, name="task")
def fixture_task(request: pytest.FixtureRequest) -> FrameClassifier:
    return BUILD[request.param]()


def test_a_frozen_backbone_stays_bit_by_bit_and_the_head_learns(task: FrameClassifier) -> None:
    backbone, head = copied(task.backbone), copied(task.model.head)
    fit(task, BackboneFreezing(), epochs=2)
    assert not changed(backbone, copied(task.backbone))
    assert changed(head, copied(task.model.head)) == WEIGHTS
    assert all(parameter.grad is None for parameter in task.backbone.parameters())


def test_a_frozen_backbone_computes_in_training_what_it_does_in_evaluation(task: FrameClassifier) -> None:
    watch = Watch()
    fit(task, TrainingMode(), BackboneFreezing(), watch, epochs=2)
    expected = task.backbone.eval()(torch.full((4, 3, 32, 32), 0.5))[0]
    assert len(watch.outputs) == 2 * BATCHES
    assert all(torch.equal(output, expected) for output in watch.outputs)
    assert not any(watch.modes)


def test_freezing_up_to_a_stage() -> None:
    task = tiny()
    before = [stage_state(task, number) for number in range(STAGES)]
    fit(task, BackboneFreezing(stages=2))
    moved = [changed(state, stage_state(task, number)) for number, state in enumerate(before)]
    assert moved == [set(), set(), WEIGHTS, WEIGHTS]


def test_after_thawing_everything_learns_and_statistics_stay() -> None:
    task = tiny()
    before = copied(task.backbone)
    fit(task, BackboneFreezing(unfreeze_at_epoch=0))
    assert changed(before, copied(task.backbone)) == WEIGHTS
    others = [module for module in task.backbone.modules() if not isinstance(module, nn.BatchNorm2d)]
    assert all(module.training for module in others)


def test_a_head_behind_the_pooling_thaws_with_the_last_stage() -> None:
    task = BUILD["mobilenetv3"]()
    fit(task, BackboneFreezing(stages=6))
    assert task.backbone.conv_head.weight.requires_grad
    assert [learns(stage) for stage in task.model.backbone_stages()] == [False] * 6 + [True]


@pytest.mark.parametrize(
    ("freezing", "frozen"),
    [
        (BackboneFreezing(), [4, 4, 4, 4, 4, 4]),
        (BackboneFreezing(unfreeze_at_epoch=2), [4, 4, 0, 0, 0, 0]),
        (BackboneFreezing(stages=3, unfreeze_at_epoch=0), [0, 0, 0, 0, 0, 0]),
        (BackboneFreezing(unfreeze_at_epoch=1, unfreeze_every=1), [4, 3, 2, 1, 0, 0]),
        (BackboneFreezing(stages=2, unfreeze_at_epoch=1, unfreeze_every=2), [2, 1, 1, 0, 0, 0]),
    ],
)
def test_stages_thaw_at_their_epochs(freezing: BackboneFreezing, frozen: list[int]) -> None:
    watch = Watch()
    fit(tiny(), freezing, watch, epochs=6)
    assert watch.learning == [[number >= count for number in range(STAGES)] for count in frozen]
    assert [freezing.frozen_stages(epoch, STAGES) for epoch in range(6)] == frozen


def test_a_thawed_stage_learns_and_drops_again() -> None:
    task = BUILD["dropping"]()
    before = [stage_state(task, number) for number in range(9)]
    fit(task, BackboneFreezing(unfreeze_at_epoch=1, unfreeze_every=1), epochs=3)
    moved = [bool(changed(state, stage_state(task, number))) for number, state in enumerate(before)]
    assert moved == [False] * 7 + [True] * 2
    modes = [
        {each.training for module in stage for each in module.modules() if not isinstance(each, nn.BatchNorm2d)}
        for stage in task.model.backbone_stages()
    ]
    assert modes == [{False}] * 7 + [{True}] * 2
    assert task.backbone.training  # what drops behind the pooling


class Save(Callback):
    """Saves a checkpoint in the middle of an epoch, or at its end."""

    def __init__(self, path: Path, epoch: int, batch: int | None) -> None:
        self.path, self.epoch, self.batch = path, epoch, batch

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any) -> None:
        if (trainer.current_epoch, batch[-1]) == (self.epoch, self.batch):
            trainer.save_checkpoint(self.path)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == self.epoch and self.batch is None:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize(("epoch", "averaged"), [(0, False), (1, True), (2, False)])
def test_resumed_equals_uninterrupted(epoch: int, averaged: bool, tmp_path: Path) -> None:
    def callbacks() -> list[Callback]:
        freezing = BackboneFreezing(stages=3, unfreeze_at_epoch=1, unfreeze_every=1)
        return [AveragedWeights(0.9), freezing] if averaged else [freezing]

    path = tmp_path / "last.ckpt"
    whole, watch = tiny(dropout=0.0), Watch()
    start = deepcopy(whole)
    fit(whole, *callbacks(), watch, Save(path, epoch, None), epochs=5)
    again = Watch()
    fit(start, *callbacks(), again, epochs=5, ckpt_path=path)
    assert again.learning == watch.learning[epoch + 1 :]
    assert not changed(copied(whole), copied(start))


def test_resumed_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    path, watch, again = tmp_path / "last.ckpt", Watch(), Watch()
    freezing = {"unfreeze_at_epoch": 1, "unfreeze_every": 1}
    task = tiny(dropout=0.0)
    before = stage_state(task, 0)
    fit(task, BackboneFreezing(**freezing), watch, Save(path, epoch=2, batch=1), epochs=3)
    resumed = tiny(dropout=0.0)
    fit(resumed, BackboneFreezing(**freezing), again, epochs=3, ckpt_path=path)
    assert len(again.modes) < BATCHES  # not a whole epoch
    learning = [learns(stage) for stage in resumed.model.backbone_stages()]
    assert learning == watch.learning[2] == [False, False, True, True]
    assert not changed(before, stage_state(resumed, 0))


def test_batch_norms_without_statistics_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    words = "have never seen data"
    with caplog.at_level(logging.WARNING, "flipdetect"):
        fit(tiny(), BackboneFreezing())
        assert words not in caplog.text
        fit(TinyCNNClassifier(width=4), BackboneFreezing())
        assert words in caplog.text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"stages": 0}, "stages must be null or at least 1, got 0"),
        ({"unfreeze_at_epoch": -1}, "unfreeze_at_epoch must be null or at least 0, got -1"),
        ({"unfreeze_at_epoch": 1, "unfreeze_every": 0}, "unfreeze_every must be null or at least 1, got 0"),
        ({"unfreeze_every": 2}, "unfreeze_every is 2, but unfreeze_at_epoch is null"),
        ({"stages": 5}, r"stages must be at most 4.*TinyCNN.*got 5"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, int], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        fit(tiny(), BackboneFreezing(**settings))
