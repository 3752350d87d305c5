from __future__ import annotations

import csv
import json
import logging
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from flipdetect.errors import ConfigError, DataError
from flipdetect.synth import (
    RecordingConfig,
    SynthConfig,
    encode_frame,
    is_current,
    render_dataset,
    render_frame,
    render_recording,
    writers,
)

CONFIG = SynthConfig(seed=3, sources=2, clips_per_source=4, frames_per_clip=2, height=96)
RECORDING = RecordingConfig(seed=4, seconds=6, turns=2, height=96, fps=2.0)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set")
    render_dataset(root, CONFIG, workers=1, progress=False)
    return root


def test_labels_tell_the_truth_about_every_frame(rendered: Path) -> None:
    with (rendered / "labels.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    columns = "path label source video frame phase displacement event behaviour book_box page_box hand_boxes sharpness"
    assert list(rows[0]) == f"{columns} occlusion mask twin".split()
    assert len(rows) == CONFIG.frames
    twins: dict[str, list[str]] = {}
    for row in rows:
        twins.setdefault(row["twin"], []).append(row["label"])
        seen = cv2.imread(str(rendered / row["mask"]))
        assert seen.shape == (24, 13, 3)
        assert (seen[..., 2].max() > 0) == (row["label"] == "flip")  # OpenCV reads BGR: the sheet is its last channel
        assert row["path"] == f"{row['video']}_{int(row['frame']):09d}.jpg"
        assert (rendered / row["path"]).is_file()
        assert row["label"] == row["video"].split("/")[0]
        assert re.fullmatch(r"book-00[01]", row["source"])
        assert math.isnan(float(row["phase"])) == (row["label"] == "notflip")
        assert (float(row["displacement"]) > 0.16) == (row["label"] == "flip")
    assert all(sorted(both) == ["flip", "notflip"] for both in twins.values())
    assert {(row["source"], row["label"]) for row in rows} == {
        (source, label) for source in ("book-000", "book-001") for label in ("flip", "notflip")
    }


def test_any_frame_alone_equals_the_one_in_the_set(rendered: Path) -> None:
    for clip, frame in ((7, 1), (0, 0), (3, 1)):
        alone = render_frame(CONFIG, clip, frame)
        assert (rendered / alone.truth.path).read_bytes() == encode_frame(alone)


def test_the_number_of_workers_does_not_change_a_byte(rendered: Path, tmp_path: Path) -> None:
    report = render_dataset(tmp_path, CONFIG, workers=2, progress=False)
    assert report.rendered == CONFIG.frames
    assert contents(tmp_path) == contents(rendered)


def test_a_complete_set_is_current_for_its_settings_only(rendered: Path) -> None:
    assert is_current(rendered, CONFIG)
    assert not is_current(rendered, replace(CONFIG, seed=4))
    assert not is_current(rendered / "nowhere", CONFIG)


def test_an_interrupted_rendering_goes_on_where_it_stopped(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def stop_at_fifth(config: SynthConfig, clip: int, frame: int) -> object:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise KeyboardInterrupt
        return render_frame(config, clip, frame)

    with monkeypatch.context() as patch:
        patch.setattr(writers, "render_frame", stop_at_fifth)
        with pytest.raises(KeyboardInterrupt):
            render_dataset(tmp_path, CONFIG, workers=1, progress=False)
    assert not is_current(tmp_path, CONFIG)
    assert not (tmp_path / "dataset.json").exists()
    report = render_dataset(tmp_path, CONFIG, workers=1, progress=False)
    assert (report.kept, report.rendered) == (4, CONFIG.frames - 4)
    assert contents(tmp_path) == contents(rendered)


def test_missing_and_half_written_frames_are_rendered_again(rendered: Path, tmp_path: Path) -> None:
    root = shutil.copytree(rendered, tmp_path / "copy")
    frames = sorted(root.glob("flip/*.jpg"))
    frames[0].unlink()
    frames[1].write_bytes(frames[1].read_bytes()[:300])
    (root / "flip" / "0001_000000001.jpg.part").write_bytes(b"half")
    assert not is_current(root, CONFIG)
    report = render_dataset(root, CONFIG, workers=1, progress=False)
    assert report.rendered == 2
    assert contents(root) == contents(rendered)


def test_a_rendering_of_another_version_is_noticed_and_replaced(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(rendered, tmp_path / "copy")
    marker = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**marker, "version": marker["version"] - 1}))
    assert not is_current(root, CONFIG)
    with caplog.at_level(logging.WARNING):
        report = render_dataset(root, CONFIG, workers=1, progress=False)
    assert report.rendered == CONFIG.frames
    assert "is replaced" in caplog.text
    assert contents(root) == contents(rendered)


def test_a_folder_with_other_files_is_left_alone(rendered: Path, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match=r"holiday\.jpg; choose an empty or new folder"):
        render_dataset(tmp_path, CONFIG, workers=1, progress=False)
    assert contents(tmp_path) == {"holiday.jpg": b"mine"}


def test_a_file_in_place_of_the_folder_and_no_workers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "set").write_text("")
    with pytest.raises(DataError, match="is a file"):
        render_dataset(tmp_path / "set", CONFIG, progress=False)
    with pytest.raises(ConfigError, match="workers is 0"):
        render_dataset(tmp_path / "other", CONFIG, workers=0, progress=False)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("recording")
    render_recording(root, RECORDING, workers=1, progress=False)
    return root


def test_the_folder_of_a_recording_holds_frames_and_both_tables(recorded: Path) -> None:
    rows, events = (list(csv.DictReader((recorded / name).open(newline=""))) for name in ("truth.csv", "events.csv"))
    assert len(rows) == RECORDING.frames == 12
    assert all((recorded / row["path"]).is_file() for row in rows)
    assert [float(row["time_s"]) for row in rows] == [frame / 2 for frame in range(12)]
    assert {row["source"] for row in rows} == {"recording-0000"}
    assert [row["completed"] for row in events].count("true") == 2
    assert float(events[0]["start_s"]) < float(events[0]["peak_s"]) < float(events[0]["end_s"])


def test_workers_and_an_interruption_do_not_change_a_recording(recorded: Path, tmp_path: Path) -> None:
    render_recording(tmp_path, RECORDING, workers=2, progress=False)
    assert contents(tmp_path) == contents(recorded)
    (tmp_path / "recording.json").rename(tmp_path / "rendering.json")
    frames = sorted(tmp_path.glob("frames/*.jpg"))
    frames[2].write_bytes(frames[2].read_bytes()[:200])
    frames[5].unlink()
    report = render_recording(tmp_path, RECORDING, workers=1, progress=False)
    assert (report.rendered, report.kept) == (2, 10)
    assert contents(tmp_path) == contents(recorded)
