"""The audit as a command: what it prints, writes and returns."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from flipdetect.cli.main import main
from tests.data.drawn_books import make_drawn_books, plant


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_drawn_books(tmp_path_factory.mktemp("books"), books=9, frames=3)


def test_a_clean_split_passes(books: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--data", str(books), "--no-cache", "--strict"]) == 0
    printed = capsys.readouterr().out
    assert "No fault was found." in printed
    assert "book-000" in printed


def test_planted_faults_are_printed_written_and_drawn(
    books: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planted = plant(books, each=1)
    files = [tmp_path / "out" / name for name in ("audit.json", "pairs.csv", "pairs.png")]
    arguments = ["audit", "--data", str(books), "--manifest", str(planted.manifest)]
    arguments += ["--split-file", str(planted.split_file)]
    arguments += ["--output", str(tmp_path / "out")]
    arguments += ["--cache-dir", str(tmp_path / "cache")]
    assert main(arguments) == 0
    assert main([*arguments, "--strict"]) == 1
    printed = capsys.readouterr().out
    assert "! " in printed
    assert "There are faults (!)." in printed
    found = json.loads(files[0].read_text())
    assert found["schema_version"] == 2
    assert found["faults"] is True
    assert found["counts"]["conflict"] >= 1
    assert planted.copied[0] in {pair["second_path"] for pair in found["pairs"] if pair["kind"] == "copy"}
    rows = list(csv.DictReader(files[1].open()))
    assert len(rows) == len(found["pairs"])
    assert {row["kind"] for row in rows} >= {"conflict", "copy"}
    with Image.open(files[2]) as picture:
        assert picture.width > 400


def test_a_supplied_test_folder_that_leaks_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    books = make_drawn_books(tmp_path / "all", books=4, frames=4)
    for number, path in enumerate(sorted(books.glob("*/*.jpg"))):
        side = "testing" if number % 4 == 3 else "training"
        target = tmp_path / "set" / side / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    arguments = ["audit", "--data", str(tmp_path / "set"), "--use-supplied-test", "--no-cache", "--strict"]
    assert main(arguments) == 1
    assert "test frames come from videos that are also in training" in capsys.readouterr().out
