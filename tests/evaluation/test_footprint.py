"""Costs of a model, measured on a small one."""

from pathlib import Path

import pytest
import torch
from torch import nn

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.evaluation.compare import largest_layer, measure_footprint
from flipdetect.inference.torch_model import TorchModel
from flipdetect.records import ClassNames
from flipdetect.tasks import TinyCNNClassifier
from tests.inference.exported import write_exported


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
    found = measure_footprint(bundle, path, threads=1, repeats=3)
    assert found.file_bytes == path.stat().st_size
    assert found.engine == "ONNX Runtime, cpu"


def test_the_largest_layer_counts_what_goes_in_and_comes_out() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    # ReLU: 8 x 4 x 4 numbers in and out, of 4 bytes.
    assert largest_layer(model.eval(), torch.zeros(1, 1, 4, 4)) == 2 * 8 * 16 * 4
