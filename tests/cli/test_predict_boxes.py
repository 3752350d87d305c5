"""`flipdetect predict` with a detector: tables and drawn pictures, damaged files, films, refused options."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from flipdetect.cli.main import main
from flipdetect.records import DetectionResult
from flipdetect.sources.image import decode_frame
from tests.inference.detectors import write_fixed_detector

TABLE = """\
path,label,score,x0,y0,x1,y1,error
2.png,book,1.000000,32.00,8.00,96.00,56.00,
2.png,hand,0.625000,0.00,0.00,20.00,48.00,
10.jpg,hand,0.625000,0.00,8.00,10.00,40.00,
sub/turned.jpg,book,1.000000,0.00,40.00,64.00,88.00,
"""


@pytest.fixture
def detector(tmp_path: Path) -> str:
    return str(write_fixed_detector(tmp_path / "best.onnx"))


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wide white picture, a dark one, and a wide white one that is shown upright, of 64 x 128 pixels."""
    folder = tmp_path / "pictures"
    (folder / "sub").mkdir(parents=True)
    white = Image.new("RGB", (128, 64), "white")
    white.save(folder / "2.png")
    Image.new("RGB", (64, 64)).save(folder / "10.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    white.save(folder / "sub" / "turned.jpg", exif=exif)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_folder_gives_tables_and_drawn_pictures(
    pictures: Path, detector: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(pictures), "--model", detector]) == 0
    assert "4 boxes in 3 pictures" in capsys.readouterr().out
    assert (tmp_path / "predictions.csv").read_text() == TABLE
    whole = json.loads((tmp_path / "predictions.json").read_text())
    assert (whole["model"], whole["threshold"]) == ("best.onnx", 0.5)
    sizes = [(image["file_name"], image["width"], image["height"]) for image in whole["images"]]
    assert sizes == [("2.png", 128, 64), ("10.jpg", 64, 64), ("sub/turned.jpg", 64, 128)]
    results = json.loads((tmp_path / "predictions.coco.json").read_text())
    assert results[3] == {"image_id": 3, "category_id": 1, "bbox": [0, 40, 64, 48], "score": 1.0}
    drawn = {path.relative_to(tmp_path / "predictions").as_posix() for path in (tmp_path / "predictions").rglob("*.*")}
    assert drawn == {"2.png", "10.jpg", "sub/turned.jpg"}
    assert decode_frame(tmp_path / "predictions" / "2.png")[30, 32].tolist() == [213, 94, 0]
    assert decode_frame(tmp_path / "predictions" / "sub" / "turned.jpg").shape == (128, 64, 3)


def test_an_unreadable_picture_gets_its_reason_and_the_rest_goes_on(
    pictures: Path, detector: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (pictures / "10.jpg").write_bytes((pictures / "10.jpg").read_bytes()[:200])
    run = ["predict", str(pictures), "--model", detector, "-o", str(tmp_path / "out" / "found.csv")]
    assert main(run) == 0
    assert "1 of 3 files could not be read" in capfd.readouterr().err
    with (tmp_path / "out" / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], bool(row["error"])) for row in rows][1:4] == [
        ("2.png", False), ("10.jpg", True), ("sub/turned.jpg", False),
    ]  # fmt: skip
    assert rows[2]["label"] == ""
    assert sorted(path.name for path in (tmp_path / "out" / "found").rglob("*.*")) == ["2.png", "turned.jpg"]
    assert main([*run, "--strict"]) == 1


def test_rows_go_to_standard_output(pictures: Path, detector: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(pictures), "--model", detector, "-o", "-"]) == 0
    assert capsys.readouterr().out == TABLE
    assert not Path("predictions").exists()


def test_drawn_pictures_are_not_searched_by_the_next_run(detector: str, pictures: Path) -> None:
    for _ in range(2):
        assert main(["predict", ".", "--model", detector, "--threshold", "0.7"]) == 0
    whole = json.loads(Path("predictions.json").read_text())
    assert [image["file_name"] for image in whole["images"]] == [
        "pictures/2.png", "pictures/10.jpg", "pictures/sub/turned.jpg",
    ]  # fmt: skip
    assert sum(len(image["boxes"]) for image in whole["images"]) == 2


def test_pictures_of_one_name_in_two_folders_are_both_drawn(detector: str, pictures: Path, tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    shutil.copy(pictures / "2.png", tmp_path / "below" / "2.png")
    shutil.copy(pictures / "2.png", tmp_path / "2.png")
    assert main(["predict", str(pictures / "2.png"), "2.png", "below/../2.png", "--model", detector]) == 0
    assert len(list((tmp_path / "predictions").rglob("*.png"))) == 3


def test_films_are_named_as_what_a_detector_does_not_take(
    detector: str, pictures: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    assert main(["predict", str(film), "--model", detector]) == 2
    error = capfd.readouterr().err
    assert "film.mp4 is a film" in error
    assert "no picture among the inputs" in error
    assert main(["predict", str(film), str(pictures), "--model", detector]) == 0
    assert main(["predict", str(film), str(pictures), "--model", detector, "--strict"]) == 1
    assert "film.mp4 is a film" in capfd.readouterr().err


@pytest.mark.parametrize("option", ["--events", "--resume", "--batch-size=3"])
def test_options_without_meaning_are_refused(
    option: str, detector: str, pictures: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(pictures), "--model", detector, option]) == 2
    assert f"{option.split('=')[0]} has no meaning with" in capfd.readouterr().err
    assert not Path("predictions.csv").exists()


def test_ctrl_c_keeps_what_was_found(
    detector: str, pictures: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def results(*_: object):
        yield DetectionResult("2.png", 128, 64)
        raise KeyboardInterrupt

    monkeypatch.setattr("flipdetect.pipeline.picture_boxes.in_order", results)
    assert main(["predict", str(pictures), "--model", detector]) == 130
    assert "after 1 of 3 pictures" in capfd.readouterr().err
    assert len(json.loads(Path("predictions.json").read_text())["images"]) == 1
