"""Stages of backbones: one after another they are the backbone, and feature maps come out behind some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from flipdetect.models import FrameModel, MobileNetV2, ResNet18, TimmBackbone, TinyCNN
from flipdetect.models.evidence_maps import Evidence


def timm_model(name: str) -> Callable[[Evidence], FrameModel]:
    return lambda evidence: TimmBackbone(name, weights="none", evidence=evidence)


# Model, number of stages, and behind which of them the feature maps of strides 8, 16 and 32 come out.
STAGED: dict[str, tuple[Callable[[Evidence], FrameModel], int, tuple[int, ...]]] = {
    "tiny_cnn": (lambda evidence: TinyCNN(evidence=evidence), 4, (2, 3)),
    "mobilenet": (lambda evidence: MobileNetV2(weights="none", evidence=evidence, width=0.35), 9, (3, 5, 7)),
    "efficientnet_lite0": (timm_model("efficientnet_lite0"), 9, (3, 5, 7)),
    "mobilenetv3_small_050": (timm_model("mobilenetv3_small_050"), 7, (2, 4, 6)),
    "resnet18": (lambda evidence: ResNet18(weights="none", evidence=evidence), 5, (2, 3, 4)),
    "regnety_002": (timm_model("regnety_002"), 5, (2, 3, 4)),
    "convnext_atto": (timm_model("convnext_atto"), 5, (2, 3, 4)),
}


@pytest.fixture(params=STAGED, name="staged")
def fixture_staged(request: pytest.FixtureRequest) -> tuple[Callable[[Evidence], FrameModel], int, tuple[int, ...]]:
    torch.manual_seed(0)
    return STAGED[request.param]


def with_statistics(model: FrameModel) -> FrameModel:
    """As if it had been trained: the running statistics are those of some frames."""
    model.train()(torch.rand(8, 3, 64, 48))
    return model.eval()


def applied(model: FrameModel, x: Tensor) -> Tensor:
    for stage in model.backbone_stages():
        for module in stage:
            x = module(x)
    return x


def test_stages_one_after_another_are_the_backbone(staged: Any) -> None:
    build, count, _ = staged
    model, frames = with_statistics(build("none")), torch.rand(2, 3, 96, 64)
    assert len(model.backbone_stages()) == count
    embedding = model.pool_features(applied(model, frames))
    assert torch.equal(embedding, model.backbone(frames))
    assert torch.equal(embedding.float(), model.forward_features(frames))


def test_levels_come_out_behind_their_stages(staged: Any) -> None:
    build, _, behind = staged
    model, frames = with_statistics(build("both")), torch.rand(2, 3, 96, 64)
    assert model.level_stages == behind
    last, levels = model.run_stages(frames)
    assert [frames.shape[2] // level.shape[2] for level in levels] == [8, 16, 32][: len(levels)]
    assert tuple(level.shape[1] for level in levels) == model.level_channels
    assert torch.equal(model.pool_features(last), model.backbone(frames))
    if isinstance(model, TimmBackbone):  # as timm finds them
        numbers = {info["reduction"]: number for number, info in enumerate(model.backbone.feature_info)}
        indices = [numbers[stride] for stride in (8, 16, 32)]
        features, found = model.backbone.forward_intermediates(frames, indices=indices)
        assert torch.equal(features, last)
        assert all(torch.equal(one, other) for one, other in zip(levels, found, strict=True))


def test_any_cut_leads_to_the_same(staged: Any) -> None:
    build, count, _ = staged
    model, frames = with_statistics(build("both")), torch.rand(2, 3, 64, 64)
    whole, levels = model.run_stages(frames)
    for cut in range(count + 1):
        between, first = model.run_stages(frames, stop=cut)
        kept = between.clone()
        end, second = model.run_stages(between, start=cut)
        assert torch.equal(end, whole)
        assert torch.equal(between, kept), "what a stage puts out must not be changed by the next one"
        assert len(first) + len(second) == len(levels)
        assert all(torch.equal(one, other) for one, other in zip(first + second, levels, strict=True))


def test_maps_alone_need_no_stage_behind_the_last_level(staged: Any) -> None:
    build, _, behind = staged
    model = build("maps").eval()
    assert model.level_stages == behind
    assert len(model.backbone_stages()) == behind[-1] + 1
    assert model(torch.rand(1, 3, 64, 64)).shape == (1,)


def test_all_weights_are_in_one_stage_or_behind_the_pooling(staged: Any) -> None:
    build, _, _ = staged
    model = build("none")
    names = {id(parameter): name for name, parameter in model.backbone.named_parameters()}
    found = [id(each) for stage in model.backbone_stages() for module in stage for each in module.parameters()]
    assert len(found) == len(set(found))
    left = {name.split(".")[0] for key, name in names.items() if key not in found}
    assert left <= {"conv_head", "head"}


def test_vgg_has_a_stage_per_size() -> None:
    model = TimmBackbone("vgg11_bn", weights="none").eval()
    frames = torch.rand(2, 3, 64, 64)
    heights = [frames.shape[2]]
    x = frames
    for number in range(len(model.backbone_stages())):
        x, _ = model.run_stages(x, number, number + 1)
        heights.append(x.shape[2])
    assert heights == [64, 32, 16, 8, 4, 2]
    assert torch.equal(model.pool_features(x), model.backbone(frames))


@pytest.mark.parametrize(("name", "evidence"), [("densenet121", "both"), ("vit_tiny_patch16_224", "none")])
def test_an_unknown_structure_is_a_single_stage(name: str, evidence: Evidence) -> None:
    size = {"backbone_args": {"img_size": 64}} if name.startswith("vit") else {}
    model = TimmBackbone(name, weights="none", evidence=evidence, **size).eval()
    frames = torch.rand(1, 3, 64, 64)
    assert model.backbone_stages() == [(model.backbone,)]
    assert model.level_stages == ()
    assert torch.equal(model.pool_features(model.run_stages(frames)[0]), model.backbone(frames))
    assert model(frames).shape == (1,)
