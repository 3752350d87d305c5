"""The moving average of the weights: what validation uses, what a checkpoint contains, and resuming."""

import csv
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback

from flipdetect.callbacks import AveragedWeights
from flipdetect.cli.lightning_cli import TrainCLI
from flipdetect.errors import ConfigError
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.tasks import TinyCNNClassifier
from tests.cli.test_train import interrupt_at, metrics, run_folder  # noqa: F401 - the first is a fixture

Train = Callable[..., int]
AVERAGED = ("--trainer.callbacks+=flipdetect.callbacks.AveragedWeights", "--trainer.callbacks.decay=0.9")


class Watch(Callback):
    """Keeps a copy of the weights after every step, and those that each validation validated."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []
        self.validated: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.steps.append(copied(pl_module))

    def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.validated.append(copied(pl_module))


def copied(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.model.state_dict().items()}


def expected_average(steps: list[dict[str, torch.Tensor]], decay: float) -> dict[str, torch.Tensor]:
    average = dict(steps[0])
    for t, step in enumerate(steps[1:], start=1):
        kept = min(decay, (1 + t) / (10 + t))
        average = {
            name: kept * value + (1 - kept) * step[name] for name, value in average.items() if value.is_floating_point()
        }
    return average


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    found = Watch()
    original = TrainCLI.instantiate_trainer

    def instantiate(self: TrainCLI, **kwargs: Any) -> pl.Trainer:
        trainer = original(self, **kwargs)
        trainer.callbacks.append(found)
        return trainer

    monkeypatch.setattr(TrainCLI, "instantiate_trainer", instantiate)
    return found


def test_checkpoint_holds_the_average_that_validation_validated(train: Train, watch: Watch) -> None:
    assert train("tiny_cnn.yaml", *AVERAGED, "--trainer.max_epochs=2") == 0
    per_epoch = len(watch.steps) // 2
    last = torch.load(run_folder() / "last.ckpt", weights_only=True)
    for name, value in expected_average(watch.steps, 0.9).items():
        torch.testing.assert_close(last["state_dict"][f"model.{name}"], value, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(last["current_model_state"][f"model.{name}"], watch.steps[-1][name])
    epochs = torch.load(run_folder() / "best.ckpt", weights_only=True)["epoch"] + 1
    best = expected_average(watch.steps[: epochs * per_epoch], 0.9)
    # The first validation of each epoch, then those of the best checkpoint after training.
    for validated in (watch.validated[(epochs - 1) * len(watch.validated) // 3], watch.validated[-1]):
        for name, value in best.items():
            torch.testing.assert_close(validated[name], value, rtol=1e-4, atol=1e-5)


def test_the_best_epochs_score_is_reached_again_and_the_threshold_is_its_own(train: Train) -> None:
    assert train("tiny_cnn.yaml", *AVERAGED, "--trainer.max_epochs=3") == 0
    best = torch.load(run_folder() / "best.ckpt", weights_only=True)
    with (run_folder() / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["val_loss"]]
    at_best = rows[best["epoch"]]
    assert metrics()["val_loss"] == pytest.approx(float(at_best["val_loss"]), rel=1e-5)
    assert metrics()["val_f1"] == pytest.approx(float(at_best["val_f1"]))
    threshold = best["flipdetect"]["threshold"]
    assert best["state_dict"]["threshold"].item() == threshold
    assert threshold == pytest.approx(metrics()["test_threshold"])
    assert threshold == pytest.approx(float(at_best["val_threshold"]))
    bundle = load_torch_model(run_folder() / "best.ckpt", "cpu")
    name = "model.evidence.maps.weight"
    assert torch.equal(bundle.task.state_dict()[name], best["state_dict"][name])


def test_interrupted_and_resumed_equals_uninterrupted(
    train: Train,
    interrupt_at: Callable[[int | None], None],  # noqa: F811
) -> None:
    length = (*AVERAGED, "--trainer.max_epochs=4")
    assert train("tiny_cnn.yaml", *length) == 0
    interrupt_at(2)
    assert train("tiny_cnn.yaml", *length) == 130
    interrupt_at(None)
    assert train("tiny_cnn.yaml", *length, "--ckpt_path=last") == 0
    assert metrics(version=1) == metrics(version=0)
    states = [torch.load(run_folder(version=version) / "last.ckpt", weights_only=True) for version in (0, 1)]
    for key in ("state_dict", "current_model_state", "averaging_state"):
        for name, value in states[0][key].items():
            assert torch.equal(value, states[1][key][name]), name


def test_an_interrupted_validation_leaves_the_current_weights() -> None:
    task, callback = TinyCNNClassifier(width=4), AveragedWeights(0.9)
    callback.setup(None, task, "fit")
    with torch.no_grad():
        task.model.head[1].bias.fill_(7.0)
    callback.on_validation_epoch_start(None, task)
    assert task.model.head[1].bias.item() != 7.0
    callback.on_exception(None, task, KeyboardInterrupt())
    callback.on_exception(None, task, KeyboardInterrupt())
    assert task.model.head[1].bias.item() == 7.0


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_an_impossible_decay_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError, match="decay"):
        AveragedWeights(decay)


def test_spawned_processes_get_the_callback() -> None:
    pickle.loads(pickle.dumps(AveragedWeights()))
