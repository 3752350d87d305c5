"""The timeline of a report: shapes in a box of 1000 by 100 units that is stretched to the page, labels by per cent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flipdetect.outputs.clock import clock
from flipdetect.outputs.curve import Curve, decimated, time_range
from flipdetect.records import Still, VideoResult

WIDTH, HEIGHT = 1000.0, 100.0
HEADROOM = 4.0  # above probability 1
TICK_STEPS = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
TICKS = 12
NARROWEST = 3.0  # units of a turn
# A chart has this many rem for each still, and these at least on paper and wider screens; a number takes so many.
REM_PER_STILL, LEAST_REM = 1.6, 45.0
TURN_NUMBER, STILL_NUMBER = 1.1, 1.35


@dataclass(frozen=True)
class Shade:
    """A turn: its band, and where its number stands (per cent), if there is room for one, on paper too."""

    number: int
    x: float
    width: float
    place: float
    numbered: bool
    on_paper: bool


@dataclass(frozen=True)
class Stop:
    """A still: where it stands (per cent), and whether there is room for its number, on paper too."""

    still: Still
    place: float
    numbered: bool
    on_paper: bool


@dataclass(frozen=True)
class Chart:
    """All that the template draws of one video.

    Attributes:
        line, area: SVG path data of the curve, broken where there is no score; empty if there is none at all.
        threshold_y: of the threshold, None if unknown.
        shades: the turns.
        ticks: (per cent, text).
        stops: the stills that have a time.
        least_width: rem, from which stills do not stand too close.
    """

    line: str
    area: str
    threshold_y: float | None
    shades: tuple[Shade, ...]
    ticks: tuple[tuple[float, str], ...]
    stops: tuple[Stop, ...]
    least_width: float


def make_chart(result: VideoResult, curve: Curve, points: int) -> Chart:
    """Lay out the timeline of one video.

    Args:
        result: of the video.
        curve: times in seconds and probabilities, (N,) each, ascending in time.
        points: of the curve, about, that may be kept.
    """
    start, end = time_range(result, curve[0])
    scale = WIDTH / (end - start)
    times, values = decimated(*curve, points)
    line, area = _paths((times - start) * scale, HEIGHT - values * (HEIGHT - HEADROOM))
    return Chart(
        line,
        area,
        None if result.threshold is None else _y(result.threshold),
        _shades(result, start, scale),
        _ticks(start, end),
        _stops(result, start, scale),
        round(max(len(result.stills), len(result.events)) * REM_PER_STILL, 1),
    )


def _y(probability: float) -> float:
    return round(HEIGHT - probability * (HEIGHT - HEADROOM), 2)


def _paths(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[str, str]:
    lines, areas = [], []
    known = ~np.isnan(y)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        run = " ".join(f"{a:.5g},{b:.4g}" for a, b in zip(x[first:end], y[first:end], strict=True))
        # A score with none beside it: a line of no length is drawn as a dot by round ends.
        lines.append(f"M{run}" + (f" {x[first]:.5g},{y[first]:.4g}" if end - first == 1 else ""))
        areas.append(f"M{x[first]:.5g},{HEIGHT:g} {run} {x[end - 1]:.5g},{HEIGHT:g}Z")
    return "".join(lines), "".join(areas)


def _room(places: list[float], rem: float) -> list[tuple[bool, bool]]:
    """Which of these places, in per cent and ascending, have a number of so many rem: on screens, and on paper."""
    screen = max(len(places) * REM_PER_STILL, LEAST_REM)
    return list(zip(*(_apart(places, 100 * rem / width) for width in (screen, LEAST_REM)), strict=True))


def _apart(places: list[float], gap: float) -> list[bool]:
    before, shown = -gap, []
    for place in places:
        shown.append(place - before >= gap)
        before = place if shown[-1] else before
    return shown


def _stops(result: VideoResult, start: float, scale: float) -> tuple[Stop, ...]:
    placed = [(round((each.time_s - start) * scale / 10, 3), each) for each in result.stills if each.time_s is not None]
    room = _room([place for place, _ in placed], STILL_NUMBER)
    return tuple(Stop(still, place, *shown) for (place, still), shown in zip(placed, room, strict=True))


def _shades(result: VideoResult, start: float, scale: float) -> tuple[Shade, ...]:
    middles = [((event.start_s + event.end_s) / 2 - start) * scale for event in result.events]
    widths = [max(event.duration_s * scale, NARROWEST) for event in result.events]
    room = _room([middle / 10 for middle in middles], TURN_NUMBER)
    return tuple(
        Shade(event.number, round(middle - width / 2, 2), round(width, 2), round(middle / 10, 3), *shown)
        for event, middle, width, shown in zip(result.events, middles, widths, room, strict=True)
    )


def _ticks(start: float, end: float) -> tuple[tuple[float, str], ...]:
    span = end - start
    step = next((each for each in TICK_STEPS if span / each <= TICKS), span / TICKS)
    first, last = int(np.ceil(start / step - 1e-9)), int(np.floor(end / step + 1e-9))
    return tuple(
        (round((number * step - start) / span * 100, 3), clock(number * step, 1 if step < 1 else 0))
        for number in range(first, last + 1)
    )
