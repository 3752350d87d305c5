"""Metrics on labelled frames equal those computed by hand from the same scores."""

from pathlib import Path

import pytest

from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import evaluate_folder, read_evaluation, write_predictions
from flipdetect.inference.torch_model import load_torch_model
from tests.evaluation.made_up import evaluation, record
from tests.frame_sets import make_monreader_set


def test_figures_follow_from_the_scores(trained: Path, tmp_path: Path) -> None:
    root = make_monreader_set(tmp_path, videos=3, frames=2)
    (root / "flip" / "0001_000000010.jpg").write_bytes(b"")
    result = evaluate_folder(load_torch_model(trained, "cpu"), root)
    assert len(result.scored) == 11
    assert len(result.failed) == 1
    called = [(pair.score.label == "flip", pair.record.label == "flip") for pair in result.scored]
    hits = sum(a and b for a, b in called)
    f1 = 2 * hits / max(1, sum(a for a, _ in called) + sum(b for _, b in called))
    assert result.metrics["f1"] == pytest.approx(f1)
    table = result.video_table()
    assert "notflip/0003" in table
    assert len(table.splitlines()) == 2 + 6


def test_a_threshold_of_ones_own_is_used(trained: Path, monreader_set: Path) -> None:
    result = evaluate_folder(load_torch_model(trained, "cpu"), monreader_set, threshold=0.0)
    assert result.metrics["recall"] == 1.0
    assert result.metrics["precision"] == 0.5


def test_a_set_without_readable_frames_is_an_error(trained: Path, tmp_path: Path) -> None:
    root = make_monreader_set(tmp_path, videos=1, frames=1)
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="none of the 2 frames"):
        evaluate_folder(load_torch_model(trained, "cpu"), root)


def test_columns_of_the_manifest_reach_the_records(trained: Path, tmp_path: Path) -> None:
    root = make_monreader_set(tmp_path, videos=1, frames=1)
    rows = ["path,label,Phase,note", "flip/0001_000000010.jpg,flip,0.25,x", "notflip/0001_000000010.jpg,notflip,nan,"]
    (root / "labels.csv").write_text("\n".join(rows))
    result = evaluate_folder(load_torch_model(trained, "cpu"), root)
    assert [dict(pair.record.extra) for pair in result.scored] == [
        {"phase": "0.25", "note": "x"}, {"phase": "nan", "note": ""},
    ]  # fmt: skip


def test_saved_predictions_are_evaluated_without_model_and_frames(tmp_path: Path) -> None:
    records = [record("flip/a.jpg", "flip", "A", lens="x"), record("b.jpg", "notflip", "B", lens="y", path="clash")]
    own = evaluation(records, [0.7, 0.6], 0.65)
    write_predictions(tmp_path / "p.csv", [("model", "set", own)])
    read = read_evaluation(tmp_path / "p.csv", 0.65)
    assert read.metrics == own.metrics
    assert [(r.video, r.source, dict(r.extra)) for r in read.index.records] == [
        ("flip/a.jpg", "A", {"lens": "x"}), ("b.jpg", "B", {"lens": "y"}),
    ]  # fmt: skip
    assert read_evaluation(tmp_path / "p.csv", 0.5).metrics["precision"] == 0.5
    write_predictions(tmp_path / "p.csv", [("model", "set", own), ("other", "set", own)])
    with pytest.raises(DataError, match="more than one model"):
        read_evaluation(tmp_path / "p.csv", 0.5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,probability\na.jpg,0.5\n", "no column truth"),
        ("path,probability,truth\n", "no row"),
        ("path,probability,truth\na.jpg,0.5,maybe\n", "'maybe' of a.jpg"),
        ("path,probability,truth\na.jpg,1.5,flip\n", "line 2"),
    ],
)
def test_unusable_predictions_are_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_evaluation(tmp_path / "p.csv", 0.5)
