"""Search spaces: what is drawn, and what is refused with the name of the key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from flipdetect.errors import ConfigError
from flipdetect.evaluation.search_space import load_space, with_values
from tests.conftest import REPOSITORY

CONFIG: dict[str, Any] = {
    "model": {"class_path": "x.TinyCNNClassifier", "init_args": {"lr": 0.1, "width": 16, "weights": "none"}},
    "data": {"batch_size": 32, "augment": None},
}


class Middle:
    """A trial that suggests the lower end, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, **more: Any) -> float:
        self.asked[name] = (low, high, more)
        return low

    def suggest_int(self, name: str, low: int, high: int, **more: Any) -> int:
        self.asked[name] = (low, high, more)
        return low

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        self.asked[name] = choices
        return choices[-1]


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def test_each_kind_is_drawn_as_it_says(tmp_path: Path) -> None:
    content = {
        "model.lr": {"kind": "log", "low": "1e-4", "high": 0.1},  # YAML takes 1e-4 for a text
        "model.init_args.width": {"kind": "int", "low": 8, "high": 32, "step": 8},
        "data.batch_size": {"kind": "categorical", "choices": [16, 32]},
        "model.init_args.weights": {"kind": "categorical", "choices": ["none", None]},
    }
    trial = Middle()
    values = {each.name: each.draw(trial) for each in load_space(write(tmp_path, content), CONFIG)}
    assert values == {
        "model.init_args.lr": 1e-4, "model.init_args.width": 8, "data.batch_size": 32, "model.init_args.weights": None,
    }  # fmt: skip
    assert trial.asked["model.init_args.lr"] == (1e-4, 0.1, {"step": None, "log": True})
    assert trial.asked["model.init_args.width"] == (8, 32, {"step": 8})
    changed = with_values(CONFIG, values)
    assert changed["model"]["init_args"]["lr"] == 1e-4
    assert changed["model"]["class_path"] == "x.TinyCNNClassifier"
    assert CONFIG["model"]["init_args"]["lr"] == 0.1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"model.init_args.learning_rate": {"kind": "log", "low": 1e-4, "high": 1.0}}, "learning_rate"),
        ({"data.batchsize": {"kind": "int", "low": 1, "high": 3}}, "did you mean data.batch_size"),
        ({"data": {"kind": "int", "low": 1, "high": 3}}, "varies data, which"),
        ({"model.lr": {"kind": "uniform", "low": 0, "high": 1}}, "model.init_args.lr: needs a kind out of float, log"),
        ({"model.lr": [0.1, 0.2]}, "needs a kind"),
        ({"model.lr": {"kind": "log", "low": 0, "high": 1}}, "low above 0"),
        ({"model.lr": {"kind": "float", "low": 1, "high": 1}}, "low must be below high"),
        ({"model.lr": {"kind": "float", "low": 0}}, "needs high"),
        ({"model.lr": {"kind": "log", "low": 0.1, "high": 1, "step": 0.1}}, "kind log has no step"),
        ({"model.lr": {"kind": "float", "low": "small", "high": 1}}, "low must be a number, got 'small'"),
        ({"model.lr": {"kind": "float", "low": 0, "high": 1, "step": 2}}, "step must lie"),
        ({"data.batch_size": {"kind": "int", "low": 1.5, "high": 3}}, "whole number"),
        ({"data.batch_size": {"kind": "categorical", "choices": [8]}}, "at least two"),
        ({"data.batch_size": {"kind": "categorical", "choices": [8, [9]]}}, "a choice is a number"),
        ({"model.lr": {"kind": "float", "low": 0, "high": 1},
          "model.init_args.lr": {"kind": "float", "low": 0, "high": 1}}, "twice"),
        ("- a\n- b\n", "must map names"),
        ("", "must map names"),
        ("a: [", "cannot be read as YAML"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("(", r"\(")):
        load_space(write(tmp_path, content), CONFIG)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml cannot be read"):
        load_space(tmp_path / "absent.yaml", CONFIG)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs" / "tune").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_spaces_fit_their_configurations(path: Path) -> None:
    from flipdetect.cli.tuning import resolve_config

    config = resolve_config(["--config", str(REPOSITORY / "configs" / path.name)])
    space = load_space(path, config)
    assert len(space) >= 8
    assert any(each.name == "model.init_args.lr" and each.kind == "log" for each in space)
