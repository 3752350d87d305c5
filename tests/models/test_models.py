"""Networks: shapes, precision, stages, evidence maps, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.models import EfficientNetLite0, FrameModel, MobileNetV2, ResNet18, TimmBackbone, TinyCNN
from flipdetect.models.evidence_maps import FIRST_WEIGHT, PRIOR_SHARE, Evidence, EvidenceBranch, pool_evidence

# Model, number of stages, and after which of them the feature maps of strides 8, 16 and 32 come out.
STAGED: dict[str, tuple[Callable[..., FrameModel], int, tuple[int, ...]]] = {
    "tiny_cnn": (TinyCNN, 4, (2, 3)),
    "mobilenet": (partial(MobileNetV2, weights="none", width=0.35), 9, (3, 5, 7)),
    "efficientnet_lite0": (partial(EfficientNetLite0, weights="none"), 9, (3, 5, 7)),
    "resnet18": (partial(ResNet18, weights="none"), 5, (2, 3, 4)),
    **{
        name: (partial(TimmBackbone, name, weights="none"), count, after)
        for name, count, after in (
            ("mobilenetv3_small_050", 7, (2, 4, 6)),
            ("regnety_002", 5, (2, 3, 4)),
            ("convnext_atto", 5, (2, 3, 4)),
        )
    },
}


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=STAGED, name="staged")
def fixture_staged(request: pytest.FixtureRequest) -> tuple[Callable[..., FrameModel], int, tuple[int, ...]]:
    return STAGED[request.param]


@pytest.fixture(name="build")
def fixture_build(staged: Any) -> Callable[..., FrameModel]:
    return staged[0]


@pytest.fixture(params=["maps", "both"], name="model")
def fixture_model(request: pytest.FixtureRequest, staged: Any) -> FrameModel:
    return staged[0](evidence=request.param).eval()


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("channels", "size"), [(1, (64, 64)), (3, (57, 111))])
def test_one_float32_logit_per_frame_at_any_size(
    build: Callable[..., FrameModel], channels: int, size: tuple[int, int]
) -> None:
    model = build(in_channels=channels, evidence="none").eval()
    frames = torch.rand(3, channels, *size)
    logits = model(frames)
    assert logits.shape == (3,)
    assert logits.dtype == torch.float32
    features = model.forward_features(frames)
    assert features.shape == (3, model.num_features)
    assert features.dtype == torch.float32
    assert torch.allclose(model.head(features).squeeze(1), logits)


def test_a_frame_does_not_depend_on_its_neighbours_in_evaluation(build: Callable[..., FrameModel]) -> None:
    model = build().eval()
    frames = torch.rand(4, 3, 64, 64)
    assert torch.allclose(model(frames)[1:2], model(frames[1:2]), atol=1e-5)


def test_under_autocast_logits_and_maps_keep_full_precision() -> None:
    model = TinyCNN().eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits, maps = model.forward_maps(torch.rand(16, 3, 64, 64))
    for values in (logits, maps):
        assert values.dtype == torch.float32
        assert not torch.equal(values, values.bfloat16().float())


def test_a_model_wholly_in_bfloat16_still_returns_float32() -> None:
    model = TinyCNN().eval().to(torch.bfloat16)
    frames = torch.rand(2, 3, 64, 64, dtype=torch.bfloat16)
    assert model(frames).dtype == model.forward_features(frames).dtype == torch.float32


def test_numbers_of_parameters() -> None:
    assert parameters(TinyCNN()) < 150_000
    assert parameters(MobileNetV2(weights="none")) < 2_300_000
    # Layers that only the embedding needs are removed.
    assert parameters(MobileNetV2(weights="none", evidence="maps")) < 1_900_000
    blink = TinyCNN(in_channels=1, width=4)
    assert parameters(blink) < 10_000
    assert blink.eval()(torch.rand(2, 1, 32, 32)).shape == (2,)


def test_tiny_cnn_takes_16_pixels_and_no_fewer() -> None:
    model = TinyCNN().eval()
    assert model(torch.rand(1, 3, 16, 16)).isfinite().all()
    with pytest.raises(ModelError, match="at least 16x16 pixels, got 15x40"):
        model(torch.rand(1, 3, 15, 40))


def test_the_wrong_number_of_channels_is_named(build: Callable[..., FrameModel]) -> None:
    with pytest.raises(ModelError, match=r"\(B, 3, H, W\), got \(2, 1, 64, 64\)"):
        build()(torch.rand(2, 1, 64, 64))
    with pytest.raises(ModelError, match="in_channels must be 3"):
        build(in_channels=4)


@pytest.mark.parametrize("arguments", [{"width": 0}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_impossible_settings_are_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ModelError, match=r"got (0|1\.0|-0\.1)"):
        TinyCNN(**arguments)  # type: ignore[arg-type]


def test_vgg_loses_its_fully_connected_layers() -> None:
    model = TimmBackbone("vgg11", weights="none").eval()
    assert parameters(model) < 10_000_000
    assert model.num_features == 512
    assert model(torch.rand(1, 3, 64, 40)).shape == (1,)


def test_backbone_args_reach_timm() -> None:
    model = TimmBackbone("vit_tiny_patch16_224", weights="none", backbone_args={"dynamic_img_size": True})
    assert model.eval()(torch.rand(1, 3, 64, 48)).shape == (1,)
    with pytest.raises(ModelError, match="no_such_argument"):
        TimmBackbone("resnet18", weights="none", backbone_args={"no_such_argument": 1})


def test_an_unknown_name_is_answered_with_similar_ones() -> None:
    with pytest.raises(ModelError, match=r"no model named 'resnet19'.*resnet18"):
        TimmBackbone("resnet19", weights="none")
    with pytest.raises(ModelError, match="no model named 'hf-hub:timm/resnet18'"):
        TimmBackbone("hf-hub:timm/resnet18", weights="none")


def test_models_export_with_any_batch_and_size() -> None:
    model = TinyCNN().eval()
    # Above the 16 pixels at which the last feature map has one position: there torch wants its own graph.
    height, width = (torch.export.Dim(name, min=33, max=2048) for name in ("height", "width"))
    dynamic = {0: torch.export.Dim("batch"), 2: height, 3: width}
    program = torch.export.export(model, (torch.rand(2, 3, 96, 54),), dynamic_shapes=(dynamic,))
    frames = torch.rand(5, 3, 64, 80)
    assert torch.allclose(program.module()(frames), model(frames), atol=1e-5)


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
    model, frames = with_statistics(build(evidence="none")), torch.rand(2, 3, 96, 64)
    assert len(model.backbone_stages()) == count
    embedding = model.pool_features(applied(model, frames))
    assert torch.equal(embedding, model.backbone(frames))
    assert torch.equal(embedding.float(), model.forward_features(frames))


def test_levels_come_out_behind_their_stages(staged: Any) -> None:
    build, _, behind = staged
    model, frames = with_statistics(build(evidence="both")), torch.rand(2, 3, 96, 64)
    assert model.level_stages == behind
    assert len(build(evidence="maps").backbone_stages()) == behind[-1] + 1
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
    model, frames = with_statistics(build(evidence="both")), torch.rand(2, 3, 64, 64)
    whole, levels = model.run_stages(frames)
    for cut in range(count + 1):
        between, first = model.run_stages(frames, stop=cut)
        kept = between.clone()
        end, second = model.run_stages(between, start=cut)
        assert torch.equal(end, whole)
        assert torch.equal(between, kept), "what a stage puts out must not be changed by the next one"
        assert len(first) + len(second) == len(levels)
        assert all(torch.equal(one, other) for one, other in zip(first + second, levels, strict=True))


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


def test_pooling_by_hand() -> None:
    one, other = torch.tensor([[2.0, -1.0], [0.0, 1.0]]), torch.tensor([[-3.0, -3.0], [-3.0, 5.0]])
    pooled = pool_evidence(torch.stack([one, other])[None])
    exponentials = [sum(math.exp(x) for x in each.flatten().tolist()) / 4 for each in (one, other)]
    shares = [sum(1 / (1 + math.exp(-x)) for x in each.flatten().tolist()) / 4 for each in (one, other)]
    expected = [math.log(each / PRIOR_SHARE) for each in exponentials] + [each / PRIOR_SHARE - 1 for each in shares]
    assert pooled.shape == (1, 4)
    assert pooled[0].tolist() == pytest.approx(expected, rel=1e-5)


def test_pooling_survives_large_logits_and_its_gradient_is_a_softmax() -> None:
    maps = torch.tensor([[[[200.0, 199.0]]]], requires_grad=True)
    strongest = pool_evidence(maps)[0, 0]
    strongest.backward()
    assert strongest.isfinite()
    assert maps.grad is not None
    assert maps.grad.flatten().tolist() == pytest.approx(torch.tensor([200.0, 199.0]).softmax(0).tolist(), rel=1e-4)


def test_an_untrained_decoder_expects_little_and_decides_nothing() -> None:
    branch = EvidenceBranch((8,), 4).eval()
    nn.init.zeros_(branch.maps.weight)
    logits, maps = branch(torch.rand(2, 4, 6, 3))
    torch.testing.assert_close(maps.sigmoid(), torch.full((2, 3, 6, 3), PRIOR_SHARE))
    assert logits.abs().max() < 0.1
    assert torch.equal(branch.head.weight, torch.full((1, 4), FIRST_WEIGHT))


def test_gradients_reach_every_parameter(model: FrameModel) -> None:
    logits, maps = model.train().forward_maps(torch.rand(4, 3, 64, 64))
    (logits.square().sum() + maps.square().sum()).backward()
    assert not [name for name, each in model.named_parameters() if each.grad is None]
    for part in (model.backbone, model.evidence.lateral, model.evidence.head):
        assert next(part.parameters()).grad.any()


def test_maps_have_an_eighth_of_the_size_and_the_logit_is_that_of_forward(model: FrameModel) -> None:
    frames = torch.rand(2, 3, 96, 56)
    logits, maps = model.forward_maps(frames)
    assert maps.shape == (2, 3, 12, 7)
    assert maps.dtype == logits.dtype == torch.float32
    assert torch.equal(model(frames), logits)
    assert model.evidence is not None
    evidence = model.evidence.head(pool_evidence(maps[:, :2])).squeeze(1)
    embedded = 0 if model.head is None else model.head(model.forward_features(frames)).squeeze(1)
    torch.testing.assert_close(logits, evidence + embedded, rtol=1e-4, atol=1e-4)


def test_the_label_alone_teaches_sheet_and_edge_and_leaves_hands() -> None:
    model = TinyCNN(width=4, evidence="maps").train()
    model(torch.rand(4, 3, 64, 64)).sum().backward()
    gradient = model.evidence.maps.weight.grad.abs().sum(dim=(1, 2, 3))
    assert (gradient[:2] > 0).all()
    assert gradient[2] == 0


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "levit_128s"])
def test_backbones_without_them_say_so(name: str) -> None:
    with pytest.raises(ModelError, match=rf"{name}.*strides 8 and 16.*evidence: none"):
        TimmBackbone(name, weights="none", evidence="both")


def test_what_a_model_lacks_is_named() -> None:
    frames = torch.rand(1, 3, 32, 32)
    with pytest.raises(ModelError, match="no maps"):
        TinyCNN(evidence="none").eval().forward_maps(frames)
    with pytest.raises(ModelError, match="no embedding"):
        TinyCNN(evidence="maps").eval().forward_features(frames)
    with pytest.raises(ModelError, match="none, maps, both, got 'some'"):
        TinyCNN(evidence="some")  # type: ignore[arg-type]
