"""Which engine runs which file; PyTorch only where it must."""

import logging
import os
import shutil
from pathlib import Path

import pytest

from flipdetect.errors import ModelError
from flipdetect.inference.load import load_model
from flipdetect.inference.onnx_model import OnnxModel, file_digest
from flipdetect.inference.resolve import resolve_model
from flipdetect.inference.torch_model import TorchModel
from flipdetect.zoo import DEFAULT, pretrained_path
from tests.inference.exported import write_exported


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """A copy of a pretrained model with no other file next to it."""
    return Path(shutil.copy(pretrained_path("tiny_cnn"), tmp_path / "model.safetensors"))


def export_beside(path: Path, source: str | None = None) -> Path:
    return write_exported(path.with_suffix(".onnx"), source=source or file_digest(path))


def test_an_exported_file_runs_in_onnx_runtime_on_the_cpu(tmp_path: Path) -> None:
    path = write_exported(tmp_path / "model.onnx")
    for engine in ("auto", "onnx"):
        for device in ("auto", "cpu"):
            assert isinstance(load_model(str(path), engine, device), OnnxModel)
    with pytest.raises(ModelError, match="PyTorch does not run"):
        load_model(path, "torch")
    with pytest.raises(ModelError, match="on the CPU, not on 'cuda'"):
        load_model(path, device="cuda")


def test_a_packed_model_is_run_by_what_lies_beside_it(packed: Path) -> None:
    beside = export_beside(packed)
    for engine in ("auto", "onnx"):
        found = load_model(packed, engine, "cpu")
        assert isinstance(found, OnnxModel)
        assert found.path == beside
    assert isinstance(load_model(packed, "torch", "cpu"), TorchModel)
    with pytest.raises(ModelError, match="on the CPU"):
        load_model(packed, "onnx", "cuda")


def test_what_was_not_exported_is_run_by_torch_or_the_way_out_is_named(
    packed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "flipdetect"):
        assert isinstance(load_model(packed, "auto", "cpu"), TorchModel)
    assert [record.levelno for record in caplog.records] == [logging.INFO]
    assert "flipdetect export" in caplog.text
    with pytest.raises(ModelError, match=r"was not exported.*flipdetect export"):
        load_model(packed, "onnx", "cpu")


def test_an_export_of_older_weights_is_not_taken(packed: Path, caplog: pytest.LogCaptureFixture) -> None:
    export_beside(packed, source="1" * 64)
    with caplog.at_level(logging.INFO, "flipdetect"):
        assert isinstance(load_model(packed, "auto", "cpu"), TorchModel)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "exported from another" in caplog.text
    with pytest.raises(ModelError, match="exported from another"):
        load_model(packed, "onnx", "cpu")


def test_an_export_may_stand_alone(packed: Path) -> None:
    export_beside(packed)
    packed.unlink()
    assert isinstance(load_model(packed, "auto", "cpu"), OnnxModel)


def test_a_damaged_export_is_an_error(packed: Path) -> None:
    packed.with_suffix(".onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"model\.onnx is damaged"):
        load_model(packed, "auto", "cpu")


def test_without_onnx_runtime_torch_runs(
    packed: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    export_beside(packed)
    monkeypatch.setattr("flipdetect.inference.load.RUNTIME", "no_such_package")
    with caplog.at_level(logging.INFO, "flipdetect"):
        assert isinstance(load_model(packed, "auto", "cpu"), TorchModel)
    assert "pip install onnxruntime" in caplog.text


def test_shipped_models_go_by_name() -> None:
    assert load_model("tiny_cnn", "torch", "cpu").path == pretrained_path("tiny_cnn")
    with pytest.raises(ModelError, match="no pretrained model is called"):
        load_model("no_such_model")


def test_an_unknown_engine_is_refused(packed: Path) -> None:
    with pytest.raises(ModelError, match="auto, torch, onnx, got 'jax'"):
        load_model(packed, "jax")  # type: ignore[arg-type]


def test_files_that_are_absent_are_named(tmp_path: Path) -> None:
    for name in ("absent.ckpt", "absent.onnx"):
        with pytest.raises(ModelError, match=rf"there is no model .*{name}; give the path"):
            load_model(tmp_path / name, "auto", "cpu")


def make_run(logs: Path, name: str, when: int, classes: str = "") -> Path:
    run = logs / name / "version_0"
    run.mkdir(parents=True)
    (run / "best.ckpt").touch()
    os.utime(run / "best.ckpt", (when, when))
    (run / "config.yaml").write_text(f"data:\n  root: frames\n{classes}")
    return run


def test_last_and_a_folder_name_a_run(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no training run under"):
        resolve_model("last", tmp_path)
    older, newer = make_run(tmp_path, "a", 1), make_run(tmp_path, "b", 2)
    assert resolve_model("last", tmp_path) == newer / "best.ckpt"
    assert resolve_model(older) == resolve_model(str(older)) == older / "best.ckpt"
    with pytest.raises(ModelError, match=r"holds no best\.ckpt"):
        resolve_model(tmp_path)


def test_the_pretrained_model_is_the_default_and_a_newer_run_is_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flipdetect")
    assert resolve_model(None, tmp_path) == pretrained_path(DEFAULT)
    assert not caplog.records
    run = make_run(tmp_path, "pages", 1)
    assert resolve_model(None, tmp_path) == pretrained_path(DEFAULT)
    assert [record.getMessage() for record in caplog.records if str(run) in record.getMessage()]
    assert "--model last" in caplog.text
    caplog.clear()
    make_run(tmp_path, "gestures", 2, "  classes: {negative: dislike, positive: like}\n")
    assert resolve_model(None, tmp_path) == pretrained_path(DEFAULT)
    assert not caplog.records
