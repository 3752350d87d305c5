"""Detectors: losses, boxes in pixels of the input, the choice among candidates, and clear errors about weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from flipdetect.errors import ModelError
from flipdetect.models.box_model import Boxes, BoxModel, DenseBoxModel, select
from flipdetect.models.fcos_lite import FCOSLite
from flipdetect.models.torchvision_models import SSDLite, TorchvisionModel, load_fitting

FASTER = "fasterrcnn_mobilenet_v3_large_320_fpn"
MODELS: dict[str, Callable[[], BoxModel]] = {
    "fcos": lambda: FCOSLite(2, "mobilenetv2_035", "none"),
    "ssdlite": lambda: SSDLite(2, "none"),
    "faster": lambda: TorchvisionModel(2, FASTER, "none"),
}
TARGETS = [
    Boxes(boxes=torch.tensor([[10.0, 20, 90, 100], [5, 5, 120, 60]]), labels=torch.tensor([1, 0])),
    Boxes(boxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.int64)),
]


def pictures(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 128, 160, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", MODELS)
def test_losses_are_finite_and_reach_the_backbone_also_where_a_picture_has_no_boxes(name: str) -> None:
    model = MODELS[name]().train()
    loss = torch.stack(list(model.losses(pictures(), TARGETS).values())).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.backbone.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_a_batch_without_any_box_can_be_learnt_from(name: str) -> None:
    model = MODELS[name]().train()
    assert all(torch.isfinite(part) for part in model.losses(pictures(), [TARGETS[1], TARGETS[1]]).values())


@pytest.mark.parametrize("name", MODELS)
def test_boxes_lie_in_the_picture_with_scores_and_labels_of_the_classes(name: str) -> None:
    model = MODELS[name]().eval()
    with torch.no_grad():
        found = model(pictures())
    assert len(found) == 2
    for each in found:
        assert each["boxes"].shape == (len(each["scores"]), 4)
        assert (each["boxes"] >= 0).all()
        assert (each["boxes"][:, 2] <= 160).all()
        assert (each["boxes"][:, 3] <= 128).all()
        assert (each["labels"] < 2).all()
        assert (each["labels"] >= 0).all()
        assert each["scores"].tolist() == sorted(each["scores"].tolist(), reverse=True)


@pytest.mark.parametrize("name", ["fcos", "ssdlite"])
def test_candidates_do_not_depend_on_the_rest_of_the_batch(name: str) -> None:
    model = MODELS[name]().eval()
    assert isinstance(model, DenseBoxModel)
    with torch.no_grad():
        together, alone = model.candidates(pictures()), model.candidates(pictures()[1:])
    torch.testing.assert_close(together.boxes[1:], alone.boxes, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(together.scores[1:], alone.scores, atol=1e-4, rtol=1e-4)


def test_ssdlite_finds_what_torchvision_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = SSDLite(2, "none").eval()
    for parameter in model.parameters():  # boxes and scores that differ
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    monkeypatch.setattr("flipdetect.models.box_model.MOST_CANDIDATES", 100_000)
    model.detector.topk_candidates = 100_000
    with torch.no_grad():
        own, theirs = model(pictures(1))[0], TorchvisionModel.forward(model, pictures(1))[0]
    torch.testing.assert_close(own["scores"], theirs["scores"])
    torch.testing.assert_close(own["boxes"], theirs["boxes"])


def test_a_box_at_a_position_reaches_as_far_as_the_head_says() -> None:
    model = FCOSLite(1, "mobilenetv2_035", "none").eval()
    head = model.fcos.head.regression_head
    torch.nn.init.zeros_(head.bbox_reg.weight)
    with torch.no_grad():
        head.bbox_reg.bias.copy_(torch.tensor([1.0, 2, 3, 4]))  # strides to the left, top, right and bottom edge
        boxes = model.candidates(pictures(1)).boxes[0]
    assert len(boxes) == 16 * 20 + 8 * 10 + 4 * 5
    for place, stride, x, y in ((21, 8, 1, 1), (320 + 11, 16, 1, 1), (400 + 6, 32, 1, 1)):
        centre = torch.tensor([x * stride, y * stride])
        expected = torch.cat([centre - stride * torch.tensor([1, 2]), centre + stride * torch.tensor([3, 4])])
        torch.testing.assert_close(boxes[place], expected.float(), atol=stride, rtol=0)
        sides = (boxes[place, 2:] - boxes[place, :2]).tolist()
        assert sides == pytest.approx([4 * stride, 6 * stride])


def test_suppression_keeps_the_surest_of_each_class() -> None:
    boxes = torch.tensor([[0.0, 0, 50, 50], [1, 1, 51, 51], [0, 0, 50, 50], [60, 60, 140, 200]])
    scores = torch.tensor([[0.9, 0.0], [0.8, 0.0], [0.0, 0.7], [0.6, 0.01]])
    found = select(boxes, scores, (128, 160))
    assert found["labels"].tolist() == [0, 1, 0]
    torch.testing.assert_close(found["scores"], torch.tensor([0.9, 0.7, 0.6]))
    assert found["boxes"][2].tolist() == [60, 60, 140, 128]
    assert len(select(boxes, torch.zeros(4, 2), (128, 160))["boxes"]) == 0


def test_weights_that_cannot_be_had_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(ModelError, match=r"not in torch's cache.*FCOSLiteDetector can be installed"):
        SSDLite(2, "imagenet")
    with pytest.raises(ModelError, match="not in torch's cache"):
        TorchvisionModel(2, FASTER, "coco")


def test_names_and_weights_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ModelError, match=r"choose among .*fasterrcnn_resnet50_fpn"):
        TorchvisionModel(2, "resnet50", "none")
    with pytest.raises(ModelError, match="SSDLiteDetector"):
        TorchvisionModel(2, "ssdlite320_mobilenet_v3_large", "none")
    with pytest.raises(ModelError, match=r"strides 8, 16 and 32|strides 8 and 16"):
        FCOSLite(2, "vit_tiny_patch16_224", "none")
    with pytest.raises(ModelError, match="fit only"):
        load_fitting(SSDLite(2, "none"), {"a": torch.zeros(1)}, "ssdlite")
