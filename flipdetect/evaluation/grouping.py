"""Which frames of a set share a value: the groups that figures of parts are made of. No torch.

**Frames of the negative class without a value** (as every rendered frame at rest has no phase) stand in every group
that agrees with their other values; `flipdetect.evaluation.slices` says what follows for their figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from natsort import natsorted

PHASE_EDGES = (0.1, 0.9)
PHASE_NAMES = ("first tenth", "middle", "last tenth")
NO_VALUE = "(none)"
MAX_TEXT_VALUES = 8
"""A column with more different numbers than this is cut into quarters."""


@dataclass(frozen=True)
class Key:
    """Values of one key: their texts in order, and for each frame the position of its own; None for no value."""

    names: tuple[str, ...]
    places: tuple[int | None, ...]


def known(text: str) -> str | None:
    """A cell of a table; None if it is blank or nan."""
    text = text.strip()
    return None if text.lower() in ("", "nan") else text


def key_of(name: str, values: Sequence[str | None], positive: Sequence[bool]) -> Key:
    """The groups of a column of a manifest: its texts, or, if it holds many different numbers, four bins.

    Args:
        name: of the column; "phase" has bins of its own.
        values: (N,) cells, None where there is no value.
        positive: (N,) whether a frame is of the positive class; the bins' edges are the quartiles of those.
    """
    numbers = numbers_of(values)
    if name == "phase" and numbers is not None:
        return binned(numbers, PHASE_EDGES, PHASE_NAMES)
    if numbers is None or len(set(values) - {None}) <= MAX_TEXT_VALUES:
        return text_key(values)
    return quarters(numbers, positive)


def text_key(values: Sequence[str | None]) -> Key:
    """A group per different text, in natural order."""
    names: list[str] = natsorted({value for value in values if value is not None})
    positions = {name: place for place, name in enumerate(names)}
    return Key(tuple(names), tuple(None if value is None else positions[value] for value in values))


def numbers_of(values: Sequence[str | None]) -> list[float | None] | None:
    """The values as numbers; None if one of them is none."""
    try:
        return [None if value is None else float(value) for value in values]
    except ValueError:
        return None


def quarters(numbers: Sequence[float | None], positive: Sequence[bool]) -> Key:
    """Four bins whose edges are the quartiles of the positive frames, or of all if no positive one has a value."""
    of_positives = [n for n, is_positive in zip(numbers, positive, strict=True) if n is not None and is_positive]
    basis: Any = of_positives or [n for n in numbers if n is not None]
    edges = sorted({float(edge) for edge in np.quantile(basis, (0.25, 0.5, 0.75))})
    inner = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    return binned(numbers, edges, (f"below {edges[0]:.4g}", *inner, f"{edges[-1]:.4g} and more"))


def binned(numbers: Sequence[float | None], edges: Sequence[float], names: Sequence[str]) -> Key:
    """Bin i holds edges[i - 1] <= number < edges[i]."""
    places = [None if n is None else int(np.searchsorted(edges, n, side="right")) for n in numbers]
    return Key(tuple(names), tuple(places))


def group_members(columns: Sequence[Key], positive: Sequence[bool]) -> dict[tuple[str, ...], list[int]]:
    """Positions of the frames of each group, in the order of the keys' values.

    Args:
        columns: at least one key; several are combined.
        positive: (N,) whether a frame is of the positive class.

    Returns:
        By the texts of the group's values, one per key; `NO_VALUE` for those of positive frames without one, and of
        negative ones if no group agrees with them.
    """
    members: dict[tuple[int, ...], list[int]] = {}
    everywhere: list[tuple[tuple[int | None, ...], int]] = []
    for position, places in enumerate(zip(*(column.places for column in columns), strict=True)):
        if None in places and not positive[position]:
            everywhere.append((places, position))
        else:
            members.setdefault(_filled(places, columns), []).append(position)
    for places, position in everywhere:
        agreeing = [group for group in members if all(a in (None, b) for a, b in zip(places, group, strict=True))]
        for group in agreeing or [_filled(places, columns)]:
            members.setdefault(group, []).append(position)
    return {_texts(group, columns): members[group] for group in sorted(members)}


def _filled(places: Sequence[int | None], columns: Sequence[Key]) -> tuple[int, ...]:
    """Positions with one behind the last for "no value"."""
    return tuple(
        len(column.names) if place is None else place for place, column in zip(places, columns, strict=True)
    )  # fmt: skip


def _texts(group: Sequence[int], columns: Sequence[Key]) -> tuple[str, ...]:
    return tuple(
        column.names[place] if place < len(column.names) else NO_VALUE
        for place, column in zip(group, columns, strict=True)
    )
