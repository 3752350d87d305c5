"""Files of strangers that would run code: pickles and YAML tags, wherever a command reads a file."""

import os
import pickle
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from flipdetect.cli.main import main
from tests.frame_sets import make_monreader_set

TAGS = "trainer: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path [ran]]\n"
TRAIN = "train --config tiny_cnn --data.root labelled"
READ = [
    *(f"predict labelled --model {name}" for name in ("evil.ckpt", "old.ckpt", "evil.onnx", "evil.safetensors", "run")),
    *(f"predict labelled --engine torch --model {name}" for name in ("evil.ckpt", "old.ckpt", "evil.onnx")),
    "evaluate --data labelled --model evil.ckpt",
    "export --model evil.ckpt --output out.onnx",
    "export --model old.ckpt --output out.onnx",
    "compare --config tiny_cnn --data labelled --override model.weights=evil.ckpt",
    "register --model evil.ckpt",
    "serve --model evil.ckpt --port 0",
    "demo --model evil.ckpt --port 0",
    "batch labelled --model evil.ckpt",
    *(f"{TRAIN} --{key} {name}" for key in ("model.weights", "ckpt_path") for name in ("evil.ckpt", "old.ckpt")),
    f"{TRAIN} --model.weights evil.safetensors",
    f"{TRAIN} --config tags.yaml",
    f"{TRAIN} --config evil.ckpt",
    f"{TRAIN} --data.split_file evil.ckpt",
    f"{TRAIN} --data.manifest evil.ckpt",
    "predict labelled --event-settings tags.yaml --events",
    "predict --scores evil.ckpt",
    "tune --config tiny_cnn --data labelled --space tags.yaml",
    "compare --config tags.yaml --data labelled",
    "cross-validate --config tags.yaml --data labelled",
    "evaluate --events evil.ckpt --truth evil.ckpt",
]


class Evil:
    """Leaves a file where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.makedirs, ("ran", 0o777, True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    make_monreader_set(folder / "labelled", videos=2, frames=2)
    state = {"flipdetect": Evil(), "state_dict": Evil(), "hyper_parameters": Evil()}
    torch.save(state, folder / "evil.ckpt")
    for name in ("old.ckpt", "evil.onnx", "evil.safetensors"):
        (folder / name).write_bytes(pickle.dumps(state))
    (folder / "run").mkdir()
    (folder / "run" / "best.ckpt").write_bytes((folder / "evil.ckpt").read_bytes())
    (folder / "tags.yaml").write_text(TAGS)
    return folder


@pytest.mark.parametrize("line", READ)
def test_no_command_runs_what_a_file_holds(
    line: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    status = main(shlex.split(line))
    printed = capfd.readouterr().err
    if "not installed: run pip install" in printed:
        pytest.skip(printed)
    assert status in (1, 2)
    assert "error: " in printed
    assert "Traceback" not in printed
    assert not Path("ran").exists()
    assert not Path("logs").exists()


def test_the_files_would_run(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.load(place / "evil.ckpt", weights_only=False)
    assert (tmp_path / "ran").is_dir()


def test_encrypted_files_of_an_archive_are_left_out(tmp_path: Path) -> None:
    source = tmp_path / "a.zip"
    data = (make_monreader_set(tmp_path / "set", videos=2, frames=1) / "flip" / "0001_000000010.jpg").read_bytes()
    with zipfile.ZipFile(source, "w") as archive:
        for label in ("flip", "notflip"):
            for number in (1, 2):
                archive.writestr(f"{label}/000{number}_000000010.jpg", data + np.uint8(number).tobytes())
    content = bytearray(source.read_bytes())
    at = content.index(b"PK\x01\x02")  # of the first file: encrypted, says the list of files
    content[at + 8] |= 1
    source.write_bytes(content)
    assert main(["prepare", str(source), str(tmp_path / "out")]) == 0
    assert "encrypted file" in (tmp_path / "out" / "problems.csv").read_text()
    assert not (tmp_path / "out" / "flip" / "0001_000000010.jpg").exists()
    assert (tmp_path / "out" / "flip" / "0002_000000010.jpg").exists()
