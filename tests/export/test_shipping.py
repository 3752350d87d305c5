"""A checkpoint becomes a shipped model: equal, complete, and refused if it must not ship."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from flipdetect.errors import ConfigError, ModelError
from flipdetect.export import shipping
from flipdetect.export.shipping import read_figures, ship
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.models.safetensors import read_facts, read_tensors
from flipdetect.tasks.decision import Decision


@pytest.fixture
def checkpoint(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained checkpoint, without the run's papers beside it."""
    copy = tmp_path / "run" / "best.ckpt"
    copy.parent.mkdir()
    copy.write_bytes(trained.read_bytes())
    return copy


def changed(checkpoint: Path, name: str, change) -> Path:
    content = torch.load(checkpoint, weights_only=True)
    change(content)
    torch.save(content, checkpoint.with_name(name))
    return checkpoint.with_name(name)


def facts_of(path: Path) -> dict:
    facts = read_facts(path)
    assert facts is not None
    return facts


def test_a_shipped_model_predicts_exactly_what_its_checkpoint_does(trained: Path, tmp_path: Path) -> None:
    shipment = ship(trained, "tiny_cnn", folder=tmp_path)
    assert shipment.weights == tmp_path / "tiny_cnn.safetensors"
    before, after = load_torch_model(trained, "cpu"), load_torch_model(shipment.weights, "cpu")
    for name in ("classes", "preprocess", "threshold", "temperature", "naming"):
        assert getattr(before, name) == getattr(after, name)
    stored = read_tensors(shipment.weights)
    for key, tensor in torch.load(trained, weights_only=True)["state_dict"].items():
        assert torch.equal(stored[key], tensor)
    frames = np.random.default_rng(0).normal(size=(3, 3, 64, 36)).astype(np.float32)
    np.testing.assert_array_equal(before.probabilities(frames), after.probabilities(frames))


def test_a_temperature_of_one_is_left_out(checkpoint: Path, tmp_path: Path) -> None:
    def uncalibrate(content: dict) -> None:
        content["flipdetect"]["temperature"] = 1.0
        content["state_dict"]["temperature"].fill_(1.0)

    calibrated, plain = (
        ship(path, "tiny_cnn", folder=tmp_path / path.stem)
        for path in (checkpoint, changed(checkpoint, "plain.ckpt", uncalibrate))
    )
    assert "temperature" not in facts_of(plain.weights)
    assert "temperature" not in read_tensors(plain.weights)
    assert load_torch_model(plain.weights, "cpu").temperature == 1.0
    assert "not calibrated" in plain.card.read_text("utf-8")
    assert "were calibrated by a temperature" in calibrated.card.read_text("utf-8")


def test_the_card_tells_data_training_threshold_figures_and_limits(trained: Path, tmp_path: Path) -> None:
    shipment = ship(trained, "tiny_cnn", figures={"Test, own | films": {"f1": 0.12345, "frames": 7}}, folder=tmp_path)
    card = facts_of(shipment.weights)["card"]
    metrics = json.loads(trained.with_name("metrics.json").read_text())
    assert card["figures"]["Validation, of the data above"]["f1"] == metrics["val_f1"]
    assert card["figures"]["Test, of the data above"]["auroc"] == metrics["test_auroc"]
    assert card["seeds"] == {"seed_everything": 0, "split": 0}
    assert sum(card["data"]["videos"].values()) == 16
    text = shipment.card.read_text("utf-8")
    for words in (
        "## Intended use",
        "## Data",
        "## Training",
        "## Threshold",
        "## Figures",
        "## Limits",
        "0.1235",
        "| frames | 7 |",
    ):
        assert words in text
    assert "--model tiny_cnn" in text


def test_paths_of_the_training_machine_stay_there(checkpoint: Path, monreader_set: Path, tmp_path: Path) -> None:
    def own_weights(content: dict) -> None:
        content["flipdetect"]["arguments"]["weights"] = "/home/somebody/start.ckpt"

    path = changed(checkpoint, "with_path.ckpt", own_weights)
    shipment = ship(path, "tiny_cnn", folder=tmp_path)
    for content in (shipment.weights.read_bytes(), shipment.card.read_bytes()):
        assert str(monreader_set.parent).encode() not in content
        assert b"somebody" not in content
    assert f"root: {monreader_set.name}" in facts_of(shipment.weights)["card"]["config"]


@pytest.mark.parametrize(("recorded", "told", "expected"), [(3, 5, 3), (None, 5, 5), (None, None, None)])
def test_rendered_data_is_described_with_its_version(
    checkpoint: Path, tmp_path: Path, recorded: int | None, told: int | None, expected: int | None
) -> None:
    def render(content: dict) -> None:
        facts = content["flipdetect"]
        facts["config"] = "data: {root: data/r, embedded: {root: data/r, render: {seed: 9, sources: 40}}}"
        facts.pop("render_version", None)
        if recorded is not None:
            facts["render_version"] = recorded

    shipment = ship(changed(checkpoint, "r.ckpt", render), "tiny_cnn", render_version=told, folder=tmp_path)
    card = facts_of(shipment.weights)["card"]
    assert card["data"]["rendered"]
    assert card["data"]["render_version"] == expected
    assert card["data"]["render"] == {"seed": 9, "sources": 40}
    assert card["seeds"] == {"render": 9}
    assert "rendered page turns" in shipment.card.read_text("utf-8")
    assert "rendered pages" in card["limits"][0]


def test_averaged_weights_are_the_mean_and_say_so(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def shift(content: dict) -> None:
        content["state_dict"]["model.evidence.head.bias"] += 1
        content["flipdetect"]["threshold"] = 0.5

    other = changed(checkpoint, "other.ckpt", shift)
    temperature = load_torch_model(checkpoint, "cpu").temperature
    shipment = ship(checkpoint, "tiny_cnn", average=[other], folder=tmp_path)
    before, after = torch.load(checkpoint, weights_only=True), read_tensors(shipment.weights)
    state, threshold = before["state_dict"], (before["flipdetect"]["threshold"] + 0.5) / 2
    assert torch.allclose(after["model.evidence.head.bias"], state["model.evidence.head.bias"] + 0.5)
    assert torch.equal(after["model.evidence.head.weight"], state["model.evidence.head.weight"])
    assert facts_of(shipment.weights)["threshold"] == float(after["threshold"]) == pytest.approx(threshold, abs=1e-4)
    assert facts_of(shipment.weights)["temperature"] == float(after["temperature"]) == pytest.approx(temperature)
    assert "--threshold" in caplog.text
    assert "mean of 2 checkpoints" in shipment.card.read_text("utf-8")
    assert not facts_of(shipment.weights)["card"]["figures"]

    shipment = ship(checkpoint, "tiny_cnn", average=[other], decision=Decision(0.125), folder=tmp_path)
    assert load_torch_model(shipment.weights, "cpu").threshold == 0.125


def test_figures_of_another_threshold_are_left_out(trained: Path, tmp_path: Path) -> None:
    shipment = ship(trained, "tiny_cnn", decision=Decision(0.25), folder=tmp_path)
    assert not facts_of(shipment.weights)["card"]["figures"]
    assert "None were recorded" in shipment.card.read_text("utf-8")
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ship(trained, "tiny_cnn", decision=Decision(1.5), folder=tmp_path)


def test_what_must_not_ship_is_refused_and_changes_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "weights"
    shipment = ship(checkpoint, "tiny_cnn", folder=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def other_size(content: dict) -> None:
        content["flipdetect"]["preprocess"]["height"] = 128

    for arguments, words in (
        ({"checkpoint": checkpoint, "name": "mobilenet_v2"}, "holds a TinyCNN"),
        ({"checkpoint": checkpoint, "name": "resnet18"}, "no shipped model"),
        ({"checkpoint": checkpoint.with_name("absent.ckpt"), "name": "tiny_cnn"}, "there is no checkpoint"),
        ({"checkpoint": shipment.weights, "name": "tiny_cnn"}, "how it was trained"),
        (
            {"checkpoint": checkpoint, "name": "tiny_cnn", "average": [changed(checkpoint, "b.ckpt", other_size)]},
            "differ in preprocess",
        ),
    ):
        with pytest.raises(ModelError, match=words):
            ship(**arguments, folder=folder)
    monkeypatch.setattr(shipping, "SIZE_LIMIT", 1000)
    with pytest.raises(ModelError, match="limit is 1,000"):
        ship(checkpoint, "tiny_cnn", decision=Decision(0.9), folder=folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_size_limit_counts_all_shipped_weights(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = ship(checkpoint, "tiny_cnn", folder=tmp_path / "weights").sizes["tiny_cnn"]
    (tmp_path / "weights" / "mobilenet_v2.safetensors").write_bytes(bytes(1000))
    monkeypatch.setattr(shipping, "SIZE_LIMIT", size + 1000)
    assert ship(checkpoint, "tiny_cnn", folder=tmp_path / "weights").sizes["mobilenet_v2"] == 1000
    monkeypatch.setattr(shipping, "SIZE_LIMIT", size + 999)
    with pytest.raises(ModelError, match="together"):
        ship(checkpoint, "tiny_cnn", folder=tmp_path / "weights")


@pytest.mark.parametrize("text", ["{", "[]", '{"f1": 0.9}', '{"Test": {"f1": [1]}}', '{"Test": {"f1": NaN}}'])
def test_figures_of_another_form_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "figures.json").write_text(text)
    with pytest.raises(ConfigError, match="figures"):
        read_figures(tmp_path / "figures.json")
