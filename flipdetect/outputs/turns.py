"""Turns and spreads of films as a table for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from flipdetect.outputs.clock import clock
from flipdetect.records import VideoResult

MOST_ROWS = 40
MOST_FLAWS = 12


def format_turn_table(results: Sequence[VideoResult]) -> str:
    """Plain text: a row per film, then the spreads that should be looked at."""
    rows = [
        (
            result.video,
            clock(result.duration_s),
            result.frames,
            len(result.events),
            len(result.stills),
            sum(still.same_as is not None for still in result.stills),
            sum(bool(still.flaw) and still.same_as is None for still in result.stills),
        )
        for result in results
    ]
    text = tabulate(
        rows[:MOST_ROWS],
        headers=("video", "length", "frames scored", "turns", "spreads", "seen before", "to look at"),
        colalign=("left", *["right"] * 6),
        disable_numparse=[0, 1],
    )
    hidden = len(rows) - MOST_ROWS
    flaws = [
        f"{result.video}, spread {still.spread}{_at(still.time_s)}: {still.flaw}"
        for result in results
        for still in result.stills
        if still.flaw and still.same_as is None
    ]
    more = len(flaws) - MOST_FLAWS
    lines = [text]
    lines += [f"({hidden} more films not shown)"] if hidden > 0 else []
    lines += [f"  {flaw}" for flaw in flaws[:MOST_FLAWS]]
    lines += [f"  ({more} more spreads to look at; flips.json lists all)"] if more > 0 else []
    return "\n".join(lines)


def _at(time_s: float | None) -> str:
    return "" if time_s is None else f" at {clock(time_s, 1)}"
