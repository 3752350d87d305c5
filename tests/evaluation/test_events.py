"""Event detectors judged on scored recordings, and the command that does it."""

from __future__ import annotations

import csv
import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from flipdetect.errors import DataError
from flipdetect.evaluation.events import (
    DETECTORS,
    POOLED,
    EventRecording,
    evaluate_detectors,
    event_table,
    learn_parameters,
    read_recording,
    tune_hysteresis,
)
from flipdetect.events.hysteresis import EventParameters
from flipdetect.outputs.predictions import PredictionWriter
from flipdetect.records import FrameScore
from tests.inference.score_streams import frames_of, simulate
from tests.scripts.test_scripts import script


def recording(seed: int) -> EventRecording:
    made = simulate(seed, seconds=40, turns=10, fps=10)
    return EventRecording(f"r{seed}", tuple(frames_of(made)), made.turns)  # type: ignore[arg-type]


def write(folder: Path, one: EventRecording) -> tuple[Path, Path]:
    """predictions.csv, events.csv and truth.csv of a recording; its second frame is unreadable."""
    folder.mkdir()
    with PredictionWriter(folder / "predictions.csv") as writer:
        for frame in one.frames:
            path = f"frames/0001_{frame.frame:06d}.jpg"
            good = FrameScore(path, "0001", frame.frame, frame.probability, "flip")
            writer.write([FrameScore(path, "0001", 2, error="broken") if frame.frame == 2 else good])
    tables = {
        "events.csv": [{"number": n, "start_s": t.start_s, "peak_s": t.peak_s, "end_s": t.end_s, "direction": "left"}
                       for n, t in enumerate(one.turns, 1)],
        "truth.csv": [{"frame": frame.frame, "time_s": f"{frame.time_s:.4f}"} for frame in one.frames],
    }  # fmt: skip
    for name, rows in tables.items():
        with (folder / name).open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    return folder / "predictions.csv", folder / "events.csv"


def test_files_of_a_recording_are_read(tmp_path: Path) -> None:
    one = recording(0)
    predictions, events = write(tmp_path / "r0", one)
    read = read_recording(predictions, events)
    assert (read.name, len(read.frames)) == ("r0", len(one.frames))
    assert [asdict(turn) for turn in read.turns] == [
        {"start_s": turn.start_s, "peak_s": turn.peak_s, "end_s": turn.end_s} for turn in one.turns
    ]
    assert read.frames[1].probability is None
    assert read.frames[9].time_s == 0.9
    assert read_recording(predictions, events, fps=20).frames[9].time_s == 0.45


def test_files_that_do_not_do_are_named(tmp_path: Path) -> None:
    predictions, events = write(tmp_path / "r0", recording(0))
    with pytest.raises(DataError, match="fps is 0"):
        read_recording(predictions, events, fps=0)
    (tmp_path / "r0" / "truth.csv").write_text("frame,time_s\n1,0.0\n")
    with pytest.raises(DataError, match=r"0001_000002\.jpg is not known; give --fps"):
        read_recording(predictions, events)
    (tmp_path / "r0" / "truth.csv").write_text("frame,time_s\n1,\n")
    with pytest.raises(DataError, match=r"truth\.csv, line 2: a number is needed in column time_s"):
        read_recording(predictions, events)
    with pytest.raises(DataError, match=r"nowhere\.csv cannot be read"):
        read_recording(predictions, tmp_path / "nowhere.csv", fps=10)
    with PredictionWriter(predictions) as writer:
        writer.write([FrameScore("a_1.jpg", "a", 1, 0.5), FrameScore("b_1.jpg", "b", 1, 0.5)])
    with pytest.raises(DataError, match="several videos"):
        read_recording(predictions, events)


def test_learnt_parameters_and_thresholds_are_compared_on_other_recordings() -> None:
    lessons, sets = [recording(seed) for seed in (10, 11, 12)], [recording(seed) for seed in (0, 1)]
    parameters = learn_parameters(lessons)
    rows = evaluate_detectors(sets, parameters, tune_hysteresis(lessons[:1]))
    assert [(row.detector, row.recording) for row in rows] == [
        (detector, name) for detector in DETECTORS for name in ("r0", "r1", POOLED)
    ]
    together = {row.detector: row for row in rows if row.recording == POOLED}
    true = sum(len(each.turns) for each in sets)
    for row in together.values():
        assert row.figures.true == true
        assert row.figures.f1 > 0.75
        assert row.strict.f1 <= row.figures.f1
    assert together["hmm file"].as_dict()["delay_s"] is None
    assert len(event_table(rows).splitlines()) == 2 + len(rows)


def test_the_command_learns_judges_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [[str(path) for path in write(tmp_path / f"r{seed}", recording(seed))] for seed in (0, 10)]
    judged = ["--predictions", files[0][0], "--truth", files[0][1]]
    lessons = ["--fit-predictions", files[1][0], "--fit-truth", files[1][1]]
    written = [str(tmp_path / name) for name in ("events.yaml", "events.json", "again.json")]
    run = script("evaluate_events")
    assert run([*judged, *lessons, "--save-parameters", written[0], "--json", written[1]]) == 0
    table = capsys.readouterr().out
    assert "hmm file" in table
    assert run([*judged, "--parameters", written[0], "--json", written[2]]) == 0
    assert capsys.readouterr().out == table
    first, again = (json.loads(Path(path).read_text()) for path in written[1:])
    assert first == again
    assert first["tolerance_s"] == 0.3
    saved = yaml.safe_load(Path(written[0]).read_text())
    assert EventParameters.from_dict(saved["hmm"]).to_dict() == first["parameters"]["hmm"]
    assert run([*judged, "--truth", files[0][1], files[1][1]]) == 1
    assert run([*judged, "--parameters", str(tmp_path / "absent.yaml")]) == 1
    with pytest.raises(SystemExit):
        run([*judged, *lessons, "--parameters", written[0]])


def test_a_threshold_of_clips_stays_where_parameters_of_the_same_model_are_learnt_anew(tmp_path: Path) -> None:
    predictions, truth = (str(path) for path in write(tmp_path / "r", recording(10)))
    arguments = ["--predictions", predictions, "--truth", truth, "--fit-predictions", predictions, "--fit-truth", truth]
    settings = tmp_path / "best.events.yaml"
    settings.write_text("{threshold: 0.4, clip_threshold: 0.7}")
    for threshold, kept in (("0.4", 0.7), ("0.6", None)):
        saving = ["--save-parameters", str(settings), "--threshold", threshold]
        assert script("evaluate_events")([*arguments, *saving]) == 0
        assert yaml.safe_load(settings.read_text())["clip_threshold"] == kept
