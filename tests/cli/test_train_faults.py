"""Faults of training: moved and foreign checkpoints, two runs at once, numbers that are not finite, refused values."""

import csv
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from flipdetect.errors import DataError
from flipdetect.runs import ClaimedRun
from flipdetect.tasks import FrameClassifier

Train = Callable[..., int]
RUN = Path("logs/tiny_cnn/version_0")


def saved(path: Path = RUN / "last.ckpt") -> dict:  # type: ignore[type-arg]
    return torch.load(path, weights_only=True)  # type: ignore[no-any-return]


def rates() -> list[float]:
    return [float(row["lr-AdamW/head"]) for row in csv.DictReader((RUN / "metrics.csv").open()) if row["lr-AdamW/head"]]


def test_case_02_a_moved_run_keeps_its_best_checkpoint(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train("tiny_cnn.yaml") == 0
    state = saved()
    key = next(key for key in state["callbacks"] if "val_f1" in key and ModelCheckpoint.__name__ in key)
    perfect = torch.tensor(2.0)  # a score that nothing reaches
    of_best = state["callbacks"][key]
    of_best |= {
        "best_model_score": perfect,
        "kth_value": perfect,
        "best_k_models": {of_best["best_model_path"]: perfect},
    }
    torch.save(state, RUN / "last.ckpt")
    best = (RUN / "best.ckpt").read_bytes()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move("logs", moved)
    monkeypatch.chdir(moved)
    assert train("tiny_cnn.yaml", "--ckpt_path=last") == 0  # nothing is left to train
    assert train("tiny_cnn.yaml", "--trainer.max_epochs=2", "--ckpt_path=last") == 0
    assert (RUN / "best.ckpt").read_bytes() == best
    assert saved()["callbacks"][key]["best_model_path"] == str(moved / RUN / "best.ckpt")


def test_case_03_two_trainings_get_two_folders_and_none_enters_that_of_another(tmp_path: Path) -> None:
    first, second = ClaimedRun(tmp_path / "logs"), ClaimedRun(tmp_path / "logs")
    assert (first.path.name, second.path.name) == ("version_0", "version_1")
    (first.path / "last.ckpt").touch()
    with pytest.raises(DataError, match="another process is training"):
        ClaimedRun(tmp_path / "logs", str(first.path / "last.ckpt"))
    first.release()
    ClaimedRun(tmp_path / "logs", str(first.path / "last.ckpt")).release(discard=True)
    assert first.path.is_dir()  # it was there before
    second.release(discard=True)
    assert not second.path.exists()


def test_case_03_a_run_in_training_is_not_resumed_a_second_time(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train("tiny_cnn.yaml") == 0
    with FileLock(RUN / ".lock"):
        assert train("tiny_cnn.yaml", "--ckpt_path=last") == 1
    assert "another process is training in" in capfd.readouterr().err


def test_case_04_a_training_that_diverges_stops_and_saves_the_batch(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    diverging = ["--model.lr=1e30", "--model.warmup_epochs=0", "--trainer.gradient_clip_val=null"]
    assert train("tiny_cnn.yaml", *diverging) == 1
    error = capfd.readouterr().err
    assert "is not finite in epoch 0" in error
    assert "Traceback" not in error
    assert torch.load(RUN / "not_finite_batch_0.pt", weights_only=True)["image"].ndim == 4
    assert not {"best.ckpt", "last.ckpt", "metrics.json"} & {path.name for path in RUN.iterdir()}


def test_case_08_a_resumed_run_uses_the_rates_of_its_configuration(train: Train) -> None:
    assert train("tiny_cnn.yaml", "--model.lr=0.01", "--trainer.max_epochs=2") == 0
    before = rates()
    changed = ["--model.lr=0.00001", "--model.weight_decay=0.25", "--trainer.max_epochs=4"]
    assert train("tiny_cnn.yaml", *changed, "--ckpt_path=last") == 0
    assert rates()[: len(before)] == before
    assert max(rates()[len(before) :]) <= 1e-5
    assert {group["weight_decay"] for group in saved()["optimizer_states"][0]["param_groups"]} == {0.0, 0.25}
    assert yaml.safe_load((RUN / "config.yaml").read_text())["model"]["init_args"]["lr"] == 1e-5


def test_case_08_a_resumed_run_uses_the_patience_of_its_configuration(train: Train) -> None:
    assert train("tiny_cnn.yaml") == 0
    stopping = (
        "--trainer.callbacks+={class_path: EarlyStopping, init_args: {monitor: val_loss, mode: min, patience: 33}}"
    )
    assert train("tiny_cnn.yaml", stopping, "--trainer.max_epochs=2") == 0
    other = Path("logs/tiny_cnn/version_1/last.ckpt")
    resumed = [stopping.replace("33", "44"), "--trainer.max_epochs=3", f"--ckpt_path={other}"]
    assert train("tiny_cnn.yaml", *resumed) == 0
    patience = {key: state["patience"] for key, state in saved(other)["callbacks"].items() if "val_loss" in key}
    assert set(patience.values()) == {44}


def test_case_10_a_foreign_checkpoint_is_refused_and_leaves_no_run(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    assert train("tiny_cnn.yaml") == 0
    content = (RUN / "last.ckpt").read_bytes()
    Path("cut.ckpt").write_bytes(content[: len(content) // 2])
    Path("weights.safetensors").touch()
    torch.save({"state_dict": {}}, "weights.ckpt")
    shutil.copy(RUN / "last.ckpt", "whole.ckpt")
    for override, words in (
        (["--ckpt_path=cut.ckpt"], "cut.ckpt is no checkpoint, or is damaged"),
        (["--ckpt_path=weights.safetensors"], "start from them with --model.weights weights.safetensors"),
        (["--ckpt_path=weights.ckpt"], "holds no training to resume"),
        (["--ckpt_path=whole.ckpt", "--model.width=8"], "created with a different model"),
        (["--ckpt_path=whole.ckpt", "--data.preprocess.fit=stretch"], "with another data.preprocess"),
        (["--ckpt_path=whole.ckpt", "--data.split_seed=3"], "with another split"),
    ):
        assert train("tiny_cnn.yaml", *override) == 1
        error = capfd.readouterr().err
        assert words in error
        assert "Traceback" not in error
        assert not Path("logs/tiny_cnn/version_1").exists()


def test_f9_a_refused_training_leaves_nothing(train: Train, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert train("tiny_cnn.yaml", root=tmp_path / "empty") == 1
    assert train("tiny_cnn.yaml", "--data.group_by=source") == 1
    freezing = "--trainer.callbacks+={class_path: flipdetect.callbacks.BackboneFreezing, init_args: {stages: 9}}"
    assert train("tiny_cnn.yaml", freezing) == 2
    assert not (tmp_path / "logs").exists()


def test_f17_a_checkpoint_is_written_next_to_its_target(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train("tiny_cnn.yaml") == 0
    whole = (RUN / "last.ckpt").read_bytes()

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert train("tiny_cnn.yaml", "--trainer.max_epochs=2", "--ckpt_path=last") == 1
    assert (RUN / "last.ckpt").read_bytes() == whole
    assert not list(RUN.glob(".*.part"))


def test_f20_resuming_a_finished_run_repeats_no_row(train: Train) -> None:
    assert train("tiny_cnn.yaml", "--trainer.max_epochs=2") == 0
    table = (RUN / "metrics.csv").read_bytes().splitlines(keepends=True)
    assert len(table) == 9  # the header, rate and two rows of each epoch, validation and test of the best
    results = json.loads((RUN / "metrics.json").read_text())
    assert train("tiny_cnn.yaml", "--trainer.max_epochs=2", "--ckpt_path=last") == 0
    assert (RUN / "metrics.csv").read_bytes().splitlines(keepends=True) == table
    again = json.loads((RUN / "metrics.json").read_text())
    assert {**again, "fit_seconds": 0} == {**results, "fit_seconds": 0}


def interrupted(*args: object, **options: object) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def sigint() -> Iterator[None]:
    """Listening to Ctrl-C again: Lightning ignores it after the first."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("sigint")
def test_f16_a_run_interrupted_in_its_first_validation_is_resumed(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(FrameClassifier, "validation_step", interrupted)
        assert train("tiny_cnn.yaml") == 130
    assert train("tiny_cnn.yaml", "--ckpt_path=last") == 0
    assert json.loads((RUN / "metrics.json").read_text())["epochs"] == 1


@pytest.mark.usefixtures("sigint")
@pytest.mark.parametrize("moment", ["the last batch is done", "the validation begins"])
def test_a_run_that_ends_before_its_first_validation_fails_no_later_one(
    train: Train, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """Lightning takes up a run there after the validation, without the metric that early stopping looks for."""
    advanced = _TrainingEpochLoop.on_advance_end

    def end(self: _TrainingEpochLoop, *args: object) -> None:
        if self.batch_progress.is_last_batch:
            raise KeyboardInterrupt
        advanced(self, *args)

    with monkeypatch.context() as patch:
        if moment == "the validation begins":
            patch.setattr(FrameClassifier, "on_validation_epoch_start", interrupted)
        else:
            patch.setattr(_TrainingEpochLoop, "on_advance_end", end)
        assert train("tiny_cnn.yaml") == 130
    assert train("tiny_cnn.yaml", *(["--ckpt_path=last"] if (RUN / "last.ckpt").exists() else [])) == 0
    assert max(json.loads(path.read_text())["epochs"] for path in Path("logs").rglob("metrics.json")) == 1


@pytest.mark.usefixtures("sigint")
def test_a_run_that_ends_after_its_first_validation_leaves_nothing_to_resume(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EarlyStopping, "on_train_epoch_end", interrupted)
    assert train("tiny_cnn.yaml") == 130
    assert not (RUN / "last.ckpt").exists()


def test_ctrl_c_while_arguments_are_checked_is_no_traceback(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flipdetect.cli.train.check_arguments", interrupted)
    assert train("tiny_cnn.yaml") == 130
    assert not RUN.exists()


@pytest.mark.usefixtures("sigint")
def test_ctrl_c_in_the_test_has_the_status_of_an_interruption(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(FrameClassifier, "test_step", interrupted)
        assert train("tiny_cnn.yaml") == 130
    assert train("tiny_cnn.yaml", "--ckpt_path=last") == 0
    assert (RUN / "metrics.json").is_file()


@pytest.mark.parametrize(
    ("override", "status", "words"),
    [
        (
            "--data.augment=[{class_path: albumentations.HorizontalFlip, init_args: {p: 2}}]",
            2,
            "less than or equal to 1",
        ),
        (
            "--data.augment=[{class_path: albumentations.RandomCrop, init_args: {height: 999, width: 9}}]",
            2,
            "data.augment RandomCrop cannot be applied to frames of shape",
        ),
        ("--trainer.logger={class_path: CSVLogger, init_args: {save_dir: file.txt/x}}", 1, "is a file, not a folder"),
    ],
)
def test_f7_what_a_library_refuses_is_one_error_line(
    train: Train, capfd: pytest.CaptureFixture[str], tmp_path: Path, override: str, status: int, words: str
) -> None:
    (tmp_path / "file.txt").touch()
    assert train("tiny_cnn.yaml", override) == status
    error = capfd.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not (tmp_path / "logs").exists()


class Marking(Callback):
    """A callback of the user's own, which leaves a file."""

    def __init__(self) -> None:
        Path("marked").touch()


def test_item_6_a_class_of_another_package_runs_only_if_it_is_allowed(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    name = f"{__name__}.Marking"
    Path("own.yaml").write_text(f"trainer: {{callbacks+: [{{class_path: {name}}}]}}")
    assert train("tiny_cnn.yaml", "--config=own.yaml") == 2
    assert f"add --allow-class {name}" in capfd.readouterr().err
    assert not Path("marked").exists()
    assert train("tiny_cnn.yaml", "--config=own.yaml", f"--allow-class={name}") == 0
    assert Path("marked").exists()
    Path("own.yaml").write_text(f"allow_class: [{name}]\ntrainer: {{callbacks+: [{{class_path: {name}}}]}}")
    assert train("tiny_cnn.yaml", "--config=own.yaml") == 2
