"""The command that makes the release: what it chooses, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.conftest import REPOSITORY
from tests.scripts.loading import load_script


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with its runs in an empty folder."""
    monkeypatch.syspath_prepend(REPOSITORY / "scripts")
    module = load_script("release")
    monkeypatch.chdir(tmp_path)
    return module


def checkpoint(trained: Path, path: Path, *, inverted: bool = False) -> None:
    """The trained model; inverted, it calls flips what is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = torch.load(trained, weights_only=True)
    if inverted:
        for name, value in content["state_dict"].items():
            if name.endswith(("evidence.head.weight", "evidence.head.bias")):
                content["state_dict"][name] = -value
    torch.save(content, path)


def test_the_best_on_the_labelled_frames_is_chosen_with_its_threshold(
    script: ModuleType, trained: Path, monreader_set: Path
) -> None:
    checkpoint(trained, script.HEAD_RUN / "version_0" / "best.ckpt", inverted=True)
    checkpoint(trained, script.GENTLE_RUN / "version_0" / "epoch=0.ckpt")
    assert script.main(["--steps", "choose", "--choose-on", str(monreader_set)]) == 0
    choice = json.loads(script.CHOICE.read_text())
    # Of the trained model and its opposite, one has an AUROC of at least 0.5: the better of the two is chosen.
    assert choice["score"] >= 0.5
    inverted, own = script.HEAD_RUN / "version_0" / "best.ckpt", script.GENTLE_RUN / "version_0" / "epoch=0.ckpt"
    assert choice["checkpoints"] in ([str(own)], [str(inverted)], [str(own), str(inverted)])
    assert 0 < choice["threshold"] < 1
    assert choice["temperature"] > 0
    assert choice["score"] == pytest.approx(sum(choice["parts"].values()) / len(choice["parts"]))


def test_a_choice_needs_labelled_frames(script: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--steps", "choose"]) == 1
    assert "--choose-on" in capfd.readouterr().err


def test_nothing_ships_without_a_choice(script: ModuleType, capfd: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--steps", "ship", "--output", "weights"]) == 1
    assert "run the step choose first" in capfd.readouterr().err
    assert not Path("weights").exists()


def test_what_was_trained_is_not_trained_again(
    script: ModuleType, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = script.HEAD_RUN / "version_0"
    run.mkdir(parents=True)
    shutil.copy(trained, run / "last.ckpt")
    called: list[tuple[object, ...]] = []
    monkeypatch.setattr(script, "run_python", lambda *arguments: called.append(arguments))
    assert script.main(["--steps", "head"]) == 0
    assert called[0][-2:] == ("--ckpt_path", "last")
    (run / "metrics.json").write_text("{}")
    assert script.main(["--steps", "head"]) == 0
    assert len(called) == 1
