"""Configurations are merged, cut and named as a study needs them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flipdetect.errors import ConfigError
from flipdetect.evaluation.config_overrides import (
    Variation,
    load_config,
    parse_overrides,
    variations,
    without_augmentations,
)
from tests.conftest import REPOSITORY

BASE = load_config([REPOSITORY / "configs" / "tiny_cnn.yaml"])


def class_names(config: dict[str, Any]) -> list[str]:
    return [entry["class_path"].removeprefix("albumentations.") for entry in config["data"]["augment"] or []]


def spec(folder: Path, content: object) -> Path:
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({"variations": content}))
    return path


def test_an_augmentation_is_taken_out_and_the_base_kept() -> None:
    before = class_names(BASE)
    assert "ToGray" in before
    without = without_augmentations(BASE, ["ToGray", "Affine"])
    assert class_names(without) == [name for name in before if name not in ("ToGray", "Affine")]
    assert class_names(BASE) == before


def test_nested_augmentations_are_taken_out_and_a_choice_among_none_with_them() -> None:
    one = without_augmentations(BASE, ["MotionBlur"])
    choice = next(entry for entry in one["data"]["augment"] if entry["class_path"].endswith("OneOf"))
    assert [inner["class_path"] for inner in choice["init_args"]["transforms"]] == ["albumentations.GaussianBlur"]
    assert "OneOf" not in class_names(without_augmentations(BASE, ["MotionBlur", "GaussianBlur"]))
    assert without_augmentations(BASE, class_names(BASE))["data"]["augment"] is None


def test_what_is_not_there_cannot_be_taken_out() -> None:
    with pytest.raises(ConfigError, match=r"'Rotate'.*HorizontalFlip"):
        without_augmentations(BASE, ["Rotate"])


def test_overlays_replace_lists_merge_mappings_and_reset_another_class() -> None:
    merged = load_config([REPOSITORY / "configs" / name for name in ("tiny_cnn.yaml", "debug/overfit.yaml")])
    assert merged["trainer"]["overfit_batches"] == 2
    assert merged["trainer"]["precision"] == BASE["trainer"]["precision"]
    assert len(merged["trainer"]["callbacks"]) == 2
    assert merged["model"]["init_args"]["dropout"] == 0.0
    assert merged["model"]["init_args"]["width"] == BASE["model"]["init_args"]["width"]
    other = load_config([REPOSITORY / "configs" / name for name in ("tiny_cnn.yaml", "mobilenet.yaml")])
    assert "width" not in other["model"]["init_args"]


def test_the_shipped_variations_fit_the_shipped_configurations() -> None:
    for name in ("tiny_cnn.yaml", "mobilenet.yaml"):
        config = load_config([REPOSITORY / "configs" / name])
        found = variations(config, {}, REPOSITORY / "scripts" / "ablation.yaml")
        assert found[0] == Variation("base", config, {})
        assert len({each.folder for each in found}) == len(found) > 5


def test_another_rendering_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    path = spec(tmp_path, {"few books": {"set": {"data.embedded.render.sources": 4}}, "slow": {"set": {"model.lr": 1}}})
    base, few, slow = variations(BASE, {"trainer.max_epochs": 1}, path)
    assert few.arguments() == [
        "--trainer.max_epochs=1", "--data.root=data/embedded-few_books", "--data.embedded.root=data/embedded-few_books",
        "--data.embedded.render.sources=4",
    ]  # fmt: skip
    assert few.has_own_data
    assert slow.arguments() == ["--trainer.max_epochs=1", "--model.lr=1"]
    assert not slow.has_own_data
    assert not base.has_own_data


def test_folders_follow_the_configuration() -> None:
    same, other = Variation("a b", {"x": 1}, {"y": 2}), Variation("a b", {"x": 1}, {"y": 3})
    assert same.folder == Variation("a b", {"x": 1}, {"y": 2}).folder
    assert same.folder.startswith("a_b-")
    assert other.folder != same.folder


@pytest.mark.parametrize(
    "content", [None, {}, {"a": None}, {"a": {"drop": 1}}, {"a": {"set": [1]}}, {"base": {"set": {"a": 1}}}]
)
def test_a_malformed_spec_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(ConfigError, match=r"spec\.yaml"):
        variations(BASE, {}, spec(tmp_path, content))


def test_overrides_are_yaml_values() -> None:
    assert parse_overrides(["--model.lr=0.1", "data.augment=null", "a.b=[1, x]", "c=a=b"]) == {
        "model.lr": 0.1, "data.augment": None, "a.b": [1, "x"], "c": "a=b",
    }  # fmt: skip
    assert Variation("v", {}, {"a": None, "b": "x", "c": [1, "y"], "d": True}).arguments() == [
        "--a=null", "--b=x", '--c=[1, "y"]', "--d=true",
    ]  # fmt: skip
    for wrong in ("model.lr", "=3", "a=[1"):
        with pytest.raises(ConfigError):
            parse_overrides([wrong])
