"""`flipdetect prepare` as a command: what it prints, writes and returns."""

from pathlib import Path

import pytest

from flipdetect.cli.main import main
from tests.frame_sets import make_eye_set, make_monreader_set, page_frame, write_frame


def test_a_folder_becomes_a_data_set_with_statistics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_monreader_set(tmp_path / "in", videos=2, frames=2)
    (tmp_path / "in" / "flip" / "0001_9.jpg").write_bytes(b"no image")
    assert main(["prepare", str(tmp_path / "in"), str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "8 frames of 4 videos" in printed
    assert "problems.csv" in printed


def test_one_film_becomes_several_videos(tmp_path: Path) -> None:
    for number in range(40):
        write_frame(tmp_path / "in" / ("notflip" if number % 3 else "flip") / f"IMG_{number}.jpg", page_frame(True, 1))
    assert main(["prepare", str(tmp_path / "in"), str(tmp_path / "out"), "--one-film"]) == 0
    videos = {line.split(",")[2] for line in (tmp_path / "out" / "labels.csv").read_text().splitlines()[1:]}
    assert len(videos) == 10


def test_classes_and_labels_from_the_command_line(tmp_path: Path) -> None:
    make_eye_set(tmp_path / "in", people=2, frames=2)
    pattern = r"(?P<source>s\d+)_(?P<frame>\d+)_\d_\d_(?P<label>[01])_"
    options = ["--positive", "closed", "--negative", "open", "--name-pattern", pattern]
    options += ["--label", "0=closed", "--label", "1=open"]
    assert main(["prepare", str(tmp_path / "in"), str(tmp_path / "out"), *options]) == 0
    assert (tmp_path / "out" / "closed" / "0001_000000002.png").is_file()
