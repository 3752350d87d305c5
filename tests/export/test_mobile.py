"""Files for phones predict like the model; each test is skipped without the packages of its format."""

from pathlib import Path

import pytest

from flipdetect.cli.main import main
from flipdetect.errors import ModelError
from flipdetect.export import mobile
from flipdetect.inference.resolve import resolve_model
from flipdetect.inference.torch_model import load_torch_model
from tests.frame_sets import page_frame


@pytest.mark.parametrize(
    ("engine", "suffix", "package"), [("executorch", ".pte", "executorch"), ("litert", ".tflite", "litert_torch")]
)
def test_a_file_for_phones_predicts_like_the_model(
    engine: str, suffix: str, package: str, realdev: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(package, reason=f"needs the extra [{engine}]")
    output = tmp_path / f"model{suffix}"
    arguments = ["export", "--model", "tiny_cnn", "--format", engine, "--data", str(realdev), "--output", str(output)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"{output}: {output.stat().st_size:,} bytes" in printed
    assert "on 64 frames (0.001 is allowed); frames that change class: 0" in printed
    assert [path.name for path in tmp_path.iterdir()] == [output.name]


def test_a_file_with_other_probabilities_is_not_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = load_torch_model(resolve_model("tiny_cnn"), "cpu")
    output = tmp_path / "model.pte"
    output.write_bytes(b"earlier")
    monkeypatch.setitem(mobile.ENGINES, "executorch", lambda network, example, path: lambda picture: 2.0)
    spec = model.preprocess
    frames = spec.normalise(spec.resize(page_frame(True, 1)))[None]
    with pytest.raises(ModelError, match="Nothing was written"):
        mobile.export_mobile(model, output, frames, "executorch")
    assert output.read_bytes() == b"earlier"


@pytest.mark.parametrize(
    ("engine", "name"), [("executorch", "model.onnx"), ("litert", "model.pte"), ("onnx", "model.pte")]
)
def test_the_suffix_is_that_of_the_format(engine: str, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--model", "tiny_cnn", "--format", engine, "--output", name]) == 2
    assert "has to end in" in capfd.readouterr().err
