"""The timeline shows what was found, at any length, and cuts nothing off."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from flipdetect.outputs.plots.thumbnails import GAP, spread
from flipdetect.outputs.plots.timeline import draw_timeline, plot_timeline, probability_curve
from flipdetect.outputs.tables import clock
from flipdetect.records import FrameScore
from tests.outputs.made_up import made_up_picture, made_up_result, made_up_scores
from tests.outputs.test_plots import nothing_is_cut_off, texts

RESULT = made_up_result()
SCORED = replace(RESULT, scores=tuple(made_up_scores(RESULT)))
GREEN = (20, 160, 60)


def near(image: NDArray[np.uint8], colour: tuple[int, int, int], tolerance: int = 12) -> int:
    """Pixels of about that colour."""
    return int((np.abs(image.astype(int) - colour).max(axis=2) <= tolerance).sum())


def test_shades_curve_pictures_and_flaws_are_there() -> None:
    pictures = {spread: made_up_picture(GREEN) for spread in (1, 2, 4)}
    with Image.open(io.BytesIO(draw_timeline(SCORED, pictures))) as file:
        assert file.format == "PNG"
        assert file.width == 2100
        image = np.asarray(file.convert("RGB"))
    assert near(image, (242, 206, 179)) > 500  # the shade of a turn on white
    assert near(image, (0, 114, 178)) > 1000  # the curve
    assert near(image, GREEN) > 100_000  # three thumbnails
    assert near(image, (160, 28, 107)) > 1000  # the flawed one's frame
    shown = texts(plot_timeline(SCORED, pictures))
    for text in ("book", "1", "2", "3", "4", "!", "0:07.5", "same as 1", "no picture", "threshold 0.50", "0:20"):
        assert text in shown
    assert any("3 turns" in text and "1 flawed" in text for text in shown)


@pytest.mark.parametrize(
    ("turns", "seconds", "pictures"),
    [(0, 3.0, True), (0, 3.0, False), (1, 4.0, True), (12, 60.0, True), (70, 7200.0, True), (70, 7200.0, False)],
)
def test_any_length_is_legible_and_whole(turns: int, seconds: float, pictures: bool) -> None:
    result = made_up_result("a$b_{x 本" * 5, turns, seconds, problems=("lost",) * 5, complete=False)
    thumbnails = {number: made_up_picture(GREEN, 160, 90) for number in range(1, turns + 2)} if pictures else None
    figure = plot_timeline(replace(result, scores=tuple(made_up_scores(result, 2.0))), thumbnails)
    assert nothing_is_cut_off(figure)
    shown = texts(figure)
    assert {str(number) for number in range(1, turns + 1)} <= set(shown)
    if pictures:
        times = [clock(still.time_s or 0.0, 1) for still in result.stills]
        assert set(times) <= set(shown)
    assert "! and 3 more problems" in shown
    assert figure.get_figheight() < 40


def test_uneven_turns_still_fit() -> None:
    result = made_up_result(turns=50, seconds=40.0)
    late = replace(result.stills[-1], time_s=3000.0)
    figure = plot_timeline(
        replace(result, stills=(*result.stills[:-1], late)),
        {number: made_up_picture(GREEN) for number in range(1, 52)},
    )
    assert nothing_is_cut_off(figure)


def test_hundreds_of_spreads_stay_in_bounds() -> None:
    result = made_up_result(turns=600, seconds=3600.0)
    pictures = {number: made_up_picture(GREEN) for number in range(1, 602)}
    figure = plot_timeline(result, pictures)
    assert 30 < figure.get_figheight() < 95
    page = figure.axes[0]
    assert sum(line.get_marker() == "v" for line in page.lines) == 601
    assert 250 < len(page.images) < 601


def test_without_scores_and_threshold_it_says_so() -> None:
    nothing = replace(RESULT, events=(), stills=(), threshold=None, duration_s=0.0)
    shown = texts(plot_timeline(nothing))
    assert "no frame was scored here" in shown
    assert not any("threshold" in text for text in shown)


def test_pictures_stand_near_their_times_and_do_not_overlap() -> None:
    places = [1.0, 1.1, 1.2, 6.0]
    shown, centres = spread(places, [1.0] * 4, 0.0, 10.0)
    assert shown == [0, 1, 2, 3]
    assert all(b - a >= 1.0 + GAP - 1e-9 for a, b in pairwise(centres))
    assert centres[3] == 6.0
    assert centres[0] == pytest.approx(0.5)
    shown, centres = spread([5.0] * 30, [1.0] * 30, 0.0, 10.0)
    assert shown[0] == 0
    assert shown[-1] == 29
    assert len(shown) == 9
    assert centres[0] >= 0.5
    assert centres[-1] <= 9.5


def test_scores_without_times_are_spread_over_the_video() -> None:
    scores = [FrameScore("x", "v", number, 0.5, "flip") for number in range(11)]
    times, values = probability_curve(replace(RESULT, scores=(*scores, FrameScore("y", "v", error="bad"))))
    assert times[-1] == 20.0
    assert np.isnan(values[-1])
    timed = FrameScore("x", "v", 1, 0.5, "flip", "", 3.0), FrameScore("x", "v", 0, 0.1, "notflip", "", 1.0), scores[0]
    assert probability_curve(replace(RESULT, scores=timed))[0].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [(0, 0, "0:00"), (59.96, 1, "1:00.0"), (725.254, 2, "12:05.25"), (3723, 0, "1:02:03"), (-1.5, 1, "-0:01.5"),
     (-0.01, 0, "0:00")],
)  # fmt: skip
def test_clock(seconds: float, decimals: int, text: str) -> None:
    assert clock(seconds, decimals) == text
