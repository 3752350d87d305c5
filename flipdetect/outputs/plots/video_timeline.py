"""A video as strips of time: probability, turns, and the chosen frames above them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from flipdetect.outputs.plots.canvas import FAINT, INK, POSITIVE_COLOUR, SERIES_COLOURS, clean, shorten
from flipdetect.outputs.plots.probability_curve import Curve, decimated, time_range
from flipdetect.outputs.plots.thumbnails import CAPTION, Thumbnails, flaw_colour, spread
from flipdetect.outputs.text import clock
from flipdetect.records import Still, VideoResult

# Inches.
WIDTH = 14.0
LEFT, RIGHT = 0.55, 0.35
CHART = 1.0
NUMBERS = 0.2  # the turns' numbers, above a chart
LEADERS, MARKER_LEADERS = 0.3, 0.1  # from a thumbnail, or a number, to its time
AXIS = 0.34  # the times below a chart
ROW_GAP = 0.16
HEADER, PROBLEM_LINE, MARGIN = 0.85, 0.2, 0.12
DPI = 150

MOST_ROWS = 30
SPREADS_WITHOUT_PICTURES = 32  # in a row
MARKER = 0.24  # inches of a number that stands for a picture
POINTS = 2400  # of the curve in a row: more than it has pixels
TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
TICKS = 14
CURVE_COLOUR = SERIES_COLOURS[0]
SHADE = 0.3  # opacity of a turn
NARROWEST_SHADE = 0.005  # of a row


@dataclass(frozen=True)
class _Row:
    start: float
    end: float
    stills: tuple[Still, ...]

    def x(self, time: float) -> float:
        """Inches from the left."""
        return LEFT + (time - self.start) / (self.end - self.start) * (WIDTH - LEFT - RIGHT)

    def has(self, time: float, *, last: bool) -> bool:
        return self.start <= time < self.end or (last and time == self.end)


def plot_timeline(
    result: VideoResult, curve: Curve, thumbnails: Mapping[int, NDArray[np.uint8]] | None = None
) -> Figure:
    """Probability over time in as many rows as the spreads need, turns shaded and numbered, stills above.

    Args:
        result: turns, stills, threshold and problems of one video.
        curve: times in seconds and probabilities, (N,) each, ascending in time, NaN where there is no score.
        thumbnails: spread -> (H, W, 3) uint8 RGB; without any, spreads are marked by their numbers. Where hundreds
            do not fit, an even choice is shown, and the others have a triangle at their time.
    """
    spreads = {still.spread for still in result.stills if still.time_s is not None}
    pictures = Thumbnails({number: each for number, each in (thumbnails or {}).items() if number in spreads})
    capacity = pictures.capacity(WIDTH - LEFT - RIGHT) if pictures else SPREADS_WITHOUT_PICTURES
    rows = _rows(result, curve, capacity)
    said = [*([] if result.complete else ["not read to its end"]), *result.problems]
    problems = [f"! {shorten(problem, 150)}" for problem in said[:3]]
    problems += [f"! and {len(said) - 3} more problems"] if len(said) > 3 else []
    heights = [_row_height(row, pictures) for row in rows]
    total = HEADER + PROBLEM_LINE * len(problems) + sum(heights) + ROW_GAP * (len(rows) - 1) + MARGIN
    figure = Figure(figsize=(WIDTH, total), dpi=DPI, facecolor="white")
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, WIDTH), ylim=(0, total))
    page.set_axis_off()
    _header(page, total, result, problems, rows)
    top = total - HEADER - PROBLEM_LINE * len(problems)
    for row, height in zip(rows, heights, strict=True):
        _draw_row(figure, page, row, top, height, result, curve, pictures, last=row is rows[-1])
        top -= height + ROW_GAP
    return figure


def _rows(result: VideoResult, curve: Curve, capacity: int) -> list[_Row]:
    """The fewest rows of one length in which no row has more spreads than fit."""
    stills = [still for still in result.stills if still.time_s is not None]
    times = [float(still.time_s) for still in stills if still.time_s is not None]
    start, end = time_range(result, curve[0])
    count = min(max(-(-len(stills) // capacity), 1), MOST_ROWS)
    while True:
        edges = np.linspace(start, end, count + 1)
        place = np.clip(np.searchsorted(edges, times, side="right") - 1, 0, count - 1) if times else np.zeros(0, int)
        if count >= MOST_ROWS or not times or np.bincount(place).max() <= capacity:
            break
        count += 1
    return [
        _Row(edges[i], edges[i + 1], tuple(still for still, at in zip(stills, place, strict=True) if at == i))
        for i in range(count)
    ]


def _row_height(row: _Row, pictures: Thumbnails) -> float:
    above = 0.0
    if row.stills:
        drawn = pictures.any_of(row.stills)
        above = pictures.height(row.stills) + LEADERS if drawn else CAPTION + MARKER_LEADERS
    return above + NUMBERS + CHART + AXIS


def _draw_row(
    figure: Figure, page: Axes, row: _Row, top: float, height: float, result: VideoResult, curve: Curve,
    pictures: Thumbnails, *, last: bool,
) -> None:  # fmt: skip
    width, total = page.get_xlim()[1], page.get_ylim()[1]
    bottom = top - height + AXIS
    chart = figure.add_axes((LEFT / width, bottom / total, (width - LEFT - RIGHT) / width, CHART / total))
    _draw_chart(chart, row, result, curve)
    roof = bottom + CHART
    numbered = -1.0
    for event in result.events:
        if row.has(event.peak_s, last=last) and row.x(event.peak_s) - numbered > 0.09 + 0.07 * len(str(event.number)):
            numbered = row.x(event.peak_s)
            page.text(
                numbered, roof + 0.04, str(event.number), ha="center", va="bottom", fontsize=9, weight="bold",
                color=POSITIVE_COLOUR, zorder=3, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip
    if not row.stills:
        return
    places = [row.x(still.time_s or 0.0) for still in row.stills]
    drawn = pictures.any_of(row.stills)
    widths = pictures.widths(row.stills) if drawn else [MARKER * (1 + bool(still.flaw) / 4) for still in row.stills]
    shown, centres = spread(places, widths, LEFT if drawn else 0.0, width - (RIGHT if drawn else 0.0))
    floor = roof + NUMBERS + (LEADERS if drawn else MARKER_LEADERS)
    for position in set(range(len(places))) - set(shown):
        _point(page, places[position], roof, row.stills[position])
    for position, centre in zip(shown, centres, strict=True):
        _point(page, places[position], roof, row.stills[position])
        leader = [places[position], places[position], centre], [roof, roof + NUMBERS, floor]
        page.plot(*leader, color=FAINT, linewidth=0.9, zorder=1)
        if drawn:
            pictures.draw(page, row.stills[position], centre, floor)
        else:
            _marker(page, row.stills[position], centre, floor)


def _draw_chart(axes: Axes, row: _Row, result: VideoResult, curve: Curve) -> None:
    # A turn of one frame has no length, and one in two hours less than a pixel: it is visible all the same.
    least = (row.end - row.start) * NARROWEST_SHADE
    for event in result.events:
        middle, half = (event.start_s + event.end_s) / 2, max(event.duration_s, least) / 2
        if middle + half >= row.start and middle - half <= row.end:
            axes.axvspan(middle - half, middle + half, color=POSITIVE_COLOUR, alpha=SHADE, linewidth=0, zorder=1)
    # One point more on either side, so that the line runs to the edges.
    first = max(int(np.searchsorted(curve[0], row.start)) - 1, 0)
    end = int(np.searchsorted(curve[0], row.end, side="right")) + 1
    times, values = decimated(curve[0][first:end], curve[1][first:end], POINTS)
    axes.fill_between(times, values, 0.0, color=CURVE_COLOUR, alpha=0.1, linewidth=0, zorder=3)
    axes.plot(times, values, color=CURVE_COLOUR, linewidth=1.1, solid_joinstyle="round", zorder=4)
    # Values without a neighbour, which a line would not show.
    missing = np.isnan(np.pad(values, 1, constant_values=np.nan))
    alone = missing[:-2] & missing[2:] & ~missing[1:-1]
    axes.plot(times[alone], values[alone], ".", color=CURVE_COLOUR, markersize=3, zorder=4)
    if result.threshold is not None:
        axes.axhline(result.threshold, color=INK, linewidth=0.9, linestyle=(0, (5, 4)), zorder=5)
    axes.set(xlim=(row.start, row.end), ylim=(0.0, 1.04))
    clean(axes, grid=False)
    axes.set_yticks([0.0, 0.5, 1.0], ["0", "0.5", "1"])
    span = row.end - row.start
    step = next((each for each in TICK_STEPS if span / each <= TICKS), TICK_STEPS[-1])
    axes.xaxis.set_major_locator(MultipleLocator(step))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda time, _: clock(time, 1 if step < 1 else 0)))
    axes.tick_params(labelsize=9, length=3)
    axes.grid(visible=True, axis="y", color="#EBEBEB", linewidth=0.8)
    if np.isnan(values).all():
        axes.text(
            0.5, 0.65, "no frame was scored here", transform=axes.transAxes, ha="center", fontsize=9, color="#555555"
        )


def _point(page: Axes, x: float, roof: float, still: Still) -> None:
    page.plot([x], [roof + 0.03], marker="v", color=flaw_colour(still), markersize=3.5, zorder=2)


def _marker(page: Axes, still: Still, x: float, y: float) -> None:
    colour = flaw_colour(still)
    text = f"{still.spread}{'!' if still.flaw else ''}"
    page.text(
        x, y + 0.02, text, ha="center", va="bottom", fontsize=8, color="white", weight="bold",
        bbox={"boxstyle": "round,pad=0.22", "facecolor": colour, "edgecolor": "none"},
    )  # fmt: skip


def _header(page: Axes, total: float, result: VideoResult, problems: Sequence[str], rows: Sequence[_Row]) -> None:
    name = shorten(result.video or result.source or "video", 90)
    page.text(
        LEFT, total - 0.3, name, fontsize=15, weight="bold", color=INK, va="center", parse_math=False,
    )  # fmt: skip
    page.text(LEFT, total - 0.58, _facts(result, rows), fontsize=10, color="#555555", va="center", parse_math=False)
    for number, problem in enumerate(problems):
        y = total - 0.58 - PROBLEM_LINE * (number + 1)
        page.text(LEFT, y, problem, fontsize=9, color=flaw_colour(None), va="center", parse_math=False)
    x = WIDTH - RIGHT
    for kind in ("threshold", "turn", "curve"):
        if kind == "threshold" and result.threshold is None:
            continue
        x = _key(page, kind, result, x, total - 0.3)


def _key(page: Axes, kind: str, result: VideoResult, right: float, y: float) -> float:
    """One entry of the legend, drawn leftwards; returns where the next one ends."""
    words = {"threshold": f"threshold {result.threshold or 0:.2f}", "turn": "page turn", "curve": "probability"}[kind]
    page.text(right, y, words, fontsize=9, color=INK, ha="right", va="center")
    end = right - 0.068 * len(words) - 0.1
    if kind == "turn":
        page.add_patch(Rectangle((end - 0.3, y - 0.07), 0.3, 0.14, color=POSITIVE_COLOUR, alpha=SHADE, linewidth=0))
    else:
        style = (0, (5, 4)) if kind == "threshold" else "-"
        colour = INK if kind == "threshold" else CURVE_COLOUR
        page.plot([end - 0.34, end], [y, y], color=colour, linewidth=1.2, linestyle=style)
    return end - 0.55


def _facts(result: VideoResult, rows: Sequence[_Row]) -> str:
    def count(number: int, noun: str) -> str:
        return f"{number} {noun}" + ("" if number == 1 else "s")

    flawed = sum(bool(still.flaw) for still in result.stills)
    repeated = sum(still.same_as is not None for still in result.stills)
    seconds = rows[-1].end - rows[0].start
    facts = [clock(seconds, 0 if seconds >= 3600 else 1), count(len(result.events), "turn")]
    if result.stills:
        facts.append(count(len(result.stills), "spread"))
    if flawed:
        facts.append(f"{flawed} flawed")
    if repeated:
        facts.append(f"{repeated} seen before")
    if result.model:
        facts.append(shorten(result.model, 40))
    return "   ·   ".join(facts)
