"""The spot check as a command."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from tests.scripts.test_scripts import script


def test_shipped_models_are_checked_without_torch(monreader_set: Path, tmp_path: Path) -> None:
    code = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: sys.exit(end.code or 10 * ('torch' in sys.modules))"
    )
    picture = tmp_path / "spot.png"
    command = [sys.executable, "-c", code, str(REPOSITORY / "scripts" / "spot_check.py"), "-n", "6", "--output"]
    arguments = [str(picture), "--folder-path", str(monreader_set), "--model", "tiny_cnn"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if ".jpg" in line]) == 6
    assert "of 3 flip and" in done.stdout
    assert Image.open(picture).width > 400


def test_a_checkpoint_of_your_own_and_a_side_of_its_split(
    trained: Path, monreader_set: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--folder-path", str(monreader_set), "--checkpoint-path", str(trained), "--split", "test"]
    assert script("spot_check")([*arguments, "--natural"]) == 0
    assert "told right" in capsys.readouterr().out


def test_a_folder_without_frames_is_explained(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert script("spot_check")(["--folder-path", str(tmp_path), "--model", "tiny_cnn"]) == 1
    assert "no usable frames" in capfd.readouterr().err
