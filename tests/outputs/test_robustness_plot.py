"""The chart of robustness says what it shows and cuts nothing off."""

import math

import numpy as np
import pytest

from flipdetect.outputs.plots import plot_robustness
from tests.outputs.test_plots import nothing_is_cut_off, texts

NAMES = ["clean", "rotated 180 degrees", "grey", "black"]


def test_values_changes_and_title_are_there() -> None:
    figure = plot_robustness(NAMES, [0.8, 0.75, 0.9, 0.1], [0.9, 0.9, math.nan, 0.5], "tiny_cnn on my_set (12 frames)")
    shown = texts(figure)
    for text in (*NAMES, "tiny_cnn on my_set (12 frames)", "0.800", "0.750  -0.050", "0.900  +0.100", "not defined"):
        assert text in shown
    assert nothing_is_cut_off(figure)


def test_a_long_chart_is_longer() -> None:
    heights = [
        plot_robustness([f"n{i}" for i in range(n)], np.ones(n), np.ones(n), "t").get_figheight() for n in (3, 30)
    ]
    assert heights[1] > heights[0] + 5


def test_one_value_per_name_is_needed() -> None:
    with pytest.raises(ValueError, match="4 conditions"):
        plot_robustness(NAMES, [0.1], [0.1], "t")
    with pytest.raises(ValueError, match="0 conditions"):
        plot_robustness([], [], [], "t")
