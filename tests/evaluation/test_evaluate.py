"""Metrics on labelled frames equal those computed by hand from the same scores."""

from pathlib import Path

import pytest

from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import evaluate_folder
from flipdetect.inference.torch_model import load_torch_model
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
