"""What a report is made of survives writing and reading; what is damaged is named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flipdetect.errors import DataError
from flipdetect.evaluation.report.saved import (
    JUDGED,
    PREDICTIONS,
    PicturedFrame,
    read_judged,
    read_pictured,
    read_scored,
    write_judged,
    write_pictured,
    write_scored,
)
from flipdetect.records import ClassNames
from tests.evaluation.report.made_up import made_up_judged, made_up_scores, save


def test_scores_survive(tmp_path: Path) -> None:
    scored = made_up_scores(4)
    failed = replace(
        scored, probabilities=np.append(scored.probabilities[:-1], np.nan), errors=(*scored.errors[:-1], "cut short")
    )
    write_scored(tmp_path / PREDICTIONS, failed, made_up_judged())
    read = read_scored(tmp_path / PREDICTIONS, ClassNames())
    assert (read.paths, read.videos, read.frames, read.sources) == (
        failed.paths, failed.videos, failed.frames, failed.sources,
    )  # fmt: skip
    assert read.columns == failed.columns
    np.testing.assert_allclose(read.probabilities, failed.probabilities, atol=1e-6)
    assert len(read.readable()) == len(failed) - 1
    assert read.unreadable() == ((failed.paths[-1], "cut short"),)


def test_what_was_judged_survives(tmp_path: Path) -> None:
    judged = made_up_judged(
        clip_thresholds={"mean": (0.4, "validation")}, slices=("behaviour",), classes=ClassNames("open", "closed")
    )
    write_judged(tmp_path, judged)
    assert read_judged(tmp_path) == judged


def test_a_table_of_three_columns_is_enough(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("path,truth,probability\na.jpg,flip,0.9\nb.jpg,notflip,\n")
    scored = read_scored(tmp_path / "bare.csv", ClassNames())
    assert scored.videos == ("a.jpg", "b.jpg")
    assert np.isnan(scored.probabilities[1])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("path,truth\na,flip\n", "no column 'probability'"),
        ("path,truth,probability\n", "has no row"),
        ("path,truth,probability\na,flip,0.5\nb,maybe,0.5\n", "label 'maybe'"),
        ("path,truth,probability\na,flip,1.5\n", r"line 2: probability '1.5'"),
        ("path,truth,probability\na,flip,nan\n", "nan"),
        ("path,truth,probability\na,flip,much\n", "could not convert"),
        ("path,truth,probability\na,flip\n", "expected 3 columns"),
        ("path,truth,probability\na,flip,0.5,more\n", "expected 3 columns"),
        ("model,path,truth,probability\nx,a,flip,0.5\ny,a,flip,0.5\n", "several models"),
    ],
)
def test_damaged_tables_are_named(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / PREDICTIONS).write_text(text)
    with pytest.raises(DataError, match=complaint):
        read_scored(tmp_path / PREDICTIONS, ClassNames())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"version": 9}, "another version"),
        ({"threshold": 1.2}, r"not in \[0, 1\]"),
        ({"surprise": 1}, "unknown entries surprise"),
        ({"classes": {"negative": "a", "positive": "a"}}, "two different"),
        ({"clip_thresholds": {"mean": 3}}, "cannot be understood"),
    ],
)
def test_damaged_descriptions_are_named(tmp_path: Path, change: dict[str, object], complaint: str) -> None:
    save(tmp_path, made_up_scores(4))
    facts = json.loads((tmp_path / JUDGED).read_text())
    (tmp_path / JUDGED).write_text(json.dumps({**facts, **change}))
    with pytest.raises(DataError, match=complaint):
        read_judged(tmp_path)


def test_absent_files_say_what_writes_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"evaluate\.py --report"):
        read_judged(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_scored(tmp_path / PREDICTIONS, ClassNames())
    assert read_pictured(tmp_path) == []
    (tmp_path / JUDGED).write_text("{")
    with pytest.raises(DataError, match="no JSON"):
        read_judged(tmp_path)


def test_pictures_outside_the_folder_are_refused(tmp_path: Path) -> None:
    write_pictured(tmp_path, [PicturedFrame("mistake", "a", "flip", 0.1, "../../secret.jpg")])
    with pytest.raises(DataError, match="leads out"):
        read_pictured(tmp_path)
