"""What large sets cost: measured small, and held to what was promised."""

import json
from pathlib import Path

import pytest

from tests.scripts.test_scripts import script


def test_cost_per_frame_and_memory_are_reported_and_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = script("measure_scale")
    output = tmp_path / "scale.json"
    assert run(["--frames", "400", "4000", "--folder", str(tmp_path), "--json", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "| 4,000" in printed
    small, large = json.loads(output.read_text())
    assert large["index_bytes"] < 400
    # Ten times the frames: what is quadratic in anything would cost a hundred times as much.
    for step in ("index", "split", "audit", "paired epoch", "warm cache"):
        assert large["processor_s"][step] < 30 * small["processor_s"][step] + 0.05, step
    assert not list(tmp_path.glob("flipdetect-scale-*"))


def test_too_small_a_set_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        script("measure_scale")(["--frames", "10"])
    assert stop.value.code == 2
    assert "at least" in capsys.readouterr().err
