from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

from flipdetect.cli.data_sets import render
from flipdetect.cli.main import main
from flipdetect.synth import RecordingConfig, SynthConfig, is_current

SMALL = ["--sources=1", "--clips-per-source=2", "--frames-per-clip=1", "--height=96", "--seed=4", "--workers=1"]


def test_one_command_renders_a_set_and_a_contact_sheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = ["--output", str(tmp_path / "set"), "--sheet", str(tmp_path / "sheet.png"), "--count=2"]
    assert main(["render", *SMALL, *jobs]) == 0
    assert is_current(tmp_path / "set", SynthConfig(4, 1, 2, 1, 96))
    assert "2 frames, 2 rendered" in capsys.readouterr().out
    assert Image.open(tmp_path / "sheet.png").height > 200


def test_one_command_renders_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--seconds=2", "--turns=0", "--fps=1", "--height=96", "--workers=1", "--count=2"]
    folder, sheet = tmp_path / "recording", tmp_path / "sheet.png"
    assert main(["render", *options, "--recording", str(folder), "--sheet", str(sheet)]) == 0
    assert "2 frames, 2 rendered" in capsys.readouterr().out
    assert sheet.stat().st_size > 1000
    assert (folder / "events.csv").read_text().count("\n") == 1


FOR_STUDIES = {"without", "pace"}
"""Settings of ablations and of lessons for the detection of turns, in YAML and Python only."""


@pytest.mark.parametrize("config", [SynthConfig, RecordingConfig])
def test_every_setting_is_an_option_with_its_default(config: type[SynthConfig | RecordingConfig]) -> None:
    options = inspect.signature(render).parameters
    settings = {field.name: field.default for field in fields(config) if field.name not in FOR_STUDIES}
    assert {name: options[name].default for name in settings} == settings
