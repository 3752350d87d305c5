"""The pretrained models are complete, small enough, and found by their names."""

import tomllib
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from flipdetect.errors import ModelError
from flipdetect.events.parameters import EventParameters
from flipdetect.inference.onnx_model import file_digest, load_onnx
from flipdetect.inference.settings import settings_of
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.models.weights import read_facts, read_tensors
from flipdetect.zoo import (
    DEFAULT,
    ENSEMBLE,
    FOLDER,
    NAMES,
    PAGE_NETWORK,
    PRETRAINED,
    SIZE_LIMIT,
    find_model,
    pretrained_path,
)
from tests.conftest import REPOSITORY

names = pytest.mark.parametrize("name", PRETRAINED)


@names
def test_a_shipped_model_is_of_the_architecture_that_its_name_says(name: str) -> None:
    bundle = load_torch_model(pretrained_path(name), "cpu")
    assert type(bundle.task.model).__name__ == PRETRAINED[name]
    assert float(bundle.task.threshold) == bundle.threshold
    assert bundle.classes.positive == "flip"
    assert not bundle.task.training


@names
def test_weights_are_in_full_precision(name: str) -> None:
    kinds = {
        str(tensor.dtype)
        for key, tensor in read_tensors(pretrained_path(name)).items()
        if key not in ("threshold", "temperature")
    }
    assert kinds == {"torch.float32", "torch.int64"}  # int64: how many batches a batch norm has seen


@names
def test_every_model_has_its_card(name: str) -> None:
    facts = read_facts(pretrained_path(name))
    assert facts is not None
    card = pretrained_path(name).with_suffix(".md").read_text("utf-8")
    for words in (f"# {name}", f"{facts['threshold']:.4f}", "## Limits", facts["card"]["config"]):
        assert words in card


def test_shipped_weights_are_small_enough_and_nothing_else_lies_there() -> None:
    suffixes = (".safetensors", ".onnx", ".events.yaml", ".md")
    expected = {f"{name}{suffix}" for name in PRETRAINED for suffix in suffixes} | {"efficientnet_lite0.int8.onnx"}
    expected |= {f"{ENSEMBLE}{suffix}" for suffix in (".onnx", ".int8.onnx", ".events.yaml", ".md")}
    expected |= {PAGE_NETWORK.name, PAGE_NETWORK.with_suffix(".md").name}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= SIZE_LIMIT
    assert {path.name for path in FOLDER.iterdir()} == expected


def test_weights_and_cards_are_packed_into_wheels() -> None:
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        patterns = tomllib.load(file)["tool"]["setuptools"]["package-data"]["flipdetect"]
    root = Path(str(files("flipdetect")))
    packed = {path for pattern in patterns for path in root.glob(pattern)}
    assert set(FOLDER.iterdir()) <= packed


def test_names_mean_shipped_models_and_everything_else_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny_cnn").touch()
    (tmp_path / "mine").touch()
    assert DEFAULT in NAMES
    assert find_model("tiny_cnn") == pretrained_path("tiny_cnn")
    for path in ("./tiny_cnn", "mine", "absent.ckpt", "logs/absent"):
        assert find_model(path) == Path(path)
    assert find_model(Path("tiny_cnn")) == Path("tiny_cnn")
    with pytest.raises(ModelError, match=r"tiny_cnn, mobilenet_v2.*path"):
        find_model("resnet18")


@names
def test_what_lies_beside_the_weights_belongs_to_them(name: str) -> None:
    exported, settings = load_onnx(pretrained_path(name).with_suffix(".onnx")), settings_of(pretrained_path(name))
    assert exported.source == file_digest(pretrained_path(name))
    assert settings.threshold == pytest.approx(exported.threshold, abs=1e-5)
    assert settings.hmm != EventParameters()


@pytest.mark.parametrize(("suffix", "tolerance"), [(".onnx", 0.01), (".int8.onnx", 0.2)])
def test_the_ensemble_is_the_mean_of_its_networks(suffix: str, tolerance: float) -> None:
    ensemble = load_onnx(FOLDER / f"{ENSEMBLE}{suffix}")
    first, second = (load_torch_model(pretrained_path(name), "cpu") for name in ("efficientnet_lite0", "tiny_cnn"))
    assert ensemble.source == file_digest(first.path)
    assert ensemble.preprocess == first.preprocess
    picture = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 8, 3), dtype=np.uint8), (193, 353))
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    size = (second.preprocess.height, round(second.preprocess.height * 193 / 353))
    small = functional.interpolate(tensor, size=size, mode="bilinear", antialias=True) / 255
    logits = (
        first.task(torch.from_numpy(first.preprocess.normalise(picture))[None]),
        second.task((small - _channels(second.preprocess.mean)) / _channels(second.preprocess.std)),
    )
    expected = sum(logits) / 2 / ensemble.temperature
    assert ensemble.predict([picture])[0] == pytest.approx(expected.sigmoid().item(), abs=tolerance)


def _channels(values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values)[:, None, None]
