"""A spot check draws fairly; the worst mistakes are both kinds, the most confident first."""

from pathlib import Path

import numpy as np

from flipdetect.data.index import index_frames
from flipdetect.evaluation.evaluate import evaluate_scores
from flipdetect.evaluation.spot_check import (
    choose_frames,
    examples,
    plot_worst_mistakes,
    spot_table,
    worst_mistakes,
)
from flipdetect.outputs.plots.canvas import figure_to_array
from flipdetect.records import FrameRecord, FrameScore
from tests.data.test_grouped_splits import clip
from tests.evaluation.made_up import CLASSES, evaluation, record
from tests.frame_sets import make_monreader_set

RECORDS = [*clip("flip", "1", 4), *clip("notflip", "1", 20), *clip("notflip", "2", 20)]
FLIPS = [record(f"flip/{i}.jpg", "flip") for i in range(4)]
REST = [record(f"notflip/{i}.jpg", "notflip") for i in range(4)]


def labels(chosen: tuple[FrameRecord, ...]) -> list[str]:
    return [record.label for record in chosen]


def names(found: object) -> list[str]:
    return [pair.score.path for pair in found]  # type: ignore[attr-defined]


def test_half_of_either_class_as_far_as_there_are_enough() -> None:
    assert labels(choose_frames(RECORDS, 6, CLASSES)) == ["flip"] * 3 + ["notflip"] * 3
    assert labels(choose_frames(RECORDS, 20, CLASSES)) == ["flip"] * 4 + ["notflip"] * 16
    assert len(choose_frames(RECORDS, 100, CLASSES)) == 44
    assert labels(choose_frames(RECORDS[:4], 3, CLASSES)) == ["flip"] * 3
    assert labels(choose_frames(RECORDS, 1, CLASSES)) == ["flip"]


def test_a_seed_draws_the_same_frames_in_any_order() -> None:
    first = choose_frames(RECORDS, 10, CLASSES, seed=1)
    assert choose_frames(RECORDS[::-1], 10, CLASSES, seed=1) == first
    assert choose_frames(RECORDS, 10, CLASSES, seed=2) != first


def test_table_and_summary() -> None:
    index = evaluation([*FLIPS[:2], *REST[:1]], [0.9, 0.2, 0.1]).index
    scores = [
        FrameScore("flip/0.jpg", "1", None, 0.9, "flip"), FrameScore("flip/1.jpg", "1", None, 0.2, "notflip"),
        FrameScore("notflip/0.jpg", "1", error="the file is empty"),
    ]  # fmt: skip
    lines = spot_table(evaluate_scores(index, scores, 0.5, CLASSES)).splitlines()
    assert lines[2].split() == ["flip/0.jpg", "flip", "flip", "0.900", "correct"]
    assert lines[3].split() == ["flip/1.jpg", "flip", "notflip", "0.200", "WRONG"]
    assert lines[4].split()[-4:] == ["the", "file", "is", "empty"]
    assert lines[-1] == "1 of 2 flip and 0 of 1 notflip classified correctly at threshold 0.500"


def test_both_kinds_of_mistake_come_the_most_confident_first() -> None:
    found = evaluation([*FLIPS, *REST], [0.9, 0.4, 0.1, 0.3, 0.2, 0.95, 0.6, 0.99])
    ordered = ["notflip/3.jpg", "notflip/1.jpg", "flip/2.jpg", "flip/3.jpg", "flip/1.jpg", "notflip/2.jpg"]
    assert names(worst_mistakes(found)) == ordered
    assert names(worst_mistakes(found, 2)) == ["notflip/3.jpg", "flip/2.jpg"]
    assert names(worst_mistakes(found, 5)) == ordered[:5]
    few = evaluation([*FLIPS, *REST], [0.9, 0.9, 0.9, 0.1, 0.6, 0.7, 0.8, 0.9])
    assert names(worst_mistakes(few, 4)) == ["flip/3.jpg", "notflip/3.jpg", "notflip/2.jpg", "notflip/1.jpg"]
    assert names(worst_mistakes(evaluation(FLIPS, [0.4, 0.2, 0.3, 0.31], threshold=0.3))) == ["flip/1.jpg"]


def test_mistakes_of_one_video_are_limited() -> None:
    records = [FrameRecord(Path(f"set/{i}.jpg"), "flip", "a" if i < 3 else "b") for i in range(4)]
    found = evaluation(records, [0.1, 0.2, 0.3, 0.4])
    assert names(worst_mistakes(found, 2, per_video=1)) == ["0.jpg", "3.jpg"]
    assert len(worst_mistakes(found, 4, per_video=1)) == 4


def test_the_sheet_names_planted_failures(tmp_path: Path) -> None:
    index = index_frames(make_monreader_set(tmp_path, videos=3, frames=1), classes=CLASSES)
    planted = {"flip/0002_000000010.jpg": 0.02, "notflip/0003_000000010.jpg": 0.97}
    scores = []
    for each in index.records:
        path = each.path.relative_to(index.root).as_posix()
        p = planted.get(path, 0.9 if each.label == "flip" else 0.1)
        scores.append(FrameScore(path, each.video, None, p, CLASSES.names[int(p >= 0.5)]))
    figure = plot_worst_mistakes(evaluate_scores(index, scores, 0.5, CLASSES))
    written = [text.get_text() for text in figure.axes[0].texts]
    assert {"0002_000000010.jpg", "flip, p = 0.02", "0003_000000010.jpg", "notflip, p = 0.97"} <= set(written)
    assert len(written) == 6
    assert np.ptp(figure_to_array(figure)) > 200
    faultless = plot_worst_mistakes(evaluation([FLIPS[0], REST[0]], [0.9, 0.1]))
    assert [text.get_text() for text in faultless.texts] == ["no mistakes"]


def test_examples_are_of_each_kind_and_of_different_videos() -> None:
    records = [record(f"{i}.jpg", "flip" if i < 6 else "notflip") for i in range(12)]
    chosen = examples(evaluation(records, [0.9, 0.8, 0.7, 0.2, 0.1, 0.3, 0.1, 0.2, 0.3, 0.6, 0.9, 0.8]), 2)
    kinds = [kind for kind, _ in chosen]
    assert kinds == [
        kind for kind in ("true positive", "false negative", "false positive", "true negative") for _ in "12"
    ]
    assert [pair.score.path for kind, pair in chosen if kind == "false negative"] == ["4.jpg", "3.jpg"]
    assert [pair.score.path for kind, pair in chosen if kind == "false positive"] == ["10.jpg", "11.jpg"]
