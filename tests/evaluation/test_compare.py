"""Models side by side: costs, differences, recommendation, tables."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from flipdetect.data.index import FrameIndex
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import DataError
from flipdetect.evaluation.compare import Candidate, Footprint, compare, largest_layer, measure_footprint
from flipdetect.evaluation.evaluate import Evaluation, evaluate_scores
from flipdetect.inference.torch_model import TorchModel
from flipdetect.records import ClassNames, FrameRecord, FrameScore
from flipdetect.tasks import TinyCNNClassifier
from tests.inference.exported import write_exported

ROOT = Path("/set")


def evaluation(noise: float, videos: int = 60, seed: int = 0, threshold: float = 0.5) -> Evaluation:
    """Scores of a model on frames that all models share; more noise, more mistakes."""
    rng = np.random.default_rng(seed)
    records, scores = [], []
    for video in range(videos):
        label, level = ("notflip", "flip")[video % 2], rng.normal(0, 0.5)
        for frame in range(5):
            path = ROOT / f"{video}_{frame}.png"
            logit = 3 * (video % 2) - 1.5 + level + noise * np.random.default_rng([video, frame]).normal()
            p = float(1 / (1 + np.exp(-logit)))
            records.append(FrameRecord(path, label, str(video), frame))
            scores.append(FrameScore(path.name, str(video), frame, p, ("notflip", "flip")[p >= threshold]))
    return evaluate_scores(FrameIndex(tuple(records), (), ROOT), scores, threshold, ClassNames())


def model(name: str, noise: float, megabytes: float, **more: object) -> Candidate:
    footprint = Footprint(1000, int(megabytes * 1e6), 2_000_000, 3.25, 4.5, "ONNX Runtime, cpu")
    return Candidate(name, evaluation(noise, **more), footprint, 213.0)


def test_the_smallest_that_is_surely_as_good_is_recommended() -> None:
    found = compare([model("large", 0.1, 45), model("small", 0.11, 9), model("poor", 3.0, 1)], resamples=200)
    assert found.best in ("large", "small")
    assert found.recommended == "small"
    assert found.differences["poor"]["f1"].high < 0
    assert found.best not in found.differences


def test_where_the_data_cannot_tell_the_best_is_recommended() -> None:
    found = compare([model("large", 0.4, 45, videos=8), model("small", 1.6, 9, videos=8)], resamples=200)
    assert found.best == "large"
    assert found.recommended == "large"
    assert "8 videos do not show" in found.why


def test_a_size_limit_rules_models_out() -> None:
    models = [model("large", 0.1, 45), model("middle", 1.0, 9), model("small", 3.0, 1)]
    found = compare(models, max_megabytes=10, resamples=200)
    assert (found.best, found.recommended) == ("large", "middle")
    assert "10 MB or less" in found.why
    none = compare(models, max_megabytes=0.5, resamples=200)
    assert none.recommended is None
    assert "the smallest is small" in none.why


def test_tables_hold_figures_intervals_and_costs() -> None:
    found = compare([model("one", 0.5, 45), model("other", 1.5, 9)], resamples=200)
    text = found.table("github")
    assert "0:03:33" in text
    assert found.ci["one"]["f1"].text() in text
    assert "| best" in text
    rows = found.rows()
    assert [row["model"] for row in rows] == ["one", "other"]
    assert rows[0]["f1_less_best"] is None
    assert float(rows[1]["f1_less_best"]) == pytest.approx(
        found.ci["other"]["f1"].value - found.ci["one"]["f1"].value, abs=1e-4
    )
    assert rows[1]["file_bytes"] == 9_000_000
    listed = found.as_dict()
    assert listed["models"][0]["ci"]["auroc"]["videos"] == 60
    assert listed["recommended"] == found.recommended


def test_other_frames_cannot_be_compared() -> None:
    one, other = model("one", 0.5, 45), model("other", 0.5, 9)
    fewer = replace(other, evaluation=replace(other.evaluation, scored=other.evaluation.scored[1:]))
    with pytest.raises(DataError, match="did not score the same frames"):
        compare([one, fewer], resamples=50)


@pytest.fixture
def bundle(tmp_path: Path) -> TorchModel:
    task = TinyCNNClassifier(width=4, evidence="none")
    task.setup("predict")
    return TorchModel(
        task=task.eval(),
        classes=ClassNames(),
        preprocess=PreprocessSpec(height=32, width=32),
        threshold=0.5,
        naming=None,
        path=tmp_path / "x.ckpt",
    )


def test_a_model_is_weighed_and_timed(bundle: TorchModel) -> None:
    found = measure_footprint(bundle, repeats=3)
    assert found.parameters == sum(each.numel() for each in bundle.task.model.parameters())
    assert found.file_bytes >= 4 * found.parameters
    # The first layer takes in 3 x 32 x 32 numbers of 4 bytes.
    assert found.memory_bytes > found.file_bytes + 4 * 3 * 32 * 32
    assert 0 < found.latency_ms <= found.latency_p95_ms
    assert found.engine == "PyTorch, cpu"


def test_an_exported_file_is_what_is_deployed(bundle: TorchModel, tmp_path: Path) -> None:
    path = write_exported(tmp_path / "brightness.onnx")
    found = measure_footprint(bundle, path, repeats=3)
    assert found.file_bytes == path.stat().st_size
    assert found.engine == "ONNX Runtime, cpu"


def test_the_largest_layer_counts_what_goes_in_and_comes_out() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    # ReLU: 8 x 4 x 4 numbers in and out, of 4 bytes.
    assert largest_layer(model.eval(), torch.zeros(1, 1, 4, 4)) == 2 * 8 * 16 * 4
