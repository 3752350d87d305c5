"""A network that learns from trained ones: what becomes of the targets, and training as a whole."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from flipdetect.callbacks import Distillation
from flipdetect.callbacks.distillation import as_seen_by
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, ModelError
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.zoo import pretrained_path
from tests.callbacks.test_features import Run, run  # noqa: F401 - the second is a fixture

TEACHER = "tiny_cnn"


def with_targets(batch: dict[str, torch.Tensor], spec: PreprocessSpec, share: float) -> dict[str, torch.Tensor]:
    trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(preprocess=spec))
    module: Any = SimpleNamespace(device=torch.device("cpu"))
    callback = Distillation([TEACHER], share)
    callback.on_fit_start(trainer, module)
    callback.on_train_batch_start(trainer, module, batch, 0)
    return batch


def test_targets_lie_between_label_and_teacher() -> None:
    teacher = load_torch_model(pretrained_path(TEACHER))
    spec = teacher.preprocess
    images = torch.rand(4, 3, spec.height, spec.width, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0.0, 1.0, 0.0, 1.0])
    with torch.no_grad():
        said = teacher.task(images).sigmoid()

    batch = with_targets({"image": images, "target": labels}, spec, 0.25)

    assert torch.allclose(batch["soft_target"], 0.75 * labels + 0.25 * said, atol=1e-6)
    assert torch.equal(batch["target"], labels)


def test_a_teacher_sees_frames_as_it_was_trained() -> None:
    own = PreprocessSpec(height=64, width=36, mean=(0.5,) * 3, std=(0.5,) * 3)
    other = PreprocessSpec(height=32, width=18, mean=(0.1, 0.2, 0.3), std=(0.2, 0.3, 0.4))
    grey = torch.full((1, 3, 64, 36), (0.8 - 0.5) / 0.5)

    seen = as_seen_by(other, grey, own)

    assert seen.shape == (1, 3, 32, 18)
    assert torch.allclose(seen[0, :, 5, 5], torch.tensor([0.7 / 0.2, 0.6 / 0.3, 0.5 / 0.4]), atol=1e-5)


def test_training_with_a_teacher(run: Run) -> None:  # noqa: F811
    def metrics(*callbacks: dict[str, object]) -> dict[str, float]:
        return run(*callbacks, model="TinyCNNClassifier", more=("--trainer.max_epochs=1",))

    taught = {"class_path": "flipdetect.callbacks.Distillation", "init_args": {"teachers": [TEACHER], "share": 0.5}}

    assert metrics(taught) != metrics()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teachers": []}, "needs teachers"),
        ({"teachers": [TEACHER], "share": 0.0}, "a share in"),
        ({"teachers": [TEACHER], "share": 1.5}, "a share in"),
    ],
)
def test_impossible_settings_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Distillation(**arguments)


def test_frames_are_needed_and_of_the_teachers_channels() -> None:
    with pytest.raises(ConfigError, match="leave CachedFeatures out"):
        with_targets({"features": torch.zeros(1)}, PreprocessSpec(), 0.5)
    with pytest.raises(ConfigError, match="sees 3 channels"):
        with_targets({}, PreprocessSpec(channels=1, mean=(0.5,), std=(0.5,)), 0.5)


def test_an_exported_teacher_is_refused() -> None:
    with pytest.raises(ModelError, match=r"ensemble\.onnx is exported"):
        load_torch_model(pretrained_path("ensemble"))
