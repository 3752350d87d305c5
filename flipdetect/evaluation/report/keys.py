"""What the parts of a set are called, and how the values of each column are put into groups. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flipdetect.evaluation.grouping import MAX_TEXT_VALUES, Key, binned, known, numbers_of, quarters, text_key
from flipdetect.evaluation.report.saved import Scored

Cells = Sequence[str | None]
Places = Sequence[bool]

PHASE_EDGES = (0.2, 0.4, 0.6, 0.8)
PHASES = ("first fifth", "second fifth", "middle fifth", "fourth fifth", "last fifth")
HAND_EDGES = (1e-6, 0.1)
HANDS = ("none", "up to a tenth of the page", "more than a tenth")
CUT_OFF = ("none", "1 side", "2 sides", "3 sides", "all sides")
SOURCE, VIDEO, KIND = "source", "video", "kind"


@dataclass(frozen=True)
class Column:
    """A way to cut a set into parts.

    Attributes:
        key: of machine-readable files.
        title: for readers.
        cells: (N,) texts, None where a frame has no value.
        group: cells and (N,) whether a frame is positive -> the groups.
    """

    key: str
    title: str
    cells: Cells
    group: Callable[[Cells, Places], Key]


def columns_of(scored: Scored, wanted: Sequence[str] = ()) -> list[Column]:
    """Every way to cut this set into at least two parts, `source`, `video` and `kind` first.

    Args:
        scored: the frames.
        wanted: further columns of the manifest.
    """
    found = [
        Column(SOURCE, "Source", [name or None for name in scored.sources], _texts),
        Column(VIDEO, "Video", list(scored.videos), _texts),
        Column(KIND, "Kind of frame (folder)", [_first_folder(path) for path in scored.paths], _texts),
    ]
    table = {name: [known(cell) for cell in cells] for name, cells in scored.columns.items()}
    for key, title, group in (
        ("phase", "Phase of the turn", _phases),
        ("behaviour", "How the page is turned", _texts),
        ("sharpness", "Sharpness, as the set's table says", _numbers),
        ("measured_sharpness", "Sharpness, measured on the frame", _numbers),
        ("measured_brightness", "Brightness of the frame, 0 to 1", _numbers),
        ("occlusion", "Hand on the page", _hands),
    ):
        if key in table:
            found.append(Column(key, title, table[key], group))
    found += _of_the_book(scored, table)
    found += [
        Column(key, key, table[key], _any)
        for key in wanted
        if key in table and key not in {column.key for column in found}
    ]
    return [column for column in found if _divides(column.cells, scored)]


def _divides(cells: Cells, scored: Scored) -> bool:
    """Whether a column has several values, and says more than the label does."""
    pairs = {(cell, target) for cell, target in zip(cells, scored.targets.tolist(), strict=True) if cell is not None}
    values = {cell for cell, _ in pairs}
    return len(values) > 1 and not len(pairs) == len(values) == 2


def _of_the_book(scored: Scored, table: dict[str, list[str | None]]) -> list[Column]:
    """Where the book lies in the frame, if its box and the frame's size are known."""
    if not {"book_box", "frame_height", "frame_width"} <= table.keys():
        return []
    cuts: list[str | None] = []
    sizes: list[str | None] = []
    middles: list[str | None] = []
    for box, height, width in zip(table["book_box"], table["frame_height"], table["frame_width"], strict=True):
        place = _place(box, height, width)
        cuts.append(None if place is None else place[0])
        sizes.append(None if place is None else f"{place[1]:.4f}")
        middles.append(None if place is None else f"{place[2]:.4f}")
    return [
        Column("book_cut", "Sides on which the book is cut off", cuts, _sides),
        Column("book_size", "Size of the book, share of the frame", sizes, _numbers),
        Column("book_place", "Middle of the book, from the top (0) to the bottom (1)", middles, _numbers),
    ]


def _place(box: str | None, height: str | None, width: str | None) -> tuple[str, float, float] | None:
    """On how many sides the book is cut off, its share of the frame, and its middle's height."""
    try:
        left, top, right, bottom = (float(number) for number in (box or "").split())
        h, w = float(height or ""), float(width or "")
    except ValueError:
        return None
    if h <= 0 or w <= 0:
        return None
    cut = sum((left <= 0, top <= 0, right >= w, bottom >= h))
    return CUT_OFF[cut], (right - left) * (bottom - top) / (h * w), (top + bottom) / 2 / h


def _first_folder(path: str) -> str | None:
    folders = path.replace("\\", "/").split("/")[:-1]
    return folders[0] if folders else None


def _texts(cells: Cells, positive: Places) -> Key:
    return text_key(cells)


def _sides(cells: Cells, positive: Places) -> Key:
    """As `text_key`, with what is not cut off first."""
    found = text_key(cells)
    if CUT_OFF[0] not in found.names:
        return found
    names = sorted(found.names, key=CUT_OFF.index)
    return Key(tuple(names), tuple(None if cell is None else names.index(cell) for cell in cells))


def _numbers(cells: Cells, positive: Places) -> Key:
    """Quarters of all frames: both classes have a value, and a quarter is to hold a quarter of them."""
    numbers = numbers_of(cells)
    if numbers is None:
        return text_key(cells)
    if positive and all(number is None for number, flip in zip(numbers, positive, strict=True) if not flip):
        return quarters(numbers, positive)
    return quarters(numbers, np.ones(len(numbers), bool).tolist())


def _any(cells: Cells, positive: Places) -> Key:
    return _numbers(cells, positive) if len(set(cells) - {None}) > MAX_TEXT_VALUES else text_key(cells)


def _phases(cells: Cells, positive: Places) -> Key:
    numbers = numbers_of(cells)
    return text_key(cells) if numbers is None else binned(numbers, PHASE_EDGES, PHASES)


def _hands(cells: Cells, positive: Places) -> Key:
    numbers = numbers_of(cells)
    return text_key(cells) if numbers is None else binned(numbers, HAND_EDGES, HANDS)
