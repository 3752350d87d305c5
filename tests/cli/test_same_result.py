"""One input, one result: frames alone and together, in any order; workers and caches; one engine or the other."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from flipdetect.cli.main import main
from flipdetect.outputs.predictions import read_predictions

SAME = 1e-5
"""Of probabilities, which tables keep to six decimals."""


def scores(*arguments: object) -> dict[str, float | None]:
    """Name of each file -> probability, by `flipdetect predict`."""
    assert main(["predict", *map(str, arguments), "--output", "scores.csv"]) == 0
    return {Path(row.path).name: row.probability for row in read_predictions(Path("scores.csv"))}


@pytest.fixture
def frames(tmp_path: Path, monreader_set: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Frames of all videos, under names of their own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "frames").mkdir()
    copies = []
    for number, path in enumerate(sorted(monreader_set.rglob("*.jpg"))):
        copies.append(Path(shutil.copy(path, tmp_path / "frames" / f"{number:04d}_000000001.jpg")))
    return copies


@pytest.mark.parametrize("model", ["ensemble", "tiny_cnn"])
def test_a_frame_alone_in_a_batch_and_in_any_order(model: str, frames: list[Path]) -> None:
    together = scores("frames", "--model", model)
    assert scores(*reversed(frames), "--model", model, "--batch-size", "3") == pytest.approx(together, abs=SAME)
    for path in frames[::8]:
        assert scores(path, "--model", model) == pytest.approx({path.name: together[path.name]}, abs=SAME)


def test_twice_on_one_machine(frames: list[Path]) -> None:
    assert scores("frames") == scores("frames")


def test_pytorch_and_onnx_runtime(frames: list[Path]) -> None:
    onnx, torch = (scores("frames", "--model", "tiny_cnn", "--engine", engine) for engine in ("onnx", "torch"))
    assert onnx == pytest.approx(torch, abs=SAME)


def test_a_training_with_any_number_of_workers_and_any_cache(train: Callable[..., int]) -> None:
    ways = [["--data.num_workers=0"], ["--data.num_workers=2"], *[["--data.cache_dir=cache"]] * 2]  # cold, then warm
    for way in ways:
        assert train("tiny_cnn.yaml", "--trainer.max_epochs=2", *way) == 0
    runs = sorted(Path("logs/tiny_cnn").iterdir())
    assert len(runs) == len(ways)
    metrics = [json.loads((run / "metrics.json").read_text()) | {"fit_seconds": 0} for run in runs]
    assert metrics[1:] == metrics[:1] * 3
