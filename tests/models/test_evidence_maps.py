"""Evidence maps: pooling, precision, and gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from flipdetect.errors import ModelError
from flipdetect.models import FrameModel, MobileNetV2, ResNet18, TimmBackbone, TinyCNN
from flipdetect.models.evidence_maps import FIRST_WEIGHT, PRIOR_SHARE, EvidenceBranch, pool_evidence

BUILD = {"tiny_cnn": TinyCNN, "mobilenet": MobileNetV2, "resnet18": ResNet18}


@pytest.fixture(params=[(name, evidence) for name in BUILD for evidence in ("maps", "both")], name="model")
def fixture_model(request: pytest.FixtureRequest) -> FrameModel:
    torch.manual_seed(0)
    name, evidence = request.param
    settings = {} if name == "tiny_cnn" else {"weights": "none"}
    return BUILD[name](evidence=evidence, **settings).eval()


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


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


def test_maps_have_an_eighth_of_the_size_and_the_logit_is_that_of_forward(model: FrameModel) -> None:
    frames = torch.rand(2, 3, 96, 54)
    logits, maps = model.forward_maps(frames)
    assert maps.shape == (2, 3, 12, 7)
    assert maps.dtype == logits.dtype == torch.float32
    assert torch.equal(model(frames), logits)
    evidence = model.evidence.head(pool_evidence(maps[:, :2])).squeeze(1)
    embedded = 0 if model.head is None else model.head(model.forward_features(frames)).squeeze(1)
    torch.testing.assert_close(logits, evidence + embedded, rtol=1e-4, atol=1e-4)


def test_gradients_reach_every_parameter(model: FrameModel) -> None:
    logits, maps = model.train().forward_maps(torch.rand(4, 3, 64, 64))
    (logits.square().sum() + maps.square().sum()).backward()
    assert not [name for name, each in model.named_parameters() if each.grad is None]
    assert model.evidence.lateral[0].weight.grad.any()
    assert model.evidence.head.weight.grad.any()
    assert next(model.backbone.parameters()).grad.any()


def test_the_label_alone_teaches_sheet_and_edge_and_leaves_hands() -> None:
    model = TinyCNN(width=4, evidence="maps").train()
    model(torch.rand(4, 3, 64, 64)).sum().backward()
    gradient = model.evidence.maps.weight.grad.abs().sum(dim=(1, 2, 3))
    assert (gradient[:2] > 0).all()
    assert gradient[2] == 0


def test_under_autocast_decoder_and_pooling_keep_full_precision() -> None:
    model = TinyCNN().eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits, maps = model.forward_maps(torch.rand(16, 3, 64, 64))
    for values in (logits, maps):
        assert values.dtype == torch.float32
        assert not torch.equal(values, values.bfloat16().float())


def test_sizes() -> None:
    assert sum(each.numel() * each.element_size() for each in TinyCNN().state_dict().values()) < 600_000
    assert parameters(MobileNetV2(weights="none")) < 2_300_000
    # Layers that only the embedding needs are removed.
    assert parameters(MobileNetV2(weights="none", evidence="maps")) < 1_900_000


@pytest.mark.parametrize("name", ["lcnet_050", "mobilenetv3_small_050", "convnext_atto", "regnety_002"])
def test_backbones_with_maps_of_the_right_strides_can_have_evidence(name: str) -> None:
    model = TimmBackbone(name, weights="none", evidence="both").eval()
    frames = torch.rand(2, 3, 64, 64)
    logits, maps = model.forward_maps(frames)
    assert maps.shape == (2, 3, 8, 8)
    assert model.head is not None
    assert model.evidence is not None
    embedded = model.head(model.forward_features(frames)).squeeze(1)
    evidence = model.evidence.head(pool_evidence(maps[:, :2])).squeeze(1)
    torch.testing.assert_close(logits, evidence + embedded, rtol=1e-4, atol=1e-4)


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


def test_weights_of_another_kind_of_evidence_do_not_pass_for_its_own() -> None:
    with pytest.raises(RuntimeError, match="evidence"):
        TinyCNN(evidence="both").load_state_dict(TinyCNN(evidence="none").state_dict())
