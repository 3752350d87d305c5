"""The benchmark runs, goes on after an interruption, and writes its page; its figures are not looked at here."""

import json
from pathlib import Path

import pytest

from flipdetect.benchmark import prediction, startup
from flipdetect.benchmark.figure import Figure, Findings
from flipdetect.benchmark.models import divide, labelled_set
from flipdetect.benchmark.running import BenchmarkError
from flipdetect.errors import DataError
from tests.frame_sets import make_monreader_set, page_frame, write_frame
from tests.scripts.test_scripts import script


def run(folder: Path, *args: str) -> int:
    places = ["--work-dir", folder / "work", "--output", folder / "page.md", "--json", folder / "all.json"]
    return script("benchmark")([*map(str, places), *args])


@pytest.mark.slow
def test_parts_run_on_next_to_nothing(tmp_path: Path, monreader_set: Path) -> None:
    parts = ["training", "prediction", "size"]
    assert run(tmp_path, "--quick", "--labelled", str(monreader_set), "--only", *parts) == 0
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "mean nothing" in page
    found = json.loads((tmp_path / "all.json").read_text("utf-8"))["parts"]
    assert list(found) == parts
    figures = {figure["name"]: figure["value"] for part in found.values() for figure in part["figures"]}
    assert len(figures) >= 9
    assert all(value == value for value in figures.values())
    assert any(name.startswith("tiny_cnn, int8: loss of F1, monreader") for name in figures)
    assert set(found["training"]["raw"]) == {"tiny_cnn, end to end", "tiny_cnn, steady"}
    assert not (tmp_path / "work" / "quick" / "unfinished.json").exists()


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    def measured(name: str, *, fails: bool = False) -> Findings:
        begun.append(name)
        if fails:
            raise BenchmarkError("it broke")
        return Findings((Figure(name, len(begun)),))

    monkeypatch.setattr(prediction, "measure", lambda work: measured("prediction"))
    monkeypatch.setattr(startup, "measure", lambda work: measured("startup", fails=True))
    assert run(tmp_path, "--only", "prediction", "startup") == 1
    assert not (tmp_path / "page.md").exists()
    monkeypatch.setattr(startup, "measure", lambda work: measured("startup"))
    assert run(tmp_path, "--only", "prediction", "startup") == 0
    assert begun == ["prediction", "startup", "startup"]
    assert run(tmp_path, "--only", "startup") == 0
    assert begun[3:] == ["startup"]
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "## Prediction" in page  # what was not measured again stays
    assert "4.00" in page


def test_what_cannot_be_measured_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all.json").write_text("no json")
    assert run(tmp_path, "--quick", "--only", "startup") == 1
    assert "holds no benchmark" in capfd.readouterr().err
    with pytest.raises(SystemExit) as stop:
        run(tmp_path, "--only", "colour")
    assert stop.value.code == 2


def test_books_to_calibrate_on_are_not_judged(tmp_path: Path) -> None:
    calibrating, judging = divide(labelled_set(make_monreader_set(tmp_path / "set", videos=8, frames=2, height=64)))
    videos = [{record.video for record in side.index.records} for side in (calibrating, judging)]
    assert not videos[0] & videos[1]
    assert (len(videos[0]), len(videos[1])) == (4, 12)
    write_frame(tmp_path / "one" / "flip" / "0001_000000001.jpg", page_frame(True, 1))
    with pytest.raises(DataError):
        divide(labelled_set(tmp_path / "one"))
