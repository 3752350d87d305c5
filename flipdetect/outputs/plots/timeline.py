"""The timeline of a video: strips of its probability over time, turns shaded, and the chosen frames above them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray
from PIL import Image

from flipdetect.outputs.plots.canvas import FAINT, INK, POSITIVE_COLOUR, SERIES_COLOURS, clean, figure_to_array, shorten
from flipdetect.outputs.plots.thumbnails import CAPTION, Thumbnails, flaw_colour, spread
from flipdetect.outputs.tables import clock
from flipdetect.records import Still, VideoResult

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
TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
TICKS = 14
CURVE_COLOUR = SERIES_COLOURS[0]
SHADE = 0.3  # opacity of a turn
NARROWEST_SHADE = 0.005  # of a row

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Times in seconds and probabilities, (N,) each, ascending in time, NaN where there is no score."""


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


def draw_timeline(result: VideoResult, thumbnails: Mapping[int, NDArray[np.uint8]] | None = None) -> bytes:
    """Draw one video as a PNG file: what `plot_timeline` shows, 2100 pixels wide."""
    buffer = io.BytesIO()
    # Not optimised: that takes longer than the drawing, and saves little on photographs.
    Image.fromarray(figure_to_array(plot_timeline(result, thumbnails))).save(buffer, format="PNG")
    return buffer.getvalue()


def plot_timeline(result: VideoResult, thumbnails: Mapping[int, NDArray[np.uint8]] | None = None) -> Figure:
    """Probability over time in as many rows as the spreads need, 30 at most; turns shaded and numbered, stills above.

    Flawed stills have a frame, a sign and a note; those that repeat an earlier spread are paler.

    Args:
        result: turns, stills, scores, threshold and problems of one video.
        thumbnails: spread -> (H, W, 3) uint8 RGB of any size; without any, spreads are marked by their numbers. Where
            hundreds do not fit, an even choice is shown, and the others have a triangle at their time.
    """
    curve = probability_curve(result)
    spreads = {still.spread for still in result.stills if still.time_s is not None}
    pictures = Thumbnails({number: each for number, each in (thumbnails or {}).items() if number in spreads})
    capacity = pictures.capacity(WIDTH - LEFT - RIGHT) if pictures else SPREADS_WITHOUT_PICTURES
    rows = _rows(result, curve[0], capacity)
    said = [*([] if result.complete else ["not read to its end"]), *result.problems]
    problems = [f"! {shorten(problem, 150)}" for problem in said[:3]]
    problems += [f"! and {len(said) - 3} more problems"] if len(said) > 3 else []
    heights = []
    for row in rows:
        above = CAPTION + MARKER_LEADERS if row.stills else 0.0
        if pictures.any_of(row.stills):
            above = pictures.height(row.stills) + LEADERS
        heights.append(above + NUMBERS + CHART + AXIS)
    total = HEADER + PROBLEM_LINE * len(problems) + sum(heights) + ROW_GAP * (len(rows) - 1) + MARGIN
    figure = Figure(figsize=(WIDTH, total), dpi=DPI, facecolor="white")
    page = figure.add_axes((0, 0, 1, 1))
    page.set(xlim=(0, WIDTH), ylim=(0, total))
    page.set_axis_off()
    _draw_header(page, total, result, problems)
    top = total - HEADER - PROBLEM_LINE * len(problems)
    for row, height in zip(rows, heights, strict=True):
        bottom = (top - height + AXIS) / total
        chart = figure.add_axes((LEFT / WIDTH, bottom, (WIDTH - LEFT - RIGHT) / WIDTH, CHART / total))
        _draw_chart(chart, row, result, curve)
        _draw_above(page, row, top - height + AXIS + CHART, result, pictures, last=row is rows[-1])
        top -= height + ROW_GAP
    return figure


def probability_curve(result: VideoResult) -> Curve:
    """Times and probabilities of one video's frames; if no frame has a time, they are spread evenly over its length."""
    scores = result.scores
    if all(score.time_s is None for score in scores):
        times = np.linspace(0.0, result.duration_s, len(scores))
    else:
        scores = tuple(score for score in scores if score.time_s is not None)
        times = np.array([score.time_s for score in scores], dtype=np.float64)
    values = np.array([np.nan if each.probability is None else each.probability for each in scores], dtype=np.float64)
    order = np.argsort(times, kind="stable")
    return times[order], values[order]


def _rows(result: VideoResult, times: NDArray[np.float64], capacity: int) -> list[_Row]:
    """The fewest rows of one length in which no row has more spreads than fit."""
    stills = [still for still in result.stills if still.time_s is not None]
    places = [float(still.time_s) for still in stills if still.time_s is not None]
    drawn = [*((times[0], times[-1]) if len(times) else (0.0, result.duration_s)), *places]
    drawn += [time for event in result.events for time in (event.start_s, event.end_s)]
    start, end = float(min(drawn)), float(max(drawn))
    end = end if end > start else start + 1.0
    count = min(max(-(-len(stills) // capacity), 1), MOST_ROWS)
    while True:
        edges = np.linspace(start, end, count + 1)
        row = np.clip(np.searchsorted(edges, places, side="right") - 1, 0, count - 1) if places else np.zeros(0, int)
        if count >= MOST_ROWS or not places or np.bincount(row).max() <= capacity:
            break
        count += 1
    return [
        _Row(edges[i], edges[i + 1], tuple(still for still, at in zip(stills, row, strict=True) if at == i))
        for i in range(count)
    ]


def _draw_above(page: Axes, row: _Row, roof: float, result: VideoResult, pictures: Thumbnails, *, last: bool) -> None:
    """What stands above a chart whose upper edge is at `roof`: the turns' numbers, and the stills."""
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
    for place, still in zip(places, row.stills, strict=True):
        page.plot([place], [roof + 0.03], marker="v", color=flaw_colour(still), markersize=3.5, zorder=2)
    drawn = pictures.any_of(row.stills)
    widths = [pictures.size(still)[0] if drawn else MARKER * (1 + bool(still.flaw) / 4) for still in row.stills]
    width = page.get_xlim()[1]
    shown, centres = spread(places, widths, LEFT if drawn else 0.0, width - (RIGHT if drawn else 0.0))
    floor = roof + NUMBERS + (LEADERS if drawn else MARKER_LEADERS)
    for position, centre in zip(shown, centres, strict=True):
        still = row.stills[position]
        leader = [places[position], places[position], centre], [roof, roof + NUMBERS, floor]
        page.plot(*leader, color=FAINT, linewidth=0.9, zorder=1)
        if drawn:
            pictures.draw(page, still, centre, floor)
        else:
            page.text(
                centre, floor + 0.02, f"{still.spread}{'!' if still.flaw else ''}", ha="center", va="bottom",
                fontsize=8, color="white", weight="bold",
                bbox={"boxstyle": "round,pad=0.22", "facecolor": flaw_colour(still), "edgecolor": "none"},
            )  # fmt: skip


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
    times, values = curve[0][first:end], curve[1][first:end]
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


def _draw_header(page: Axes, total: float, result: VideoResult, problems: Sequence[str]) -> None:
    def count(number: int, noun: str) -> str:
        return f"{number} {noun}" + ("" if number == 1 else "s")

    flawed = sum(bool(still.flaw) for still in result.stills)
    repeated = sum(still.same_as is not None for still in result.stills)
    facts = [clock(result.duration_s, 0 if result.duration_s >= 3600 else 1), count(result.turned, "turn")]
    facts += [count(len(result.stills), "spread")] if result.stills else []
    facts += [f"{flawed} flawed"] if flawed else []
    facts += [f"{repeated} seen before"] if repeated else []
    facts += [shorten(result.model, 40)] if result.model else []
    name = shorten(result.video or result.source or "video", 90)
    lines: list[tuple[float, str, dict[str, Any]]] = [(0.3, name, {"fontsize": 15, "weight": "bold", "color": INK})]
    lines += [(0.58, "   ·   ".join(facts), {"fontsize": 10, "color": "#555555"})]
    for number, problem in enumerate(problems, start=1):
        lines += [(0.58 + PROBLEM_LINE * number, problem, {"fontsize": 9, "color": flaw_colour(None)})]
    for below, text, style in lines:
        page.text(LEFT, total - below, text, va="center", parse_math=False, **style)

    # The legend, leftwards from the right edge.
    x, y = WIDTH - RIGHT, total - 0.3
    entries: list[tuple[str, dict[str, Any]]] = [("page turn", {}), ("probability", {"color": CURVE_COLOUR})]
    if result.threshold is not None:
        dashed = {"color": INK, "linestyle": (0, (5, 4))}
        entries.insert(0, (f"threshold {result.threshold:.2f}", dashed))
    for words, line in entries:
        page.text(x, y, words, fontsize=9, color=INK, ha="right", va="center")
        end = x - 0.068 * len(words) - 0.1
        if not line:
            page.add_patch(Rectangle((end - 0.3, y - 0.07), 0.3, 0.14, color=POSITIVE_COLOUR, alpha=SHADE, linewidth=0))
        else:
            page.plot([end - 0.34, end], [y, y], linewidth=1.2, **line)
        x = end - 0.55
