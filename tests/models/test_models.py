from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from flipdetect.errors import ModelError
from flipdetect.models import EfficientNetLite0, FrameModel, MobileNetV2, ResNet18, TimmBackbone, TinyCNN

MODELS: dict[str, Callable[[int], FrameModel]] = {
    "tiny_cnn": lambda channels: TinyCNN(in_channels=channels),
    "mobilenet": lambda channels: MobileNetV2(in_channels=channels, weights="none"),
    "efficientnet": lambda channels: EfficientNetLite0(in_channels=channels, weights="none", evidence="both"),
    "resnet18": lambda channels: ResNet18(in_channels=channels, weights="none"),
    "timm": lambda channels: TimmBackbone("mobilenetv3_small_050", in_channels=channels, weights="none"),
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=MODELS, name="build")
def fixture_build(request: pytest.FixtureRequest) -> Callable[[int], FrameModel]:
    return MODELS[request.param]


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("size", [(64, 64), (96, 54), (57, 111)])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_float32_logit_per_frame_at_any_size(
    build: Callable[[int], FrameModel], channels: int, size: tuple[int, int]
) -> None:
    model = build(channels).eval()
    frames = torch.rand(3, channels, *size)
    logits = model(frames)
    assert logits.shape == (3,)
    assert logits.dtype == torch.float32
    features = model.forward_features(frames)
    assert features.shape == (3, model.num_features)
    assert features.dtype == torch.float32
    if not model.has_maps:
        assert torch.allclose(model.head(features).squeeze(1), logits)


def test_gradients_reach_every_parameter(build: Callable[[int], FrameModel]) -> None:
    model = build(3).train()
    model(torch.rand(4, 3, 64, 64)).square().sum().backward()
    gradients = {name: each.grad for name, each in model.named_parameters()}
    assert not [name for name, gradient in gradients.items() if gradient is None]
    # Residual branches may start at zero and hold the gradients behind them there, but not these two.
    for gradient in (next(iter(gradients.values())), gradients["head.1.weight"]):
        assert gradient is not None
        assert gradient.any()


def test_backbone_head_and_evidence_hold_all_parameters(build: Callable[[int], FrameModel]) -> None:
    model = build(3)
    parts = [part for part in (model.backbone, model.head, model.evidence) if part is not None]
    assert parameters(model) == sum(parameters(part) for part in parts)


def test_a_frame_does_not_depend_on_its_neighbours_in_evaluation(build: Callable[[int], FrameModel]) -> None:
    model = build(3).eval()
    frames = torch.rand(4, 3, 64, 64)
    assert torch.allclose(model(frames)[1:2], model(frames[1:2]), atol=1e-5)


def test_the_state_dict_restores_the_model(build: Callable[[int], FrameModel], tmp_path: Path) -> None:
    model = build(3)
    model(torch.rand(4, 3, 64, 64))  # moves the running statistics
    torch.save(model.state_dict(), tmp_path / "model.pt")
    other = build(3)
    other.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    frames = torch.rand(2, 3, 64, 64)
    assert torch.equal(model.eval()(frames), other.eval()(frames))


def test_under_autocast_the_logit_keeps_full_precision() -> None:
    model = TinyCNN().eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(torch.rand(16, 3, 64, 64))
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def test_a_model_wholly_in_bfloat16_still_returns_float32() -> None:
    model = TinyCNN().eval().to(torch.bfloat16)
    frames = torch.rand(2, 3, 64, 64, dtype=torch.bfloat16)
    assert model(frames).dtype == model.forward_features(frames).dtype == torch.float32


def test_tiny_cnn_is_tiny() -> None:
    assert parameters(TinyCNN()) < 150_000
    blink = TinyCNN(in_channels=1, width=4)
    assert parameters(blink) < 10_000
    assert blink.eval()(torch.rand(2, 1, 32, 32)).shape == (2,)


def test_tiny_cnn_takes_16_pixels_and_no_fewer() -> None:
    model = TinyCNN().eval()
    assert model(torch.rand(1, 3, 16, 16)).isfinite().all()
    with pytest.raises(ModelError, match="at least 16x16 pixels, got 15x40"):
        model(torch.rand(1, 3, 15, 40))


def test_tiny_cnn_sees_an_edge_that_covers_a_few_pixels() -> None:
    model = TinyCNN(width=4, dropout=0.0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(40):
        targets = torch.randint(0, 2, (16,))
        frames = 0.1 * torch.randn(16, 3, 64, 36)
        frames[targets == 1, :, 20:44, 17:19] -= 0.6
        loss = nn.functional.binary_cross_entropy_with_logits(model(frames), targets.float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2


def test_the_wrong_number_of_channels_is_named(build: Callable[[int], FrameModel]) -> None:
    with pytest.raises(ModelError, match=r"\(B, 3, H, W\), got \(2, 1, 64, 64\)"):
        build(3)(torch.rand(2, 1, 64, 64))
    with pytest.raises(ModelError, match="in_channels must be 3"):
        build(4)


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
