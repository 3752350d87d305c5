"""The chosen frames of a timeline: their sizes, which fit side by side and where, and what is written on them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from numpy.typing import NDArray
from PIL import Image

from flipdetect.outputs.plots.canvas import ELLIPSIS, FAINT, INK, shorten
from flipdetect.outputs.tables import clock
from flipdetect.records import Still

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
        longest = max(int(self.size(still)[0] / NOTE_CHARACTER), 4)
        return textwrap.wrap(shorten("; ".join(said), 200), longest, max_lines=NOTE_LINES, placeholder=f" {ELLIPSIS}")


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
