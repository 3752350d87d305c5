"""The timeline of a video: strips of its probability over time, turns shaded, and the chosen frames above them."""

from __future__ import annotations

import io
import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray
from PIL import Image

from flipdetect.outputs.plots.canvas import (
    ELLIPSIS,
    FAINT,
    INK,
    POSITIVE_COLOUR,
    SERIES_COLOURS,
    clean,
    figure_to_array,
    shorten,
)
from flipdetect.outputs.tables import clock
from flipdetect.records import Still, VideoResult

# Inches.
AREA = 1.35  # square inches of a picture, whatever its shape
FEW, AREA_OF_FEW = 4, 2.8
MANY, AREA_OF_MANY = 100, 0.75
NARROWEST, WIDEST = 0.75, 2.6
GAP = 0.1
CAPTION = 0.22
NOTE_LINE = 0.14
NOTE_CHARACTER = 0.062
PIXELS_PER_INCH = 300

FLAW_COLOUR = "#A01C6B"  # differs from the turns' orange in lightness, too, and has a sign next to it
REPEAT_COLOUR = "#6B6B6B"
NOTE_LINES = 2

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


def flaw_colour(still: Still | None) -> str:
    """What a still is marked with: flawed (None too), seen before, or good."""
    if still is None or still.flaw:
        return FLAW_COLOUR
    return INK if still.same_as is None else REPEAT_COLOUR


class Thumbnails:
    """The pictures (H, W, 3) uint8 RGB of one video by spread, drawn in inches from the figure's lower left."""

    def __init__(self, pictures: Mapping[int, NDArray[np.uint8]]) -> None:
        self._pictures = {spread: picture for spread, picture in pictures.items() if picture.size}
        count = len(self._pictures)
        self._area = AREA_OF_FEW if count <= FEW else AREA if count <= MANY else AREA_OF_MANY

    def __bool__(self) -> bool:
        return bool(self._pictures)

    def any_of(self, stills: Sequence[Still]) -> bool:
        """Whether one of them has a picture."""
        return any(still.spread in self._pictures for still in stills)

    def size(self, still: Still) -> tuple[float, float]:
        """Width and height in inches; one that has no picture is a narrow empty frame."""
        picture = self._pictures.get(still.spread)
        aspect = 0.75 if picture is None else picture.shape[1] / picture.shape[0]
        width = min(max(math.sqrt(self._area * aspect), NARROWEST), WIDEST)
        return width, min(width / aspect, 2 * self._area)

    def capacity(self, room: float) -> int:
        """How many fit side by side into so many inches."""
        widest = max(self.size(Still(spread, "", 0, 0, 0, 0, 0))[0] for spread in self._pictures)
        return max(int((room + GAP) / (widest + GAP)), 1)

    def height(self, stills: Sequence[Still]) -> float:
        """Inches of a row of them, captions and notes included."""
        notes = max(len(self._note(still)) for still in stills)
        return max(self.size(still)[1] for still in stills) + CAPTION + NOTE_LINE * notes

    def draw(self, page: Axes, still: Still, centre: float, bottom: float) -> None:
        """The picture with its lower edge at `bottom`, above it number, time and what is to be said of it."""
        width, height = self.size(still)
        left = centre - width / 2
        picture = self._pictures.get(still.spread)
        colour = flaw_colour(still)
        if picture is not None:
            box = (max(round(width * PIXELS_PER_INCH), 1), max(round(height * PIXELS_PER_INCH), 1))
            image = Image.fromarray(np.ascontiguousarray(picture))
            image.thumbnail(box, Image.Resampling.LANCZOS)
            page.imshow(
                np.asarray(image), extent=(left, left + width, bottom, bottom + height), aspect="auto", zorder=3,
                alpha=1.0 if still.same_as is None else 0.55, interpolation="antialiased",
            )  # fmt: skip
        else:
            page.text(centre, bottom + height / 2, "no picture", fontsize=7.5, color=REPEAT_COLOUR, ha="center",
                      va="center", zorder=3)  # fmt: skip
        edge, thickness = (colour, 1.8) if still.flaw else (FAINT, 0.8)
        page.add_patch(
            Rectangle((left, bottom), width, height, facecolor="none", edgecolor=edge, linewidth=thickness, zorder=4)
        )
        if still.flaw:
            page.add_patch(Circle((left + width - 0.13, bottom + height - 0.13), 0.1, color=colour, zorder=5))
            page.text(left + width - 0.13, bottom + height - 0.135, "!", color="white", fontsize=10, weight="bold",
                      ha="center", va="center", zorder=6)  # fmt: skip
        note, top = self._note(still), bottom + height
        for number, line in enumerate(reversed(note)):
            page.text(left, top + 0.05 + NOTE_LINE * number, line, fontsize=7.5, color=colour, va="bottom",
                      parse_math=False)  # fmt: skip
        y = top + 0.04 + NOTE_LINE * len(note)
        page.text(left, y, str(still.spread), fontsize=10, weight="bold", color=INK, va="bottom")
        page.text(left + width, y, clock(still.time_s or 0.0, 1), fontsize=9, color="#555555", ha="right", va="bottom")

    def _note(self, still: Still) -> list[str]:
        said = [still.flaw] if still.flaw else []
        said += [] if still.same_as is None else [f"same as {still.same_as}"]
        if not said:
            return []
        longest = max(int(self.size(still)[0] / NOTE_CHARACTER), 4)
        text = shorten("; ".join(said), 200)
        return textwrap.wrap(text, longest, max_lines=NOTE_LINES, placeholder=f" {ELLIPSIS}")


def spread(
    places: Sequence[float], widths: Sequence[float], left: float, right: float
) -> tuple[list[int], list[float]]:
    """Which of several pictures are shown side by side, and where: as near to their places as there is room.

    Returns:
        Positions of those shown, all if they fit, else an even choice; and their centres.
    """
    shown = list(range(len(places)))
    while len(shown) > 1 and sum(widths[i] + GAP for i in shown) - GAP > right - left + 1e-9:
        keep = max(int((right - left + GAP) / (max(widths) + GAP)), 1)
        keep = min(keep, len(shown) - 1)
        shown = [shown[round(step)] for step in np.linspace(0, len(shown) - 1, keep)] if keep > 1 else shown[:1]
    # Least squares under "no overlap": with the widths before it taken off, a place may only not decrease.
    offsets = np.cumsum([0.0] + [(widths[a] + widths[b]) / 2 + GAP for a, b in pairwise(shown)])
    blocks: list[tuple[float, int]] = []
    for position, offset in zip(shown, offsets, strict=True):
        block = (places[position] - float(offset), 1)
        while blocks and blocks[-1][0] > block[0]:
            mean, size = blocks.pop()
            block = ((mean * size + block[0] * block[1]) / (size + block[1]), size + block[1])
        blocks.append(block)
    low = left + widths[shown[0]] / 2
    high = right - widths[shown[-1]] / 2 - float(offsets[-1])
    free = [mean for mean, size in blocks for _ in range(size)]
    return shown, [
        min(max(mean, low), max(high, low)) + float(offset) for mean, offset in zip(free, offsets, strict=True)
    ]


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
