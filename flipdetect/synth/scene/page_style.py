"""The design of a book's pages: paper, ink, layout, and what they hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Drawing = NDArray[np.uint8]
"""(h, w, 3) display colours of a page or of a part of it."""


@dataclass(frozen=True)
class PageStyle:
    """The design of one book, shared by its pages.

    Attributes:
        weight: how black the letters are, 0 to 1: thin strokes of a light typeface melt to grey.
        uneven: how much that differs from page to page, 0 to 1.
        margin: blank border, as a share of the page width.
        line: distance of text lines, as a share of the page width.
        picture_share: chance that a block is a picture or table.
        show_through: how much of the other side shows, 0 to 1.
        content: "print", or one of `content.CONTENTS`.
    """

    paper: tuple[float, ...]
    ink: tuple[float, ...]
    weight: float
    uneven: float
    margin: float
    columns: int
    line: float
    picture_share: float
    colour_pictures: bool
    show_through: float
    content: str = "print"


def sample_page_style(rng: np.random.Generator) -> PageStyle:
    """The design of a book."""
    white = rng.uniform(228, 252)
    yellow = rng.choice([0, 0, 1]) * rng.uniform(6, 34) + rng.uniform(0, 5)
    ink = rng.uniform(10, 90)
    return PageStyle(
        paper=(white, white - 0.25 * yellow, white - yellow),
        ink=(ink, ink, ink + rng.uniform(0, 8)),
        weight=rng.uniform(0.25, 1.0),
        uneven=1.0,
        margin=rng.uniform(0.07, 0.15),
        columns=int(rng.choice([1, 1, 1, 2])),
        line=rng.uniform(0.017, 0.042),
        picture_share=float(rng.choice([0.03, 0.2, 0.45])),
        colour_pictures=bool(rng.random() < 0.4),
        show_through=rng.uniform(0.0, 0.1),
    )
