"""The sheet shows planted failures, both kinds, the most confident first."""

from pathlib import Path

import numpy as np
import pytest

from flipdetect.data.index import index_frames
from flipdetect.evaluation.evaluate import judge
from flipdetect.evaluation.mistakes import plot_failures, worst_mistakes
from flipdetect.outputs.plots import figure_to_array
from flipdetect.records import FrameScore
from tests.evaluation.made_up import CLASSES, evaluation, record
from tests.frame_sets import make_monreader_set

FLIPS = [record(f"flip/{i}.jpg", "flip") for i in range(4)]
REST = [record(f"notflip/{i}.jpg", "notflip") for i in range(4)]


def names(found: object) -> list[str]:
    return [pair.score.path for pair in found]  # type: ignore[attr-defined]


def test_both_kinds_of_mistake_come_the_most_confident_first() -> None:
    judged = evaluation([*FLIPS, *REST], [0.9, 0.4, 0.1, 0.3, 0.2, 0.95, 0.6, 0.99])
    assert names(worst_mistakes(judged)) == [
        "notflip/3.jpg", "notflip/1.jpg", "flip/2.jpg", "flip/3.jpg", "flip/1.jpg", "notflip/2.jpg",
    ]  # fmt: skip
    assert names(worst_mistakes(judged, 2)) == ["notflip/3.jpg", "flip/2.jpg"]
    assert names(worst_mistakes(judged, 5)) == [
        "notflip/3.jpg", "notflip/1.jpg", "flip/2.jpg", "flip/3.jpg", "flip/1.jpg",
    ]  # fmt: skip


def test_where_one_kind_has_few_the_other_fills_up() -> None:
    judged = evaluation([*FLIPS, *REST], [0.9, 0.9, 0.9, 0.1, 0.6, 0.7, 0.8, 0.9])
    assert names(worst_mistakes(judged, 4)) == ["flip/3.jpg", "notflip/3.jpg", "notflip/2.jpg", "notflip/1.jpg"]


def test_the_threshold_says_what_is_a_mistake() -> None:
    assert names(worst_mistakes(evaluation(FLIPS, [0.4, 0.2, 0.3, 0.31], threshold=0.3))) == ["flip/1.jpg"]


def test_the_sheet_names_planted_failures(tmp_path: Path) -> None:
    index = index_frames(make_monreader_set(tmp_path, videos=3, frames=1), classes=CLASSES)
    planted = {"flip/0002_000000010.jpg": 0.02, "notflip/0003_000000010.jpg": 0.97}
    scores = []
    for each in index.records:
        path = each.path.relative_to(index.root).as_posix()
        probability = planted.get(path, 0.9 if each.label == "flip" else 0.1)
        scores.append(FrameScore(path, each.video, None, probability, CLASSES.names[int(probability >= 0.5)]))
    figure = plot_failures(judge(index, scores, 0.5, CLASSES))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "flip\n0002_000000010.jpg\nflip, p = 0.02",
        "notflip\n0003_000000010.jpg\nnotflip, p = 0.97",
    ]
    picture = figure_to_array(figure)
    assert np.ptp(picture) > 200


@pytest.mark.parametrize("count", [1, 24])
def test_a_faultless_model_has_an_empty_sheet(count: int) -> None:
    figure = plot_failures(evaluation([FLIPS[0], REST[0]], [0.9, 0.1]), count)
    assert [text.get_text() for text in figure.texts] == ["no mistakes"]
