"""Figures as SVG: text stays text, colours are the page's, ids are unique, equal figures are equal."""

import re

import numpy as np
from matplotlib.figure import Figure

from flipdetect.outputs.plots import figure_to_array, plot_pr_curve
from flipdetect.outputs.plots.judgement import (
    plot_reliability,
    plot_roc_curve,
    plot_score_histogram,
    plot_threshold_curve,
)
from flipdetect.outputs.plots.small_multiples import StrengthCurve, VideoLine, plot_ranked, plot_strengths, plot_videos
from flipdetect.outputs.plots.svg import figure_to_svg

P = np.array([0.1, 0.3, 0.6, 0.9])
T = np.array([0, 1, 0, 1])


def test_an_svg_belongs_into_a_page() -> None:
    text = figure_to_svg(plot_pr_curve(P, T, 0.5), "pr", 'a "chart" <of> & more')
    assert text.startswith('<svg class="plot" viewBox=')
    assert 'aria-label="a &quot;chart&quot; &lt;of> &amp; more"' in text
    assert ">recall</text>" in text
    assert "xmlns" not in text
    assert "http" not in text
    assert "<style" not in text
    assert "var(--card, #ffffff)" in text
    assert "#ffffff" not in text.replace("var(--card, #ffffff)", "")
    assert set(re.findall(r' id="([^"]+)"', text)) == set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))


def test_equal_figures_are_equal_and_ids_are_the_names_own() -> None:
    first, again, other = (figure_to_svg(plot_pr_curve(P, T, 0.5), name) for name in ("a", "a", "b"))
    assert first == again
    ids = [set(re.findall(r' id="([^"]+)"', text)) for text in (first, other)]
    assert not ids[0] & ids[1]


def drawn(figure: Figure) -> float:
    """Share of pixels that are not white."""
    return float((figure_to_array(figure) < 250).any(axis=2).mean())


def test_charts_are_drawn_also_of_one_class() -> None:
    for targets in (T, np.zeros(4, np.int64)):
        assert drawn(plot_roc_curve(P, targets, 0.5, 0.75)) > 0.005
        assert drawn(plot_score_histogram(P, targets, 0.5)) > 0.02
    grid = np.linspace(0, 1, 11)
    curves = {"F1": grid, "precision": np.append(grid[:-1], np.nan), "recall": 1 - grid}
    assert drawn(plot_threshold_curve(grid, curves, 0.5, 0.7)) > 0.01
    edges = np.array([0.0, 0.5, 1.0])
    figure = plot_reliability(edges[:-1], edges[1:], np.array([0.2, 0.8]), np.array([0.1, 0.9]), np.array([3, 1]))
    assert "expected calibration error 0.100" in figure_to_svg(figure, "x")


def test_sheets_of_small_charts() -> None:
    line = VideoLine("a $b$_c", np.array([1, 2, 5]), np.array([0.1, 0.9, 0.8]), np.array([0, 1, 0]))
    text = figure_to_svg(plot_videos([line] * 5, 0.5), "v")
    assert text.count("a $b$_c: 2 of 3 right") == 5
    values = np.array([[0.5, np.nan, np.nan], [0.8, 0.7, 0.9], [0.6, 0.5, 0.7]])
    curve = StrengthCurve("Brightness", "factor", np.array([0.5, 1.0, 1.5]), 1.0, {"F1": values, "AUROC": values})
    text = figure_to_svg(plot_strengths([curve, curve]), "s")
    assert text.count(">Brightness</text>") == 2
    assert ">0.5</text>" in text
    assert drawn(plot_ranked(np.array([0.2, 1.0, 0.5]), np.array([3, 3, 3]), "books")) > 0.02
