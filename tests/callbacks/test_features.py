"""Training on what frozen stages make of frames gives what training on the frames gives, and costs less."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flipdetect.cli.train import main
from tests.rendered_sets import make_rendered_set

SIZE = ["--data.preprocess.height=65", "--data.preprocess.width=33", "--data.batch_size=8", "--data.num_workers=0"]
CHECKPOINT = {
    "class_path": "pytorch_lightning.callbacks.ModelCheckpoint",
    "init_args": {"filename": "best", "save_last": True, "enable_version_counter": False},
}
FREEZING = {"class_path": "flipdetect.callbacks.BackboneFreezing"}
Run = Callable[..., dict[str, float]]


def cached(copies: int) -> dict[str, object]:
    return {"class_path": "flipdetect.callbacks.CachedFeatures", "init_args": {"copies": copies}}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Train on a small rendered set with the callbacks given; returns the metrics."""
    monkeypatch.chdir(tmp_path)
    make_rendered_set(tmp_path / "frames")

    def train(
        *callbacks: dict[str, object], model: str = "TimmClassifier", more: tuple[str, ...] = ()
    ) -> dict[str, float]:
        init: dict[str, object] = {"weights": "none", "evidence": "both", "lr": 0.003, "dropout": 0.0}
        if model == "TimmClassifier":
            init["name"] = "efficientnet_lite0"
        settings = {
            "seed_everything": 0,
            "trainer": {
                "accelerator": "cpu",
                "max_epochs": 2,
                "num_sanity_val_steps": 0,
                "logger": {
                    "class_path": "pytorch_lightning.loggers.TensorBoardLogger",
                    "init_args": {"save_dir": "logs", "name": "run"},
                },
                "callbacks": [CHECKPOINT, *callbacks],
            },
            "model": {"class_path": f"flipdetect.tasks.{model}", "init_args": init},
            "data": {"root": "frames", "embedded": None, "augment": None, "pairs": True, "cache_dir": "cache"},
        }
        Path("run.yaml").write_text(yaml.safe_dump(settings))
        assert main(["--config", "run.yaml", *SIZE, *more]) == 0
        newest = max(Path("logs/run").iterdir(), key=lambda path: int(path.name.rpartition("_")[2]))
        found = json.loads((newest / "metrics.json").read_text())
        found.pop("fit_seconds")
        return found

    return train


def losses(metrics: dict[str, float]) -> dict[str, float]:
    """Features are rounded: losses differ a little, while F1 of a few frames would jump."""
    return {name: value for name, value in metrics.items() if name.endswith("_loss")}


@pytest.mark.slow
@pytest.mark.parametrize("stages", [None, 4])
def test_one_copy_trains_as_the_frames_themselves_do(run: Run, stages: int | None) -> None:
    freezing = {**FREEZING, "init_args": {"stages": stages}}
    gently = ("--model.lr=0.0001",)  # of random weights, rounded features would be blown up by large steps
    frames = run(freezing, more=gently)
    features = run(freezing, cached(1), more=gently)
    assert losses(features) == pytest.approx(losses(frames), abs=0.02)


def test_a_head_alone_is_trained_on_embeddings(run: Run) -> None:
    more = ("--model.evidence=none",)
    assert losses(run(FREEZING, cached(1), more=more)) == pytest.approx(losses(run(FREEZING, more=more)), abs=0.02)


def test_features_are_found_again_unless_something_they_depend_on_changes(run: Run) -> None:
    def cached_files() -> set[Path]:
        return set(Path("cache/features").glob("*.npy"))

    run(FREEZING, cached(2))
    first = cached_files()
    run(FREEZING, cached(2), more=("--model.lr=0.01",))
    assert cached_files() == first
    run(FREEZING, cached(3))
    assert len(cached_files()) == len(first) + 1  # validation's are the same


def test_without_a_cache_folder_nothing_is_left_behind(run: Run, tmp_path: Path) -> None:
    run(FREEZING, cached(20), model="TinyCNNClassifier", more=("--data.cache_dir=null",))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("callbacks", "reason"),
    [
        ([cached(2)], "BackboneFreezing"),
        ([{**FREEZING, "init_args": {"unfreeze_at_epoch": 1}}, cached(2)], "unfreeze_at_epoch"),
    ],
)
def test_stages_that_do_not_stay_frozen_are_refused(
    run: Run, callbacks: list[dict[str, object]], reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AssertionError):
        run(*callbacks, model="TinyCNNClassifier")
    assert reason in capfd.readouterr().err


def test_too_small_a_cache_says_what_to_change(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError):
        run(FREEZING, cached(2), model="TinyCNNClassifier", more=("--data.cache_gb=0.0001",))
    assert "data.cache_gb" in capfd.readouterr().err
