"""Which frames are shown, and what is known of a set."""

import json
from collections import Counter
from pathlib import Path

from flipdetect.evaluation.mistakes import worst_mistakes
from flipdetect.evaluation.report.collect import data_version, examples
from flipdetect.evaluation.report.command import _folders
from flipdetect.records import FrameRecord
from tests.evaluation.made_up import ROOT, evaluation


def record(video: str, frame: int, label: str) -> FrameRecord:
    return FrameRecord(ROOT / f"{video}_{frame}.jpg", label, video, frame)


LABELS = {"a": "flip", "b": "flip", "c": "notflip", "d": "notflip", "e": "flip"}
RECORDS = [record(video, frame, label) for video, label in LABELS.items() for frame in range(3)]
SCORES = {
    "a": (0.01, 0.02, 0.03),
    "b": (0.2, 0.9, 0.95),
    "c": (0.99, 0.98, 0.6),
    "d": (0.1, 0.2, 0.3),
    "e": (0.7, 0.8, 0.9),
}
JUDGED = evaluation(RECORDS, [p for scores in SCORES.values() for p in scores])


def test_examples_are_of_different_videos() -> None:
    chosen = examples(JUDGED, 2)
    roles = Counter(role for role, _ in chosen)
    assert roles == {"hit": 2, "miss": 2, "alarm": 2, "rest": 2}
    misses = [pair for role, pair in chosen if role == "miss"]
    assert [(pair.record.video, pair.probability) for pair in misses] == [("a", 0.01), ("b", 0.2)]
    assert {pair.record.video for role, pair in chosen if role == "hit"} == {"b", "e"}


def test_mistakes_of_one_video_do_not_crowd_out_the_others() -> None:
    plain = [pair.record.video for pair in worst_mistakes(JUDGED, 4)]
    mixed = [pair.record.video for pair in worst_mistakes(JUDGED, 4, per_video=1)]
    assert Counter(plain) == {"a": 2, "c": 2}
    assert Counter(mixed) == {"a": 1, "b": 1, "c": 2}
    assert len(worst_mistakes(JUDGED, 99, per_video=1)) == len(worst_mistakes(JUDGED, 99)) == 7


def test_what_a_rendered_set_says_of_itself(tmp_path: Path) -> None:
    assert data_version(tmp_path) == ""
    made = {"maker": "flipdetect.synth", "version": 5, "config": {"seed": 0, "without": ""}}
    (tmp_path / "dataset.json").write_text(json.dumps(made))
    assert data_version(tmp_path) == "rendered by flipdetect.synth, version 5 (seed 0)"
    (tmp_path / "dataset.json").write_text("[1, 2]")
    assert data_version(tmp_path) == ""


def test_each_model_and_set_has_a_folder(tmp_path: Path) -> None:
    pair = ("logs/tiny_cnn/version_0/best.ckpt", "data/books")
    assert _folders(tmp_path, [pair], "test") == [tmp_path]
    found = _folders(tmp_path, [pair, ("mobilenet_v2", "data/books"), pair], "test")
    assert [path.name for path in found] == [
        "tiny_cnn-version_0-books-test-side", "mobilenet_v2-books-test-side", "tiny_cnn-version_0-books-test-side-3",
    ]  # fmt: skip
