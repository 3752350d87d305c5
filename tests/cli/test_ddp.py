"""Training in two processes on the CPU: the same frames, the same metrics, one set of papers."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, SMALL
from tests.rendered_sets import make_rendered_set

pytestmark = pytest.mark.slow

SETTINGS = [
    "--trainer.max_epochs=3",
    "--trainer.callbacks=[]",
    "--model.lr=0.003",
    "--model.dropout=0",
    "--data.augment=null",
]
CHECKPOINT = [
    "--trainer.callbacks+=pytorch_lightning.callbacks.ModelCheckpoint",
    '--trainer.callbacks.init_args={"monitor": "val_f1", "mode": "max", "filename": "best", "save_last": true,'
    ' "enable_version_counter": false}',
    "--trainer.callbacks+=flipdetect.callbacks.WorstMistakes",
    "--trainer.callbacks+=flipdetect.callbacks.BackboneFreezing",
    "--trainer.callbacks.stages=2",
    "--trainer.callbacks.unfreeze_at_epoch=1",
    "--trainer.callbacks.unfreeze_every=1",
]
TWO = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp", "--data.batch_size=4"]


@pytest.fixture
def rendered(tmp_path: Path) -> Path:
    return make_rendered_set(tmp_path / "rendered", books=10, frames=2)


def in_two_processes(*arguments: str) -> str:
    """Run `train.py` as a user does; returns what it printed."""
    config = REPOSITORY / "configs" / "tiny_cnn.yaml"
    command = [sys.executable, str(REPOSITORY / "train.py"), "--config", str(config), *SMALL, *arguments]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def metrics(version: int) -> dict[str, float]:
    return json.loads(Path(f"logs/tiny_cnn/version_{version}/metrics.json").read_text())


def test_two_processes_are_as_good_as_one(train: Callable[..., int], rendered: Path) -> None:
    same = [*SETTINGS, *CHECKPOINT, f"--data.root={rendered}", "--trainer.precision=32-true"]
    assert train("tiny_cnn.yaml", *same, "--data.batch_size=8", root=rendered) == 0
    printed = in_two_processes(*same, *TWO)
    assert printed.count("threshold") == 1  # one table of results
    one, two = metrics(0), metrics(1)
    assert sorted(path.name for path in Path("logs/tiny_cnn").iterdir()) == ["version_0", "version_1"]
    assert {path.name for path in Path("logs/tiny_cnn/version_1").iterdir()} >= {"best.ckpt", "last.ckpt", "splits.csv"}
    assert two["epochs"] == one["epochs"] == 3
    # Batch norm's statistics are of half a batch: the trainings differ. The same weights evaluated by two processes
    # have the same metrics, though, over each frame once.
    last = "logs/tiny_cnn/version_0/last.ckpt"
    in_two_processes(*same, *TWO, f"--ckpt_path={last}")
    again = metrics(0)
    for name, value in one.items():
        if name.startswith(("val_", "test_")):
            assert math.isclose(again[name], value, abs_tol=1e-5), name
