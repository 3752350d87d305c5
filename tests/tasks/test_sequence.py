"""The classifier of clips: shapes, starting weights, training, and what a checkpoint makes of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from flipdetect.errors import ConfigError, ModelError
from flipdetect.evaluation.sequences import clip_drawing
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.tasks import SequenceClassifier, TinyCNNClassifier
from tests.rendered_sets import make_rendered_set

SMALL = {"weights": "none", "width": 4, "hidden": 8}


def task(**settings) -> SequenceClassifier:
    torch.manual_seed(0)
    return SequenceClassifier(**(SMALL | settings))


def batch(clips: int = 4, frames: int = 3) -> dict[str, torch.Tensor]:
    target = torch.tensor([1.0, 0.0] * (clips // 2))
    return {
        "image": torch.randn(clips, frames, 3, 32, 24),
        "present": torch.ones(clips, frames, dtype=torch.bool),
        "target": target,
        "frame_target": target[:, None].repeat(1, frames),
        "pair": torch.arange(clips) // 2,
        "maps": torch.rand(clips, frames, 3, 4, 3),
        "has_maps": torch.ones(clips, frames, dtype=torch.bool),
        "index": torch.arange(clips),
    }


def test_one_logit_per_clip_and_a_frame_is_a_clip_of_one() -> None:
    model = task(channels_last=True).eval()
    images = torch.randn(2, 3, 3, 32, 24)
    assert model(images).shape == (2,)
    assert model(images).dtype == torch.float32
    torch.testing.assert_close(model(images[:, 0]), model(images[:, :1]))


def test_shapes_that_are_no_clips_are_refused() -> None:
    with pytest.raises(ModelError, match=r"\(B, T, C, H, W\)"):
        task()(torch.rand(3, 32, 24))
    with pytest.raises(ModelError, match="no frame"):
        task()(torch.rand(1, 2, 3, 32, 24), torch.zeros(1, 2, dtype=torch.bool))


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"evidence": "none"}, ConfigError, "evidence"),
        ({"frame_model": "vgg16"}, ConfigError, "frame_model"),
        ({"width": 4.5}, ConfigError, "width"),
        ({"frame_weight": -1.0}, ConfigError, "frame_weight"),
        ({"weights": "imagenet"}, ModelError, "weights"),
        ({"temporal": "lstm"}, ModelError, "temporal"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        task(**wrong)


def test_every_parameter_is_in_one_group_and_the_frame_model_has_its_own_rate() -> None:
    model = task(lr=1e-2, backbone_lr=1e-4)
    groups = model._parameter_groups()
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    assert {rates[id(parameter)] for parameter in model.model.parameters()} == {1e-4}
    assert {rates[id(parameter)] for parameter in model.head.parameters()} == {1e-2}


def logged(model: SequenceClassifier) -> dict[str, float]:
    found: dict[str, float] = {}
    model.log = lambda name, value, **_: found.__setitem__(name, float(value.detach()))  # type: ignore[method-assign]
    return found


def test_the_loss_is_of_clips_frames_maps_and_twins() -> None:
    model = task(frame_weight=0.5, map_weight=2.0, rank_weight=3.0)
    terms = logged(model)
    loss = model.training_step(batch(), 0)
    assert set(terms) == {"train_loss", "train_frame_loss", "train_map_loss", "train_rank_loss"}
    expected = terms["train_loss"] + 0.5 * terms["train_frame_loss"] + 2 * terms["train_map_loss"]
    assert loss.item() == pytest.approx(expected + 3 * terms["train_rank_loss"], rel=1e-5)


def test_a_frozen_frame_model_stays_as_it_is() -> None:
    model = task(frozen=True).train()
    before = {name: value.clone() for name, value in model.model.state_dict().items()}
    terms = logged(model)
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.1)
    for _ in range(2):
        model.training_step(batch(), 0).backward()
        optimizer.step()
    assert all(torch.equal(before[name], value) for name, value in model.model.state_dict().items())
    assert "train_map_loss" not in terms
    assert model.head.frame_head.weight.any()


def test_it_starts_from_a_frame_model_without_its_threshold(trained: Path) -> None:
    model = SequenceClassifier(weights=str(trained), width=16)
    stored = torch.load(trained, weights_only=True)["state_dict"]
    torch.testing.assert_close(model.model.state_dict()["backbone.0.0.weight"], stored["model.backbone.0.0.weight"])
    model.setup("fit")
    assert model.threshold.item() == 0.5


@pytest.mark.slow
def test_the_shipped_configuration_trains_and_its_checkpoint_is_self_contained(
    train: Callable[..., int], tmp_path: Path
) -> None:
    root = make_rendered_set(tmp_path / "set", books=10, frames=4, height=64)
    small = ["--model.width=4", "--model.weights=none", "--model.hidden=8", "--data.clips.frames=3"]
    assert train("sequence.yaml", *small, "--trainer.precision=32-true", root=root) == 0
    path = tmp_path / "logs" / "sequence" / "version_0" / "best.ckpt"
    bundle = load_torch_model(path, "cpu")
    assert isinstance(bundle.task, SequenceClassifier)
    drawing = clip_drawing(bundle)
    assert drawing is not None
    assert drawing.frames == 3
    again = SequenceClassifier(weights=str(path), width=4, hidden=8)
    again.setup("fit")
    assert again.threshold.item() == bundle.threshold
    for name, value in again.head.state_dict().items():
        torch.testing.assert_close(value, bundle.task.head.state_dict()[name])
    with pytest.raises(ModelError, match="other settings"):
        SequenceClassifier(weights=str(path), width=4, hidden=8, motion=False)
    frames = TinyCNNClassifier(weights=str(path), width=4, evidence="maps")
    torch.testing.assert_close(
        frames.model.state_dict()["backbone.0.0.weight"], bundle.task.model.state_dict()["backbone.0.0.weight"]
    )
