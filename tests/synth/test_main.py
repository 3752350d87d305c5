from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from flipdetect.synth import SynthConfig, is_current
from flipdetect.synth.__main__ import main

SMALL = ["--sources=1", "--clips-per-source=2", "--frames-per-clip=1", "--height=96", "--seed=4", "--workers=1"]


def test_one_command_renders_a_set_and_a_contact_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main([*SMALL, "--output", str(tmp_path / "set"), "--sheet", str(tmp_path / "sheet.png"), "--count=2"])
    assert status == 0
    assert is_current(tmp_path / "set", SynthConfig(4, 1, 2, 1, 96))
    assert "2 frames, 2 rendered" in capsys.readouterr().out
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[0] == 96 + 16


def test_the_benchmark_prints_frames_per_second(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--benchmark"]) == 0
    assert float(capsys.readouterr().out.split()[0]) > 0


def test_a_mistake_ends_with_a_message_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--benchmark", "--clips-per-source=3"]) == 2
    assert "choose an even number" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([])
