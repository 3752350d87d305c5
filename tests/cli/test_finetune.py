"""Fine-tuning on one's own frames, as the package's configurations describe it."""

import csv
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml

from flipdetect.cli.train import main
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.models.weights import read_facts
from flipdetect.zoo import pretrained_path
from tests.cli.test_train import (
    interrupt_at,  # noqa: F401 - a fixture
    run_folder,
)
from tests.cli.test_train import metrics as train_metrics
from tests.conftest import REPOSITORY

Train = Callable[..., int]
CONFIGS = {"finetune.yaml": "efficientnet_lite0", "finetune_tiny.yaml": "tiny_cnn"}
FEW = [
    "--data.mix_in.embedded.root=rendered",
    "--data.mix_in.embedded.render.sources=2",
    "--data.mix_in.embedded.render.clips_per_source=2",
    "--data.mix_in.embedded.render.height=64",
    "--data.epoch_frames=16",
]


metrics = partial(train_metrics, "finetune_tiny")


def printed(config: str, capsys: pytest.CaptureFixture[str]) -> dict:
    assert main(["--config", str(REPOSITORY / "configs" / config), "--data.root=.", "--print_config"]) == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize(("config", "shipped"), CONFIGS.items())
def test_frames_are_prepared_as_for_the_weights_it_starts_from(
    config: str, shipped: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = printed(config, capsys)
    facts = read_facts(pretrained_path(shipped))
    assert facts is not None
    assert settings["model"]["init_args"]["weights"] == "flipdetect"
    assert settings["model"]["class_path"].rsplit(".", 1)[-1] == facts["task"].rsplit(".", 1)[-1]
    assert settings["data"]["preprocess"] == {k: v for k, v in facts["preprocess"].items() if k != "version"}
    assert settings["data"]["mix_in"]["share"] == 0.5
    assert settings["model"]["init_args"].get("mirrored", False) == facts["arguments"].get("mirrored", False)


def test_a_run_on_a_few_frames_leaves_a_model_that_says_how_it_was_made(train: Train) -> None:
    assert train("finetune_tiny.yaml", *FEW) == 0
    facts = torch.load(run_folder("finetune_tiny") / "best.ckpt", weights_only=True)["flipdetect"]
    assert facts["mix_in"]["share"] == 0.5
    assert facts["mix_in"]["render"]["sources"] == 2
    assert facts["drawing"] == {"epoch_frames": 16, "balance": "video", "pairs": False}
    assert set(facts["split"]) == {"train", "val", "test"}
    assert not facts["split"]["test"]
    assert (
        len(list(csv.DictReader((run_folder("finetune_tiny") / "splits.csv").open()))) == 32
    )  # one's own frames alone
    assert "val_f1" in metrics()
    assert "test_f1" not in metrics()


def test_a_handful_of_validation_videos_does_not_choose_the_threshold(train: Train) -> None:
    facts = read_facts(pretrained_path("tiny_cnn"))
    assert facts is not None
    assert train("finetune_tiny.yaml", *FEW) == 0
    assert metrics()["val_threshold"] == pytest.approx(facts["threshold"])
    assert train("finetune_tiny.yaml", *FEW, "--model.threshold_min_videos=1") == 0
    assert metrics(version=1)["val_threshold"] != pytest.approx(facts["threshold"], abs=1e-6)


def test_interrupted_and_resumed_equals_uninterrupted(
    train: Train,
    interrupt_at: Callable[[int | None], None],  # noqa: F811
) -> None:
    length = (*FEW, "--trainer.max_epochs=3")
    assert train("finetune_tiny.yaml", *length) == 0
    interrupt_at(1)
    assert train("finetune_tiny.yaml", *length) == 130
    interrupt_at(None)
    assert train("finetune_tiny.yaml", *length, "--ckpt_path=last") == 0
    assert metrics(version=1) == metrics(version=0)


RENDERED_BOOKS = ("--data.mix_in.embedded.render.sources=4", "--trainer.max_epochs=2")


@pytest.mark.slow
def test_a_head_is_trained_on_features_and_compared_before_and_after(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train("finetune.yaml", *FEW, *RENDERED_BOOKS, "--data.test_fraction=0.2") == 0
    assert json.loads(Path("logs/finetune/version_0/metrics.json").read_text())["test_f1"] >= 0
    said = capfd.readouterr().err
    table = said[said.index("Before and after training") :].splitlines()
    assert "AUROC before" in table[1]
    assert {row.split("  ")[0].strip() for row in table[3:5]} == {"your validation frames", "rendered frames"}
    before = torch.load("logs/finetune/version_0/best.ckpt", weights_only=True)["state_dict"]
    shipped = load_torch_model(pretrained_path("efficientnet_lite0"), "cpu").task.state_dict()
    backbone = [name for name in shipped if ".backbone." in name]
    assert backbone
    assert all(torch.equal(before[name], shipped[name]) for name in backbone)


@pytest.mark.slow
def test_the_second_step_goes_on_from_the_first(train: Train) -> None:
    assert train("finetune.yaml", *FEW, "--trainer.max_epochs=1") == 0
    first = torch.load("logs/finetune/version_0/best.ckpt", weights_only=True)["state_dict"]
    deeper = REPOSITORY / "configs" / "finetune_deeper.yaml"
    weights = "--model.weights=logs/finetune/version_0/best.ckpt"
    assert train("finetune.yaml", f"--config={deeper}", *FEW, weights, "--trainer.max_epochs=1") == 0
    second = torch.load("logs/finetune_deeper/version_0/best.ckpt", weights_only=True)["state_dict"]
    changed = {name for name, value in first.items() if not torch.equal(value, second[name])}
    assert any(".blocks.5." in name for name in changed)
    assert not any(f".blocks.{stage}." in name for name in changed for stage in (0, 1, 2))
    assert not any("running_" in name for name in changed if ".backbone." in name)
