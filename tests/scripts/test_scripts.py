"""The jobs beside the two main ones, called as a user calls them."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import REPOSITORY


def script(name: str) -> Callable[[list[str]], int]:
    """The main function of a script, which is not part of the package."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.mark.slow
def test_flip_strip_is_a_picture_of_several_frames(trained: Path, tmp_path: Path) -> None:
    output = tmp_path / "images" / "strip.png"
    arguments = ["--checkpoint-path", str(trained), "--output", str(output), "--frames", "3"]
    assert script("flip_strip")(arguments) == 0
    with Image.open(output) as picture:
        assert picture.width > picture.height


def test_flip_strip_refuses_what_is_no_model(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert script("flip_strip")(["--checkpoint-path", str(tmp_path / "absent.ckpt")]) == 1
    assert "there is no checkpoint" in capfd.readouterr().err
