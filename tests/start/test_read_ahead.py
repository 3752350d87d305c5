"""Frames that are decoded while torch is imported are those that training looks for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flipdetect.cli.train_arguments import read_arguments
from flipdetect.data.cache import ChunkCache, decode_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.start.read_ahead import decode, render
from tests.frame_sets import make_monreader_set

END = """
import json, sys
from pathlib import Path
from flipdetect.start.read_ahead import ReadAhead
ahead = ReadAhead(json.loads(sys.argv[1]))
ahead.wait()
assert list(Path("new/cache/frames").glob("*.npy"))
ahead.end(discard=sys.argv[2] == "discard")
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    make_monreader_set(Path("own"), videos=2, frames=2)
    few = ("sources=1", "clips_per_source=2", "frames_per_clip=1", "height=64")
    words = ["--data.root=own", "--data.cache_dir=new/cache", "--data.mix_in.embedded.root=rendered"]
    words += [f"--data.mix_in.embedded.render.{each}" for each in few]
    found: dict[str, Any] = read_arguments(["--config", "finetune_tiny", *words]).settings["data"]
    return found


def test_frames_that_were_read_ahead_are_not_decoded_again(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    render(settings)
    decode(settings)
    monkeypatch.setattr(PreprocessSpec, "read", None)
    cache = ChunkCache(Path("new/cache/frames"))
    for root, names in (("own", "*/*.jpg"), ("rendered", "*flip/*.jpg")):
        files = sorted(Path(root).glob(names))
        assert files
        frames = decode_frames(files, PreprocessSpec(**settings["preprocess"]), cache)
        assert frames[0].any()


@pytest.mark.parametrize("how", ["keep", "discard"])
def test_a_configuration_that_is_refused_leaves_nothing_behind(settings: dict[str, Any], how: str) -> None:
    settings["mix_in"] = None
    command = [sys.executable, "-c", END, json.dumps(settings), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path("new").exists() == (how == "keep")
    assert Path("own").is_dir()
