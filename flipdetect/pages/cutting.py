"""From the stills of a book to its pages: left and right apart, flat, evenly lit, upright, of one size.

Which way up a book lies says Tesseract where it is installed, else the shapes of lines of text.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.pages.flatten import FlatPage, flat_page, ink_of, level_lines, trace_lines
from flipdetect.pages.network import PageNetwork
from flipdetect.pages.outline import find_spread, refine
from flipdetect.pages.surface import LEFT, RIGHT, SIDES, Floats
from flipdetect.records import WHOLE_FRAME, BookPage

Image = NDArray[np.uint8]

SURE = 0.85
"""A page whose outline has less confidence is doubtful: the whole frame is kept instead."""
SHOWN = 0.5
"""A page of which less is in view is left out; it is named, with its share."""
READABLE = 1400
"""Pixels of a page's height at which it is looked at to tell which way up the book lies."""

ASKED = 5
"""Pages of a book that are looked at: they all lie the same way."""
TESSERACT_SURE = 1.0
"""Tesseract's confidence from which a page counts."""
TIME_LIMIT_S = 20.0
FEWEST_LINES, MAJORITY = 8, 0.65
MOST_TILT = 0.01

COARSE = (48, 64)
"""Columns and rows at which the light is estimated."""
GUTTER = 0.07
"""Distance from the gutter, in page widths, over which its shade fades."""
PAPER = 0.9
"""Paper is at least this bright compared with the light; what is darker is print or a picture."""
BLACK = 90
"""Grey, 0 to 255, below which a page is black in black and white, also inside dark areas."""
MOST_GAIN = 2.5
WHITEST = 245.0


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
        mode: "colour", "grey" or "bw".
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
            _turned(page.cut(picture, page.size_up_to(READABLE)), 2 * opposite[-1])
            for page in flat[: max(0, 2 * ASKED - len(samples))]
        )
    down = is_upside_down(samples)
    # Quarter turns after which the spine of a whole frame points down.
    x, y = (0, 1) if usual is None else -usual if down else usual
    upright = int(np.argmax([y, -x, -y, x]))
    sizes = np.array([page.flat.size() for pages in found for page in pages if page.flat is not None])
    aspect = float(np.median(sizes[:, 1] / sizes[:, 0])) if len(sizes) else 1.0
    width = round(float(np.median(sizes[:, 0]))) if len(sizes) else 0
    for place, (still, pages) in enumerate(zip(stills, found, strict=True)):
        on_still(len(stills) + place)
        picture, turned = still(), down != opposite[place]
        cut = [(one.page, _cut(one, picture, width, aspect, mode)) for one in pages]
        cut = [
            (page, None if image is None else _turned(image, upright if page.side == WHOLE_FRAME else 2 * turned))
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


def is_upside_down(pages: Sequence[Image]) -> bool:
    """Whether the flat pages (H, W, 3) uint8 of a book stand on their heads; False if that is unsure."""
    program, votes = shutil.which("tesseract"), []
    for page in pages[:ASKED] if program else ():
        done, data = cv2.imencode(".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR))
        command = [str(program), "stdin", "stdout", "--psm", "0", "--dpi", "150"]
        with suppress(OSError, subprocess.TimeoutExpired):
            run = subprocess.run(command, input=data.tobytes(), capture_output=True, timeout=TIME_LIMIT_S, check=False)
            text = run.stdout.decode("utf-8", "replace")
            turn, sure = re.search(r"Rotate: (\d+)", text), re.search(r"Orientation confidence: ([\d.]+)", text)
            if done and turn and sure and float(sure[1]) >= TESSERACT_SURE:
                votes.append(int(turn[1]))
    if votes.count(180) != votes.count(0):
        return votes.count(180) > votes.count(0)
    by_lines = [vote for page in pages for vote in _line_votes(page)]
    return len(by_lines) >= FEWEST_LINES and by_lines.count(True) > MAJORITY * len(by_lines)


def _line_votes(page: Image) -> list[bool]:
    """For each line of text whether it looks upside down: more strokes rise above small letters than hang below."""
    height, width = page.shape[:2]
    ink, lines = ink_of(page), trace_lines(page)
    votes = []
    middles = np.sort([line[:, 1].mean() for line in lines])
    gap = float(np.median(np.diff(middles))) if len(middles) > 2 else 0.02
    for line in lines:
        if np.ptp(line[:, 1]) > MOST_TILT:
            continue
        middle, reach = line[:, 1].mean() * height, max(3.0, min(gap, 0.04) * height / 2)
        top, bottom = max(0, round(middle - reach)), min(height, round(middle + reach) + 1)
        left, right = round(line[0, 0] * width), round(line[-1, 0] * width) + 1
        profile = ink[top:bottom, left:right].sum(axis=1).astype(np.float64)
        body = np.flatnonzero(profile > 0.5 * profile.max())
        above, below = profile[: body[0]].sum(), profile[body[-1] + 1 :].sum()
        if max(above, below) > 0.02 * profile.sum():
            votes.append(bool(below > above))
    return votes


def even_light(page: Image, *, gutter_left: bool) -> Image:
    """A page (H, W, 3) uint8 with the light of lamp, gutter and soft shadows evened; the paper keeps its tint.

    The light is a smooth surface through what is paper: a cubic polynomial and the shade of the gutter, fitted again
    and again to what is not darker than it. Pictures and print are darker, and keep their contrast.
    """
    height, width = page.shape[:2]
    stroke = max(3, round(max(height, width) / 60)) | 1
    bare = cv2.dilate(cv2.resize(page, (max(COARSE[0], width // 2), max(COARSE[1], height // 2))),
                      np.ones((stroke // 2 | 1, stroke // 2 | 1), np.uint8))  # fmt: skip
    small = cv2.resize(bare, COARSE, interpolation=cv2.INTER_AREA).astype(np.float64)
    y, x = np.mgrid[0 : COARSE[1], 0 : COARSE[0]]
    x, y = (x.ravel() + 0.5) / COARSE[0], (y.ravel() + 0.5) / COARSE[1]
    shade = np.exp(-(x if gutter_left else 1 - x) / GUTTER)  # it may change down the page
    basis = np.stack([*(x**i * y**j for i in range(4) for j in range(4 - i)), shade, shade * y], axis=1)
    values = small.reshape(-1, 3)
    tone = values.mean(axis=1)
    paper = tone > 0.6 * np.quantile(tone, 0.9)
    for _ in range(8):
        fitted = basis @ _least_squares(basis[paper], tone[paper])
        now = (tone > PAPER * fitted) & (tone < 1.15 * fitted)
        if now.sum() < 0.15 * len(tone) or (now == paper).all():
            break
        paper = now
    light = np.maximum(basis @ _least_squares(basis[paper], values[paper]), 8.0)
    white = np.median(values[paper], axis=0)
    white *= min(WHITEST / white.max(), 1.6)
    gain = np.clip(white / light, 0.7, MOST_GAIN).reshape(COARSE[1], COARSE[0], 3).astype(np.float32)
    gain = cv2.resize(gain, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(page * gain, 0, 255), np.uint8)


def in_mode(page: Image, mode: str) -> Image:
    """A page (H, W, 3) uint8 in mode "colour" (as it is), "grey" or "bw": (H, W) uint8."""
    if mode == "colour":
        return page
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    if mode == "grey":
        return np.asarray(grey)
    block = max(15, min(page.shape[:2]) // 25) | 1
    print_free = cv2.adaptiveThreshold(grey, 255, cv2.ADAPTIVE_THRESH_GAUSSIAN_C, cv2.THRESH_BINARY, block, 14)
    return np.asarray(np.where(grey < BLACK, 0, print_free), np.uint8)


def _least_squares(basis: Floats, values: Floats) -> Floats:
    ridge = np.eye(basis.shape[1]) * 1e-3
    return np.asarray(np.linalg.solve(basis.T @ basis + ridge, basis.T @ values))
