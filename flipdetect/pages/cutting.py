"""From the stills of a book to its pages: left and right apart, flat, evenly lit, upright, of one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.pages.flatten import FlatPage, flat_page, level_lines
from flipdetect.pages.light import even_light, in_mode
from flipdetect.pages.order import ASKED, is_upside_down
from flipdetect.pages.outline import PageNetwork, find_spread, refine
from flipdetect.pages.surface import LEFT, RIGHT, SIDES, Floats
from flipdetect.records import WHOLE_FRAME, BookPage

Image = NDArray[np.uint8]

SURE = 0.85
"""A page whose outline has less confidence is doubtful: the whole frame is kept instead."""
SHOWN = 0.5
"""A page of which less is in view is left out; it is named, with its share."""
READABLE = 1400
"""Pixels of a page's height at which it is looked at to tell which way up the book lies."""


@dataclass(frozen=True, eq=False)
class FoundPage:
    """A page of a still: what is known of it, and how it is made flat; None if it is left out, or the whole frame."""

    page: BookPage
    flat: FlatPage | None = None


def find_pages(picture: Image, network: PageNetwork) -> list[FoundPage]:
    """The pages of a still (H, W, 3) uint8 RGB, from left to right; the whole frame where that is doubtful."""
    found = find_spread(network.maps(picture), (picture.shape[1], picture.shape[0]))
    if found is not None:
        found = refine(found, picture)
        found = replace(found, surface=level_lines(picture, found.surface, tuple(found.confidence)))
    pages, doubts = [], []
    for side in SIDES if found is not None else ():
        if found is None or side not in found.confidence:
            continue
        outline = tuple((round(float(x), 1), round(float(y), 1)) for x, y in found.surface.outline(side))
        page = BookPage(side, outline, found.confidence[side], found.in_view[side])
        if page.in_view is not None and page.in_view < SHOWN:
            pages.append(FoundPage(replace(page, flaw=f"cut off: {page.in_view:.0%} of it is in view")))
        elif page.confidence < SURE:
            doubts.append(f"the outline of the {side} page is doubtful ({page.confidence:.0%})")
        else:
            pages.append(FoundPage(page, flat_page(picture, found.surface, side)))
    if not doubts and not any(page.flat for page in pages):
        doubts = ["no page was found" if not pages else "no page is in view as a whole"]
    if doubts:
        sure = min(found.confidence.values()) if found is not None and found.confidence else 0.0
        pages.append(FoundPage(BookPage(WHOLE_FRAME, (), sure, None, "; ".join(doubts) + ": the whole frame is kept")))
    return pages


def cut_book(
    stills: Sequence[Callable[[], Image]],
    network: PageNetwork,
    mode: str = "colour",
    on_still: Callable[[int], None] = lambda done: None,
) -> Iterator[list[tuple[BookPage, Image | None]]]:
    """The pages of a book's stills, in reading order.

    Every still is read twice: size and direction of the pages are those of the book.

    Args:
        stills: each gives a picture (H, W, 3) uint8 RGB.
        network: finds the pages.
        mode: one of `light.MODES`.
        on_still: called with the number of stills read, twice as many as there are in the end.

    Yields:
        for each still its pages, each with its picture (H, W, 3), or (H, W), uint8; None for one that is left out.
    """
    found: list[list[FoundPage]] = []
    samples: list[Image] = []
    usual: Floats | None = None
    opposite = []
    for place, still in enumerate(stills):
        on_still(place)
        picture = still()
        found.append(find_pages(picture, network))
        flat = [page.flat for page in found[-1] if page.flat is not None]
        # Of a book that lies sideways, one still may be taken for the right way up, and the next one for upside down.
        spine = np.subtract(*flat[0].surface.spine(2)[::-1]) if flat else usual
        usual = spine if usual is None else usual
        opposite.append(spine is not None and usual is not None and float(spine @ usual) < 0)
        samples += (
            _turned(page.cut(picture, _fitting(page.size(), READABLE)), 2 * opposite[-1])
            for page in flat[: max(0, 2 * ASKED - len(samples))]
        )
    down = is_upside_down(samples)
    sizes = np.array([page.flat.size() for pages in found for page in pages if page.flat is not None])
    aspect = float(np.median(sizes[:, 1] / sizes[:, 0])) if len(sizes) else 1.0
    width = round(float(np.median(sizes[:, 0]))) if len(sizes) else 0
    for place, (still, pages) in enumerate(zip(stills, found, strict=True)):
        on_still(len(stills) + place)
        picture, turned = still(), down != opposite[place]
        cut = [(one.page, _cut(one, picture, width, aspect, mode)) for one in pages]
        quarters = {WHOLE_FRAME: _quarter_turns(usual, upside_down=down)}
        cut = [
            (page, None if image is None else _turned(image, quarters.get(page.side, 2 * turned)))
            for page, image in cut
        ]
        if turned:
            names = {LEFT: RIGHT, RIGHT: LEFT}
            cut = [(replace(page, side=names.get(page.side, page.side)), image) for page, image in cut]
            cut.sort(key=lambda pair: (*SIDES, WHOLE_FRAME).index(pair[0].side))
        yield cut


def _turned(image: Image, quarters: int) -> Image:
    """A picture (H, W, ...) turned counterclockwise."""
    return np.ascontiguousarray(np.rot90(image, quarters))


def _quarter_turns(spine: Floats | None, *, upside_down: bool) -> int:
    """Counterclockwise quarter turns after which a book stands upright in its frame: its spine (2,) points down."""
    if spine is None:
        return 0
    x, y = -spine if upside_down else spine
    return int(np.argmax([y, -x, -y, x]))


def _cut(one: FoundPage, picture: Image, width: int, aspect: float, mode: str) -> Image | None:
    if one.page.side == WHOLE_FRAME:
        return in_mode(picture, "grey" if mode == "bw" else mode)
    if one.flat is None:
        return None
    # Never enlarged: a page that was filmed smaller than the others gets a white border.
    own = min(width, one.flat.size()[0])
    image = one.flat.cut(picture, (own, round(own * aspect)))
    image = in_mode(even_light(image, gutter_left=one.flat.side == RIGHT), mode)
    spare = (round(width * aspect) - image.shape[0], width - image.shape[1])
    top, left = spare[0] // 2, spare[1] // 2
    return np.asarray(
        cv2.copyMakeBorder(
            image, top, spare[0] - top, left, spare[1] - left, cv2.BORDER_CONSTANT, value=(255, 255, 255)
        )
    )


def _fitting(size: tuple[int, int], height: int) -> tuple[int, int]:
    factor = min(1.0, height / size[1])
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))
