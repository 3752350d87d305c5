"""The configurations: each resolves, says only what differs from the defaults, and is found by its name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flipdetect.cli.configs import config_folder, config_names, find_config, find_space
from flipdetect.cli.lightning_cli import TrainCLI
from flipdetect.cli.main import main
from flipdetect.cli.train_arguments import read_arguments

FOLDER = config_folder()
EXPERIMENTS = [name for name in config_names() if "/" not in name and name != "finetune_deeper"]
COMPLETE = ("defaults", "detect")
"""Loaded before all others, of classifiers and of detectors."""
ALONE = {("model", "class_path"), ("trainer", "logger")}
"""What each file says, although it may equal the default: the model, and the name of the run."""


def resolved(capsys: pytest.CaptureFixture[str], *names: str) -> dict[str, Any]:
    """What `--print_config` prints."""
    capsys.readouterr()
    arguments = [part for name in names for part in ("--config", str(find_config(name)))]
    with pytest.raises(SystemExit) as stop:
        TrainCLI(read_arguments([*arguments, "--data.root=frames", "--print_config"]))
    assert stop.value.code in (0, None)
    content: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return content


def leaves(content: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, content


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_configuration_resolves_to_what_it_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    whole = dict(leaves(resolved(capsys, name)))
    for path, value in leaves(read(name)):
        if not isinstance(value, list) and path != ("data", "root") and path != ("data", "augment"):
            assert whole[path] == pytest.approx(value), path
    assert whole["data", "root"] == "frames"
    assert {"seed_everything", "trainer", "model", "data", "ckpt_path"} == {path[0] for path in whole}


@pytest.mark.parametrize("name", [name for name in config_names() if name not in COMPLETE and "release" not in name])
def test_a_configuration_says_only_what_differs(name: str) -> None:
    detects = str(read(name).get("model", {}).get("class_path")).endswith("Detector")
    defaults = dict(leaves(read("detect" if detects else "defaults")))
    repeated = [path for path, value in leaves(read(name)) if path not in ALONE and defaults.get(path, ...) == value]
    assert not repeated


@pytest.mark.parametrize("name", ["defaults", "detect"])
def test_defaults_name_every_setting_of_the_data(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(resolved(capsys, name)["data"]) == set(read(name)["data"])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("tiny_cnn", "debug/fast"), {("trainer", "limit_train_batches"): 2, ("data", "batch_size"): 8}),
        (("mobilenet", "debug/overfit"), {("trainer", "overfit_batches"): 2, ("data", "augment"): None}),
        (("finetune", "finetune_deeper"), {("trainer", "max_epochs"): 3, ("model", "init_args", "lr"): 0.0002}),
        (("efficientnet", "release/efficientnet_lite0_head"), {("data", "cache_gb"): 16, ("data", "batch_size"): 64}),
    ],
)
def test_overlays_change_what_they_say(
    names: tuple[str, ...], expected: dict[tuple[str, ...], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = dict(leaves(resolved(capsys, *names)))
    assert {path: whole[path] for path in expected} == expected


def test_an_overlay_adds_a_logger_to_those_of_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mlflow")
    loggers = resolved(capsys, "tiny_cnn", "logger/mlflow")["trainer"]["logger"]
    assert [entry["init_args"].get("name") for entry in loggers[:2]] == ["tiny_cnn", "tiny_cnn"]
    assert loggers[2]["class_path"].endswith("MLFlowLogger")


def test_a_file_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config("mobilenet") == FOLDER / "mobilenet.yaml"
    Path("mobilenet").write_text("{}")
    assert find_config("mobilenet") == Path("mobilenet")


def test_a_search_space_of_the_package_has_a_name() -> None:
    assert find_space("tune/tiny_cnn") == FOLDER / "tune" / "tiny_cnn.yaml"


def test_configurations_are_listed_and_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["configs"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in config_names())
    assert main(["configs", "--copy", str(tmp_path)]) == 0
    assert (tmp_path / "configs" / "augment" / "strong.yaml").is_file()
    assert main(["configs", "--copy", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err
