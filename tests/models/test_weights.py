"""Weights from files and pretrained models; safetensors with facts; nothing is unpickled."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

import flipdetect.tasks
from flipdetect.errors import ModelError
from flipdetect.models import MobileNetV2, ResNet18, TinyCNN
from flipdetect.models.weights import load_weights_file, read_facts, read_tensors, write_packed
from flipdetect.tasks import MobileNetV2Classifier, ResNet18Classifier, TimmClassifier, TinyCNNClassifier
from flipdetect.zoo import PRETRAINED, pretrained_path


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    left, right = one.state_dict(), other.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth", ".ckpt"])
def test_a_file_restores_backbone_and_head(tmp_path: Path, suffix: str) -> None:
    donor, path = MobileNetV2(weights="none"), tmp_path / f"donor{suffix}"
    if suffix == ".safetensors":
        save_file(donor.state_dict(), path)
    else:
        torch.save(donor.state_dict(), path)
    assert same(MobileNetV2(weights=str(path)), donor)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state},
        lambda state: {"state_dict": {f"model.{key}": value for key, value in state.items()}},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"model._orig_mod.{key}": value for key, value in state.items()}},
    ],
)
def test_usual_wrappers_are_seen_through(tmp_path: Path, wrap: Any) -> None:
    donor, model = TinyCNN(), TinyCNN()
    torch.save(wrap(donor.state_dict()), tmp_path / "donor.ckpt")
    load_weights_file(model, tmp_path / "donor.ckpt")
    assert same(model, donor)


def test_a_bare_timm_file_fills_the_backbone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    donor = timm.create_model("resnet18", num_classes=7)
    save_file(donor.state_dict(), tmp_path / "donor.safetensors")
    with caplog.at_level(logging.WARNING):
        model = ResNet18(weights=str(tmp_path / "donor.safetensors"))
    assert torch.equal(model.backbone.get_parameter("conv1.weight"), donor.conv1.weight)
    assert "backbone.fc.weight" in caplog.text  # the file's classifier has no place
    assert "head.1.weight" in caplog.text  # and the model's has no tensor


def test_tensors_of_another_shape_are_left_out_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    donor = TinyCNN(in_channels=3)
    torch.save(donor.state_dict(), tmp_path / "donor.pt")
    model = TinyCNN(in_channels=1)
    stem = model.backbone[0][0].weight.clone()
    with caplog.at_level(logging.WARNING):
        load_weights_file(model, tmp_path / "donor.pt")
    assert torch.equal(model.backbone[0][0].weight, stem)
    assert torch.equal(model.backbone[1][0].weight, donor.backbone[1][0].weight)
    assert "another shape" in caplog.text
    assert "backbone.0.0.weight" in caplog.text


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    torch.save(TinyCNN().state_dict(), tmp_path / "tiny.pt")
    with pytest.raises(ModelError, match="another architecture"):
        MobileNetV2(weights=str(tmp_path / "tiny.pt"))


class Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("old_format", [False, True])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path, old_format: bool) -> None:
    victim = tmp_path / "victim"
    torch.save(
        {"state_dict": TinyCNN().state_dict(), "extra": Malicious(victim)},
        tmp_path / "bad.ckpt",
        _use_new_zipfile_serialization=not old_format,
    )
    with pytest.raises(ModelError, match="refused"):
        load_weights_file(TinyCNN(), tmp_path / "bad.ckpt")
    assert not victim.exists()


@pytest.mark.parametrize("name", ["cut.pt", "cut.safetensors", "empty.ckpt", "text.pth"])
def test_damaged_files_are_refused(tmp_path: Path, name: str) -> None:
    whole = tmp_path / "whole.pt"
    torch.save(TinyCNN().state_dict(), whole)
    content = {"cut": whole.read_bytes()[:5000], "empty": b"", "text": b"these are no weights"}
    (tmp_path / name).write_bytes(content[name.split(".")[0]])
    with pytest.raises(ModelError, match=name):
        load_weights_file(TinyCNN(), tmp_path / name)


def test_files_without_tensors_missing_files_and_odd_names_are_refused(tmp_path: Path) -> None:
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(ModelError, match="no state dict"):
        load_weights_file(TinyCNN(), tmp_path / "none.pt")
    with pytest.raises(ModelError, match="does not exist"):
        ResNet18(weights="imagnet")
    (tmp_path / "weights.h5").touch()
    with pytest.raises(ModelError, match=r"must end in \.safetensors"):
        load_weights_file(TinyCNN(), tmp_path / "weights.h5")


@pytest.mark.parametrize("name", PRETRAINED)
def test_training_can_start_from_the_shipped_weights(name: str) -> None:
    facts = read_facts(pretrained_path(name))
    assert facts is not None
    task = getattr(flipdetect.tasks, f"{PRETRAINED[name]}Classifier")
    shipped = read_tensors(pretrained_path(name))
    state = task(**{**facts["arguments"], "weights": "flipdetect"}).model.state_dict()
    assert {f"model.{key}" for key in state} == shipped.keys() - {"threshold", "temperature"}
    assert all(torch.equal(value, shipped[f"model.{key}"]) for key, value in state.items())


def test_shipped_weights_that_do_not_fit_say_what_would() -> None:
    with pytest.raises(ModelError, match=r"width: 16 and data\.preprocess\.channels: 3, or weights: none"):
        TinyCNNClassifier(width=8, weights="flipdetect")
    for task in (TinyCNNClassifier, MobileNetV2Classifier):
        with pytest.raises(ModelError, match=r"data\.preprocess\.channels: 3"):
            task(in_channels=1, weights="flipdetect")


def test_architectures_without_shipped_weights_name_those_that_have_some() -> None:
    for build in (
        lambda: ResNet18Classifier(weights="flipdetect"),
        lambda: TimmClassifier("mobilenetv2_050", weights="flipdetect"),
    ):
        with pytest.raises(ModelError, match="only for EfficientNetLite0, TinyCNN, MobileNetV2"):
            build()


def test_tensors_and_facts_come_back_bit_by_bit(tmp_path: Path) -> None:
    tensors = {
        "conv": torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last),
        "threshold": torch.tensor(0.1, dtype=torch.float64),
        "seen": torch.tensor(2**40),
    }
    facts = {"version": 1, "classes": {"positive": "めくり"}, "threshold": 0.1, "naming": None}
    write_packed(tmp_path / "m.safetensors", tensors, facts)
    assert read_facts(tmp_path / "m.safetensors") == facts
    found = read_tensors(tmp_path / "m.safetensors")
    assert found.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def test_equal_content_makes_equal_files_that_everyone_may_read(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_packed(tmp_path / name, {"b": torch.ones(2), "a": torch.zeros(3)}, {"version": 1})
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("text", ["{", "[1]", "nothing", "[" * 100_000])
def test_metadata_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "odd.safetensors", metadata={"flipdetect": text})
    with pytest.raises(ModelError, match="damaged"):
        read_facts(tmp_path / "odd.safetensors")


def test_what_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_packed(tmp_path / "m.safetensors", {"a": torch.zeros(1)}, {"threshold": float("nan")})
    assert not (tmp_path / "m.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, None])
def test_damaged_and_absent_files_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.safetensors"
    if content is not None:
        path.write_bytes(content)
    for read in (read_facts, read_tensors):
        with pytest.raises(ModelError, match="not a readable"):
            read(path)
