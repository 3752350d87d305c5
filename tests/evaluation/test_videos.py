"""Decisions about clips with their threshold, and found page turns against known ones."""

import json
from pathlib import Path

import pytest

from flipdetect.data.index import FrameIndex
from flipdetect.errors import DataError
from flipdetect.evaluation.evaluate import Evaluation, evaluate_scores
from flipdetect.evaluation.videos import (
    POOLED,
    clip_table,
    evaluate_clips,
    evaluate_turns,
    read_turns,
    turn_table,
)
from flipdetect.records import ClassNames, FrameRecord, FrameScore

CLASSES = ClassNames()
TARGETS = (0, 1, 1, 1, 0, 0)


def scored(*probabilities: float | None, threshold: float = 0.5) -> Evaluation:
    """Three clips of two frames; the first two contain a flip, the first only in its second frame."""
    paths = [Path(f"/set/{number}.jpg") for number in range(6)]
    records = tuple(
        FrameRecord(path, CLASSES.names[target], video, number)
        for number, (path, target, video) in enumerate(zip(paths, TARGETS, "aabbcc", strict=True))
    )
    scores = [
        FrameScore(path.name, record.video, record.frame, p, None if p is None else CLASSES.names[p >= threshold])
        for path, record, p in zip(paths, records, probabilities, strict=True)
    ]
    return evaluate_scores(FrameIndex(records, (), Path("/set")), scores, threshold, CLASSES)


SURE = (0.1, 0.9, 0.6, 0.8, 0.2, 0.3)


def test_the_threshold_for_clips_is_chosen_on_validation() -> None:
    row = evaluate_clips(scored(*SURE), scored(0.3, 0.5, 0.5, 0.5, 0.2, 0.4))
    assert (row.threshold, row.origin) == (pytest.approx((0.4 + 0.5) / 2), "validation")
    assert row.matrix.tolist() == [[1, 0], [0, 2]]
    assert json.loads(json.dumps(row.as_dict()))["confusion"] == [[1, 0], [0, 2]]
    assert "F1 of frames" in clip_table([("net", "set", row)])


def test_without_validation_the_threshold_for_frames_is_used() -> None:
    row = evaluate_clips(scored(*SURE, threshold=0.25))
    assert (row.threshold, row.origin, row.matrix[0, 1]) == (0.25, "frames", 1)


def test_clips_without_a_readable_frame_are_left_out() -> None:
    row = evaluate_clips(scored(None, None, *SURE[2:]))
    assert row.matrix.sum() == 2
    assert row.metrics["f1"] == 1.0


def test_a_validation_split_without_a_flip_is_refused() -> None:
    with pytest.raises(DataError, match="validation split"):
        evaluate_clips(scored(*SURE), scored(None, None, None, None, 0.1, 0.2))


FOUND = "video,event,start_s,peak_s,end_s\na,1,1.0,1.5,2.0\na,2,5.0,5.5,6.0\n"
TRUE = "number,start_s,peak_s,end_s\n2,9.0,9.5,10.0\n1,1.1,1.5,2.6\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "book").mkdir()
    paths = tmp_path / "flips.csv", tmp_path / "book" / "events.csv"
    for path, text in zip(paths, (FOUND, TRUE), strict=True):
        path.write_text(text)
    return paths


def test_turns_are_matched_within_the_tolerance(files: tuple[Path, Path]) -> None:
    assert [turn.start_s for turn in read_turns(files[1])] == [1.1, 9.0]
    one, again, all_of_them = evaluate_turns([files, files])
    assert (one.name, one.metrics.matched, one.metrics.f1, one.strict.f1) == ("book", 1, 0.5, 0.0)
    assert again == one
    assert (all_of_them.name, all_of_them.metrics.found, all_of_them.metrics.f1) == (POOLED, 4, 0.5)
    assert evaluate_turns([files], tolerance_s=1.0)[0].strict.f1 == 0.5
    assert len(turn_table([one, all_of_them]).splitlines()) == 4
    assert one.as_dict()["absolute_end_error_s"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video,start_s,peak_s,end_s\na,1,1,1\nb,2,2,2\n", "several videos"),
        ("start_s,peak_s\n1,1\n", "no column end_s"),
        ("start_s,peak_s,end_s\n1,x,2\n", "line 2"),
    ],
)
def test_unusable_files_are_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "flips.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_turns(tmp_path / "flips.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_turns(tmp_path / "absent.csv")
