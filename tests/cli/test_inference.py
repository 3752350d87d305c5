"""The prediction command: a row for every file, whatever it is; pipes, interruption, refusals."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from flipdetect.cli.main import main as run
from flipdetect.cli.predict import inference as main
from flipdetect.inference.score import Predictor
from flipdetect.outputs.predictions import COLUMNS
from flipdetect.zoo import DEFAULT
from tests.conftest import REPOSITORY
from tests.frame_sets import page_frame, write_frame
from tests.sources.films import write


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """Two folders below, spaces, other scripts, and files that only pretend to be frames."""
    root = tmp_path / "odd frames"
    write_frame(root / "a b" / "ünïcode" / "深い" / "ページ 1.jpg", page_frame(True, 1))
    write_frame(root / "clip" / "0001_000000002.png", page_frame(False, 2))
    write_frame(root / "clip" / "0001_000000010.jpg", page_frame(False, 3))
    (root / "zero.jpg").write_bytes(b"")
    (root / "text.jpg").write_text("not a picture")
    (root / "x.jpg").mkdir()
    (root / "broken.jpg").symlink_to("nowhere.jpg")
    (root / "notes.txt").write_text("not a frame either")
    return root


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def predict(trained: Path, folder: Path, output: Path, *more: str) -> int:
    named = ["--folder-path", str(folder), "--checkpoint-path", str(trained), "--output", str(output)]
    return main([*named, "--device", "cpu", *more])


def test_every_file_gets_a_row_and_unreadable_ones_a_reason(trained: Path, odd_folder: Path, tmp_path: Path) -> None:
    assert predict(trained, odd_folder, tmp_path / "out.csv") == 0
    found = {row["path"]: row for row in rows(tmp_path / "out.csv")}
    clip = [(row["video"], row["frame"]) for path, row in found.items() if path.startswith("clip/")]
    assert clip == [("clip/0001", "2"), ("clip/0001", "10")]
    good = {"a b/ünïcode/深い/ページ 1.jpg", "clip/0001_000000002.png", "clip/0001_000000010.jpg"}
    assert set(found) == good | {"zero.jpg", "text.jpg", "broken.jpg"}
    for path, row in found.items():
        if path in good:
            assert 0 <= float(row["probability"]) <= 1
            assert row["label"] in ("flip", "notflip")
            assert not row["error"]
        else:
            assert not row["probability"]
            assert not row["label"]
            assert row["error"]


def test_strict_fails_on_unreadable_files_alone(trained: Path, odd_folder: Path, tmp_path: Path) -> None:
    assert predict(trained, odd_folder, tmp_path / "out.csv", "--strict") == 1
    assert len(rows(tmp_path / "out.csv")) == 6
    assert predict(trained, odd_folder / "clip", tmp_path / "out.csv", "--strict") == 0


def test_predictions_do_not_depend_on_the_batch_size(trained: Path, monreader_set: Path, tmp_path: Path) -> None:
    for size in (1, 5, 64):
        predict(trained, monreader_set, tmp_path / f"{size}.csv", "--batch-size", str(size))
    one, five, all_ = ([float(row["probability"]) for row in rows(tmp_path / f"{size}.csv")] for size in (1, 5, 64))
    assert one == pytest.approx(five, abs=1e-5)
    assert one == pytest.approx(all_, abs=1e-5)


@pytest.mark.parametrize(("threshold", "label"), [("0", "flip"), ("1", "notflip")])
def test_threshold_can_be_overridden(
    trained: Path, monreader_set: Path, tmp_path: Path, threshold: str, label: str
) -> None:
    predict(trained, monreader_set, tmp_path / "out.csv", "--threshold", threshold)
    assert {row["label"] for row in rows(tmp_path / "out.csv")} == {label}


def test_table_of_flips_per_video_is_printed(
    trained: Path, monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predict(trained, monreader_set, tmp_path / "out.csv")
    table = capsys.readouterr().out
    assert "notflip/0008" in table
    assert "all 16" in table
    assert "contains_" not in table  # this model has no settings with a threshold for clips


def test_shipped_models_tell_whether_there_is_a_flip_in_a_clip(
    monreader_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", DEFAULT, "--folder-path", str(monreader_set), "--output", str(tmp_path / "out.csv")]
    for threshold, said in ((None, ""), ("0", "no"), ("1", "yes")):
        assert main(arguments + (["--threshold", threshold] if threshold else [])) == 0
        first, _, *videos, total = capsys.readouterr().out.splitlines()
        assert first.endswith("contains_flip")
        words = [line.split()[-1] for line in videos]
        assert set(words) <= {"yes", "no"} - {said}
        assert total.endswith(f" {words.count('yes')}")


def test_the_pretrained_model_is_the_default_and_the_newest_run_is_mentioned(
    trained: Path,
    monreader_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(trained.parents[3])
    command = ["--folder-path", str(monreader_set), "--output", str(tmp_path / "out.csv"), "--device", "cpu"]
    assert main(command) == 0
    messages = capfd.readouterr().err
    assert f"weights/{DEFAULT}" in messages
    assert "logs/tiny_cnn/version_0 is your newest run: use it with --model last" in messages
    by_default = rows(tmp_path / "out.csv")
    assert main([*command, "--model", DEFAULT]) == 0
    assert "newest run" not in capfd.readouterr().err
    assert rows(tmp_path / "out.csv") == by_default
    for named in ("last", "logs/tiny_cnn/version_0"):
        assert main([*command, "--model", named]) == 0
        assert "Model: logs/tiny_cnn/version_0/best.ckpt" in capfd.readouterr().err


def test_an_interrupted_run_keeps_its_rows_and_can_be_resumed(
    trained: Path,
    monreader_set: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    original = Predictor.predict

    def stop_after_two_batches(self: Predictor, *args):
        for number, batch in enumerate(original(self, *args)):
            if number == 2:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(Predictor, "predict", stop_after_two_batches)
    assert predict(trained, monreader_set, tmp_path / "out.csv", "--batch-size", "4") == 130
    assert not (tmp_path / "out.csv").exists()
    assert len(rows(tmp_path / "out.csv.part")) == 8
    assert "8 of 32" in capfd.readouterr().err
    monkeypatch.setattr(Predictor, "predict", original)
    assert predict(trained, monreader_set, tmp_path / "out.csv", "--resume") == 0
    assert predict(trained, monreader_set, tmp_path / "whole.csv") == 0
    assert rows(tmp_path / "out.csv") == rows(tmp_path / "whole.csv")
    assert not (tmp_path / "out.csv.part").exists()


def test_films_and_pictures_share_a_table(trained: Path, monreader_set: Path, tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", [page_frame(False, 1, 384)] * 20, rate=10)
    command = ["predict", str(film), str(monreader_set), "--model", str(trained), "--output", str(tmp_path)]
    assert run([*command, "--device", "cpu"]) == 0
    found = rows(tmp_path / "predictions.csv")
    assert {row["video"] for row in found if row["time_s"]} == {"film"}
    assert sum(not row["time_s"] for row in found) == 32
    assert (tmp_path / "flips.csv").is_file()


@pytest.mark.slow
def test_rows_can_go_through_a_pipe_that_closes_early(trained: Path, monreader_set: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "inference.py"), "--folder-path", str(monreader_set)]
    command += ["--checkpoint-path", str(trained), "--output", "-", "--batch-size", "1"]
    whole = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = whole.stdout.splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert len(lines) == 33
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 0
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors


def test_real_frames_are_predicted(trained: Path, realdev: Path, tmp_path: Path) -> None:
    assert predict(trained, realdev / "frames", tmp_path / "out.csv", "--strict") == 0
    assert len({row["video"] for row in rows(tmp_path / "out.csv")}) == 6
