from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from flipdetect.outputs.plots.canvas import figure_to_array, shorten
from flipdetect.outputs.plots.curves import (
    plot_confusion,
    plot_pr_curve,
    plot_reliability,
    plot_roc_curve,
    plot_score_histogram,
    plot_threshold_curve,
)
from flipdetect.outputs.plots.frames import (
    Tile,
    plot_batch,
    plot_mistakes,
    plot_tiles,
)
from flipdetect.records import ClassNames
from tests.outputs.made_up import made_up_picture

SCORES = [0.9, 0.8, 0.6, 0.4, 0.3, 0.1]
TARGETS = [1, 0, 1, 1, 0, 0]
EYES = ClassNames(negative="closed", positive="open")


def frames(count: int, height: int = 64, width: int = 36) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def texts(figure: Figure) -> list[str]:
    found: list[Any] = list(figure.texts)
    for axes in figure.axes:
        found += [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label]
        found += [*axes.get_xticklabels(), *axes.get_yticklabels()]
    return [each.get_text() for each in found if each.get_text()]


def nothing_is_cut_off(figure: Figure) -> bool:
    """Whether the outermost pixels are all white: what is cut off touches them."""
    image = figure_to_array(figure)
    return bool(all((edge == 255).all() for edge in (image[0], image[-1], image[:, 0], image[:, -1])))


def test_a_figure_becomes_rgb_pixels() -> None:
    figure = Figure(figsize=(3, 2), dpi=100, facecolor=(1.0, 0.0, 0.0))
    image = figure_to_array(figure)
    assert image.shape == (200, 300, 3)
    assert image.dtype == np.uint8
    assert (image == (255, 0, 0)).all()


def test_the_confusion_plot_shows_counts_shares_and_names() -> None:
    shown = texts(plot_confusion([[1200, 300], [5, 15]], EYES))
    for text in ("1,200", "300", "5", "15", "80.0%", "25.0%", "closed", "open"):
        assert text in shown


def test_the_pr_curve_passes_through_the_marked_threshold() -> None:
    figure = plot_pr_curve(SCORES, TARGETS, 0.35)
    assert "average precision 0.806" in texts(figure)  # (1 + 2/3 + 3/4) / 3
    assert any("precision 0.750" in text and "F1 0.857" in text for text in texts(figure))
    curve = next(line for line in figure.axes[0].lines if line.get_drawstyle().startswith("steps"))
    assert (1.0, 0.75) in {(float(x), float(y)) for x, y in curve.get_xydata()}


@pytest.mark.parametrize(("scores", "targets"), [([], []), ([0.2, 0.4], [0, 0])])
def test_without_positive_frames_the_pr_plot_says_so(scores: list[float], targets: list[int]) -> None:
    assert any("no positive frames" in text for text in texts(plot_pr_curve(scores, targets, 0.5)))


def test_the_worst_mistake_comes_first_and_folder_and_file_have_a_line_each() -> None:
    names = ["x/a.jpg", "b.jpg", "notflip/0501_000000019.jpg"]
    figure = plot_mistakes(frames(3), names, [1, 0, 1], [0.4, 0.95, 0.02], EYES)
    (page,) = figure.axes
    shown = [text.get_text() for text in page.texts]
    verdicts = [text for text in shown if ", p = " in text]
    assert verdicts == ["open, p = 0.02", "closed, p = 0.95", "open, p = 0.40"]
    assert {"notflip", "0501_000000019.jpg", "b.jpg"} <= set(shown)
    assert (page.images[0].get_array() == frames(3)[2]).all()
    assert texts(plot_mistakes([], [], [], [])) == ["no mistakes"]


@pytest.mark.filterwarnings("error")
def test_odd_names_are_drawn_without_warning() -> None:
    names = ["本の動画_0001.jpg", "cost_$5_{and_$6.jpg", "caf\udce9.jpg", "new\nline.jpg", "x" * 300]
    figure = plot_mistakes(frames(5), names, [0] * 5, [0.9, 0.8, 0.7, 0.65, 0.6])
    assert nothing_is_cut_off(figure)
    assert "cost_$5_{and_$6.jpg" in texts(figure)


def test_names_are_shortened_in_the_middle_and_keep_their_number() -> None:
    assert shorten("0001_000000010.jpg", 20) == "0001_000000010.jpg"
    short = shorten("a_very_long_name_of_a_video_000000010.jpg", 20)
    assert len(short) == 20
    assert short.startswith("a_very")
    assert short.endswith("000010.jpg")
    assert shorten("本の動画_0001.jpg", 20) == "…_0001.jpg"


def test_a_batch_may_have_frames_of_several_sizes() -> None:
    images = [*frames(3), *frames(7, height=40, width=80)]
    figure = plot_batch(images, [f"frame {number}" for number in range(10)])
    assert len(figure.axes[0].images) == 10
    assert nothing_is_cut_off(figure)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="shorter"):
        plot_batch(frames(2), ["one"])
    with pytest.raises(ValueError, match="shorter"):
        plot_mistakes(frames(2), ["a", "b"], [0, 0], [0.9])


def test_threads_may_draw_at_once() -> None:
    def draw(_: int) -> bytes:
        return figure_to_array(plot_pr_curve(SCORES, TARGETS, 0.5)).tobytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(draw, range(8)))) == 1


def test_charts_of_scores_mark_the_threshold_and_survive_one_class() -> None:
    shown = texts(plot_roc_curve(SCORES, TARGETS, 0.5, 7 / 9))
    assert "AUROC 0.778" in shown
    assert any("recall 0.667" in text and "false positives 0.333" in text for text in shown)
    assert any("no curve" in text for text in texts(plot_roc_curve([0.5], [1], 0.5, float("nan"))))
    grid = np.linspace(0, 1, 5)
    threshold = plot_threshold_curve(grid, {"F1": grid, "recall": 1 - grid}, 0.5)
    assert [text.get_text() for text in threshold.legends[0].get_texts()] == ["F1", "recall", "threshold 0.500"]
    assert {"true open", "true closed"} <= set(texts(plot_score_histogram(SCORES, TARGETS, 0.5, EYES)))
    assert "expected calibration error 0.200" in texts(plot_reliability([0, 0.5], [0.5, 1], [0.2, 0.8], [0, 1], [3, 3]))


def has_colour(picture: np.ndarray, colour: str) -> bool:
    wanted = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)])
    return bool((np.abs(picture.astype(int) - wanted).sum(axis=-1) < 8).sum() > 100)


def test_pictures_of_different_shapes_keep_theirs_side_by_side() -> None:
    pictures = [made_up_picture((0, 0, 0)), made_up_picture((90, 90, 90), 40, 90), made_up_picture((9, 9, 9), 90, 40)]
    figure = plot_tiles([Tile([picture], [[("a", "#000000")]]) for picture in pictures], empty="none")
    for drawn, picture in zip(figure.axes[0].images, pictures, strict=True):
        left, right, bottom, top = drawn.get_extent()
        assert (top - bottom) / (right - left) == pytest.approx(picture.shape[0] / picture.shape[1])


def test_tiles_of_any_shape_and_name_are_drawn_with_their_border() -> None:
    pictures = made_up_picture((0, 0, 0)), made_up_picture((200, 200, 200), 40, 90)
    captions = [[("a" * 90, "#000000"), ("$x$", "#000000")], [("名前.jpg", "#000000")]]
    odd = Tile(pictures, captions, ("copy " * 30, "#D55E00"), "#D55E00")
    few = figure_to_array(plot_tiles([odd], "$ pairs", empty="none"))
    many = figure_to_array(plot_tiles([odd] * 9, "pairs", empty="none"))
    assert has_colour(few, "#D55E00")
    assert many.shape[0] > 1.5 * few.shape[0]
    assert figure_to_array(plot_tiles([], "no pairs", empty="none")).std() > 0
