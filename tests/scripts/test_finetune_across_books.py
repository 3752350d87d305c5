"""The measurement across books, on a small set of two books and with small configurations."""

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.frame_sets import make_monreader_set


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, with its configurations made small."""
    path = REPOSITORY / "scripts" / "finetune_across_books.py"
    spec = importlib.util.spec_from_file_location("finetune_across_books", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    for name in module.MODELS["tiny_cnn"]:
        config = yaml.safe_load((REPOSITORY / "configs" / name).read_text())
        checkpoint = config["trainer"]["callbacks"][:1]
        config["trainer"].update(max_epochs=1, callbacks=checkpoint, enable_progress_bar=False)
        config["data"].update(preprocess={"height": 64, "width": 36}, batch_size=4, cache_dir=None, augment=None)
        if "mix_in" in config["data"]:
            render = {"sources": 2, "clips_per_source": 2, "frames_per_clip": 1, "height": 64}
            config["data"].update(epoch_frames=16, mix_in={"embedded": {"root": "rendered", "render": render}})
        (tmp_path / "configs").mkdir(exist_ok=True)
        (tmp_path / "configs" / name).write_text(yaml.safe_dump(config))
    monkeypatch.setattr(module, "CONFIGS", tmp_path / "configs")
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def two_books(tmp_path: Path) -> Path:
    root = tmp_path / "books"
    lines = ["path,label,source,video"]
    for book in "AB":
        make_monreader_set(root / book, videos=3, frames=1)
        lines += [
            f"{path.relative_to(root).as_posix()},{path.parent.name},{book},{book}-{path.parent.name}-{path.stem}"
            for path in sorted((root / book).rglob("*.jpg"))
        ]
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("logs/finetune_across_books/results.csv").open()))


def test_every_start_meets_every_other_book_once(
    script: ModuleType, two_books: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data-root", str(two_books), "--models", "tiny_cnn", "--seeds", "0"]
    assert script.main(arguments) == 0
    first = rows()
    assert [(row["start"], row["train"], row["test"]) for row in first] == [
        ("zero-shot", "A", "B"), ("zero-shot", "B", "A"), ("finetune", "A", "B"), ("finetune", "B", "A"),
        ("scratch", "A", "B"), ("scratch", "B", "A"),
    ]  # fmt: skip
    assert all(0 <= float(row[name]) <= 1 for row in first for name in ("auroc", "f1", "threshold"))
    assert "A -> B" in capsys.readouterr().out
    assert not list(Path("logs").rglob("*.ckpt"))
    # Another start: what is finished is kept, a changed setting is another run.
    assert script.main([*arguments, "--starts", "finetune", "--set", "data.mix_in.share=0"]) == 0
    assert rows()[:6] == first
    assert len(rows()) == 8


def test_finished_runs_are_not_repeated(
    script: ModuleType, two_books: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data-root", str(two_books), "--models", "tiny_cnn", "--starts", "zero-shot"]
    assert script.main(arguments) == 0
    table = capsys.readouterr().out
    monkeypatch.setattr(script, "_execute", lambda *_: pytest.fail("a finished run was repeated"))
    assert script.main(arguments) == 0
    assert capsys.readouterr().out == table


def test_one_book_is_not_enough(script: ModuleType, two_books: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--data-root", str(two_books), "--sources", "A"]) == 1
    assert "two sources are needed" in capfd.readouterr().err
    assert script.main(["--data-root", str(two_books), "--sources", "A", "C"]) == 1
    assert "has A, B, not C" in capfd.readouterr().err
