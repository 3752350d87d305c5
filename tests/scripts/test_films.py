"""Recordings as films, and the comparison of event detectors on them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from flipdetect.outputs.predictions import PredictionWriter
from flipdetect.records import FrameScore
from flipdetect.sources.video import open_video, probe_video
from tests.frame_sets import write_frame
from tests.inference.looking import film, page
from tests.scripts.test_scripts import script
from tests.sources.films import write


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Twelve pictures at 4 frames per second, each of its own grey."""
    root = tmp_path / "recording"
    rows = []
    for number in range(12):
        write_frame(root / "frames" / f"{number}.png", np.full((64, 36, 3), 20 * number, np.uint8))
        rows.append((f"frames/{number}.png", number / 4))
    with (root / "truth.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "time_s"), *rows])
    return root


def test_a_film_shows_the_recording_at_its_times(recording: Path, tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    command = ["--recording", str(recording), "--output", str(target), "--size", "72", "128", "--fps", "24"]
    assert script("film_recording")([*command, "--crf", "10"]) == 0
    info = probe_video(target)
    assert (info.codec, info.size, info.is_vfr) == ("h264", (128, 72), False)
    with open_video(target) as reader:
        frames = [(frame.time_s, float(frame.image.mean())) for frame in reader]
    assert len(frames) == 72
    assert all(abs(grey - 20 * int(time * 4 + 1e-3)) < 4 for time, grey in frames)


def test_a_film_may_have_uneven_times(recording: Path, tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    command = ["--recording", str(recording), "--output", str(target), "--size", "72", "128", "--variable"]
    assert script("film_recording")(command) == 0
    assert probe_video(target).is_vfr
    with open_video(target) as reader:
        times = [frame.time_s for frame in reader]
    gaps = np.diff(times)
    assert gaps.min() > 1 / 31
    assert gaps.max() < 2.1 / 30
    assert gaps.std() > 0.002


def test_what_is_no_recording_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert script("film_recording")(["--recording", str(tmp_path), "--output", str(tmp_path / "x.mp4")]) == 1
    assert "truth.csv" in capsys.readouterr().err


def test_detectors_are_compared_on_the_same_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("scenedetect")
    path = write(tmp_path / "book.mp4", film((1, 2, 3)), rate=20)
    turns = [(2.0, 2.75), (4.8, 5.55)]
    with (tmp_path / "events.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("start_s", "peak_s", "end_s"), *((start, start + 0.3, end) for start, end in turns)]
        )
    with PredictionWriter(tmp_path / "predictions.csv") as writer:
        times = [place / 10 for place in range(76)]
        writer.write(
            FrameScore("book.mp4", "book", place, 0.97 if any(a <= time <= b for a, b in turns) else 0.02, time_s=time)
            for place, time in enumerate(times)
        )
    command = ["--films", str(path), "--predictions", str(tmp_path / "predictions.csv")]
    command += ["--truth", str(tmp_path / "events.csv"), "--json", str(tmp_path / "out.json")]
    assert script("compare_event_detectors")(command) == 0
    rows = json.loads((tmp_path / "out.json").read_text())
    assert [row["detector"].split()[0] for row in rows] == ["flipdetect", *["frame"] * 2, *["PySceneDetect"] * 4]
    assert rows[0]["F1"] == 1.0
    best = [row["F1"] for row in rows if str(row["threshold"]).startswith("best")]
    assert min(best) > 0.6
    assert "frame differencing" in capsys.readouterr().out


def test_the_pages_of_the_test_films_differ() -> None:
    assert np.abs(page(1).astype(int) - page(2)).mean() > 10
