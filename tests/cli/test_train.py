"""The training command: every configuration, resuming, interruption, refusals."""

import csv
import json
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from pytorch_lightning.callbacks import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from flipdetect.cli.lightning_cli import TrainCLI
from flipdetect.cli.predict import inference
from flipdetect.cli.train import main
from tests.conftest import REPOSITORY
from tests.frame_sets import make_eye_set, make_monreader_set

Train = Callable[..., int]
CONFIGS = sorted(
    path.name
    for path in (REPOSITORY / "configs").glob("*.yaml")
    # Fine-tuning needs pretrained weights and rendered frames; it and detection have tests of their own.
    if not path.name.startswith(("finetune", "defaults", "detect", "ssdlite"))
)


def run_folder(name: str = "tiny_cnn", version: int = 0) -> Path:
    return Path("logs") / name / f"version_{version}"


def metrics(name: str = "tiny_cnn", version: int = 0) -> dict[str, float]:
    values = json.loads((run_folder(name, version) / "metrics.json").read_text())
    del values["fit_seconds"]
    return values


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS)
def test_every_shipped_configuration_trains_tests_and_predicts(
    config: str, train: Train, monreader_set: Path, tmp_path: Path
) -> None:
    root = make_eye_set(tmp_path / "eyes") if config == "blink.yaml" else monreader_set
    assert train(config, root=root) == 0
    name = config.removesuffix(".yaml")
    values = metrics(name)
    for side in ("val", "test"):
        assert 0 <= values[f"{side}_f1"] <= 1
        assert 0 <= values[f"{side}_f1_at_0.5"] <= 1
    assert values["val_threshold"] == values["test_threshold"]
    assert inference(["--folder-path", str(root), "--model", "last", "--output", "out.csv", "--strict"]) == 0
    rows = list(csv.DictReader(Path("out.csv").read_text("utf-8").splitlines()))
    assert len(rows) == len([path for path in root.rglob("*") if path.is_file()])
    classes = yaml.safe_load((run_folder(name) / "config.yaml").read_text())["data"]["classes"]
    assert {row["label"] for row in rows} <= set(classes.values())


@pytest.mark.slow
@pytest.mark.parametrize("overlay", ["fast.yaml", "overfit.yaml"])
def test_debug_overlays_run_on_the_embedded_data(overlay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    configs = [REPOSITORY / "configs" / name for name in ("tiny_cnn.yaml", "debug/fast.yaml", f"debug/{overlay}")]
    overrides = ["--trainer.max_epochs=2", "--data.preprocess.height=64", "--data.preprocess.width=36"]
    assert main([part for config in configs for part in ("--config", str(config))] + overrides) == 0
    assert metrics()["epochs"] == 2


def test_a_run_leaves_its_papers_beside_the_checkpoint(train: Train, monreader_set: Path) -> None:
    assert train("tiny_cnn.yaml", "--trainer.max_epochs=2") == 0
    folder = run_folder()
    assert {path.name for path in folder.iterdir()} >= {
        "best.ckpt", "last.ckpt", "config.yaml", "metrics.csv", "metrics.json", "provenance.json", "splits.csv",
        "test_confusion_matrix.png", "test_pr_curve.png",
    }  # fmt: skip
    assert yaml.safe_load((folder / "config.yaml").read_text())["data"]["root"] == str(monreader_set)
    provenance = json.loads((folder / "provenance.json").read_text())
    assert provenance["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert len(list(csv.DictReader((folder / "splits.csv").open()))) == 32
    curve = [row["val_f1"] for row in csv.DictReader((folder / "metrics.csv").open()) if row["val_f1"]]
    assert len(curve) == 3  # two epochs, and the best checkpoint evaluated again


def test_checkpoint_loads_without_unpickling_and_is_self_contained(train: Train) -> None:
    assert train("tiny_cnn.yaml") == 0
    facts = torch.load(run_folder() / "best.ckpt", weights_only=True)["flipdetect"]
    assert facts["task"] == "flipdetect.tasks.classifiers.TinyCNNClassifier"
    assert facts["classes"] == {"negative": "notflip", "positive": "flip"}
    assert facts["preprocess"]["height"] == 64
    assert set(facts["split"]) == {"train", "val", "test"}
    assert facts["threshold"] == pytest.approx(metrics()["test_threshold"])
    assert yaml.safe_load(facts["config"])["model"]["class_path"].endswith("TinyCNNClassifier")


def test_saved_configuration_repeats_the_run_exactly(train: Train) -> None:
    assert train("tiny_cnn.yaml", "--trainer.max_epochs=2") == 0
    assert main(["--config", str(run_folder() / "config.yaml")]) == 0
    assert metrics(version=1) == metrics(version=0)


class InterruptAt(Callback):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == 1:
            raise KeyboardInterrupt


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int | None], None]]:
    """Make the next runs stop in the middle of an epoch; None: let them run again."""
    handler = signal.getsignal(signal.SIGINT)
    original = TrainCLI.instantiate_trainer

    def arm(epoch: int | None) -> None:
        def instantiate(self: TrainCLI, **kwargs: Any) -> pl.Trainer:
            trainer = original(self, **kwargs)
            if epoch is not None:
                trainer.callbacks.insert(0, InterruptAt(epoch))
            return trainer

        monkeypatch.setattr(TrainCLI, "instantiate_trainer", instantiate)

    yield arm
    # Lightning ignores further interrupts once it has seen one, which would make the test runner deaf.
    signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("workers", [0, 1])
def test_interrupted_and_resumed_equals_uninterrupted(
    train: Train, interrupt_at: Callable[[int | None], None], workers: int
) -> None:
    length = ("--trainer.max_epochs=4", f"--data.num_workers={workers}", "--data.cache_dir=cache")
    assert train("tiny_cnn.yaml", *length) == 0
    interrupt_at(2)
    assert train("tiny_cnn.yaml", *length) == 130
    assert (run_folder(version=1) / "last.ckpt").exists()
    assert not (run_folder(version=1) / "metrics.json").exists()
    interrupt_at(None)
    assert train("tiny_cnn.yaml", *length, "--ckpt_path=last") == 0
    assert metrics(version=1) == metrics(version=0)
    assert not run_folder(version=2).exists()

    def curve(version: int) -> list[tuple[str, str]]:
        rows = csv.DictReader((run_folder(version=version) / "metrics.csv").open())
        return [(row["epoch"], row["train_loss"]) for row in rows if row["train_loss"]]

    assert curve(1) == curve(0)
    assert len(curve(0)) == 4


def test_same_seed_same_metrics_and_another_seed_others(train: Train) -> None:
    for seed in (0, 0, 1):
        assert train("tiny_cnn.yaml", f"--seed_everything={seed}", "--trainer.max_epochs=2") == 0
    assert metrics(version=0) == metrics(version=1)
    assert metrics(version=0)["val_loss"] != metrics(version=2)["val_loss"]
    splits = [(run_folder(version=version) / "splits.csv").read_text() for version in (0, 2)]
    assert splits[0] == splits[1]


def test_tensorboard_has_scalars_hyperparameters_and_pictures(train: Train) -> None:
    assert train("tiny_cnn.yaml", "--trainer.max_epochs=2") == 0
    tags: dict[str, set[str]] = {"scalars": set(), "images": set()}
    hyperparameters = False
    for path in run_folder().glob("events.*"):
        log = EventAccumulator(str(path)).Reload()
        for kind, names in tags.items():
            names |= set(log.Tags()[kind])
        hyperparameters |= any("hparams" in name for name in log.summary_metadata)
    assert {"train_loss", "val_f1", "val_f1_at_0.5", "val_auroc", "test_f1", "final/test_f1"} <= tags["scalars"]
    assert {"train/augmented_batch", "val/pr_curve", "val/confusion_matrix", "test/pr_curve"} <= tags["images"]
    assert hyperparameters


def test_a_training_leaves_no_thread(train: Train) -> None:
    assert train("tiny_cnn.yaml") == 0
    before = set(threading.enumerate())
    assert train("tiny_cnn.yaml") == 0
    assert set(threading.enumerate()) <= before


def test_mistakes_are_shown_with_their_names(train: Train) -> None:
    # At this learning rate nothing is learnt: about half of the frames are wrong.
    assert train("tiny_cnn.yaml", "--model.lr=1e-9") == 0
    rows = list(csv.DictReader((run_folder() / "test_mistakes.csv").open()))
    assert rows
    assert (run_folder() / "test_mistakes.png").exists()
    assert all(re.fullmatch(r"(not)?flip/\d{4}_\d{9}\.jpg", row["path"]) for row in rows)


def test_training_goes_on_without_files_that_cannot_be_used(train: Train, tmp_path: Path) -> None:
    root = make_monreader_set(tmp_path / "set", videos=6, frames=2)
    (root / "flip" / "0001_000000010.jpg").write_bytes(b"")
    (root / "flip" / "0002_000000010.jpg").write_bytes(b"no image at all")
    (root / "flip" / "x.jpg").mkdir()
    assert train("tiny_cnn.yaml", root=root) == 0
    rows = list(csv.DictReader((run_folder() / "unusable.csv").open()))
    assert [row["path"] for row in rows] == ["flip/0001_000000010.jpg", "flip/0002_000000010.jpg"]
    assert all(row["reason"] for row in rows)


@pytest.mark.parametrize(
    ("override", "status", "words"),
    [
        (["--trainer.callbacks+=pytorch_lightning.callbacks.EarlyStopping", "--trainer.callbacks.monitor=val_f1"],
         2, "set mode: max"),
        (["--data.preprocess.fit=crop", "--data.preprocess.height=2"], 2, "height"),
        (["--ckpt_path=last"], 1, "nothing to resume"),
        (["--model.weights=imagenet"], 1, "TinyCNN has no ImageNet weights"),
        (["--data.group_by=source"], 1, "data.group_by to 'video'"),
        (["--model.lr=-1"], 2, "model.lr must be in (0, inf), got -1"),
        (["--trainer.callbacks+=flipdetect.callbacks.BackboneFreezing", "--trainer.callbacks.stages=9"],
         2, "stages must be at most 4"),
    ],
)  # fmt: skip
def test_settings_that_cannot_work_are_explained(
    train: Train, capfd: pytest.CaptureFixture[str], override: list[str], status: int, words: str
) -> None:
    assert train("tiny_cnn.yaml", *override) == status
    error = capfd.readouterr().err
    assert words in error
    assert "Traceback" not in error


def test_configuration_can_be_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "mobilenet", "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["model"]["class_path"] == "flipdetect.tasks.MobileNetV2Classifier"
    assert printed["data"]["embedded"]["render"]["seed"] == 0  # plain settings, no class_path


@pytest.mark.slow
def test_real_frames_go_through(train: Train, realdev: Path) -> None:
    assert train("tiny_cnn.yaml", root=realdev / "frames") == 0
    assert metrics()["epochs"] == 1
