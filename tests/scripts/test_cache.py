"""The command that shows and clears the cache."""

from pathlib import Path

import pytest

from flipdetect.data.cache import decode_frames
from flipdetect.data.preprocess import PreprocessSpec
from tests.frame_sets import page_frame, write_frame
from tests.scripts.test_scripts import script


def test_a_cache_is_listed_and_cleared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_frame(tmp_path / "1.png", page_frame(True, 1))
    decode_frames([tmp_path / "1.png"], PreprocessSpec(1024, 512), cache_dir=tmp_path / "cache")
    run = script("cache")
    assert run(["--list", "--cache-dir", str(tmp_path / "cache")]) == 0
    assert "512x1024x3-letterbox" in capsys.readouterr().out
    assert run(["--clear", "--unused-days", "1", "--cache-dir", str(tmp_path / "cache")]) == 0
    assert "0.0 MiB freed" in capsys.readouterr().out
    assert run(["--clear", "--cache-dir", str(tmp_path / "cache")]) == 0
    assert "1.5 MiB freed" in capsys.readouterr().out
    assert not list((tmp_path / "cache").glob("*/*"))
    with pytest.raises(SystemExit):
        run([])
