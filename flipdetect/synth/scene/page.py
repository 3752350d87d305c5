"""What is printed on a page: running head, headings, columns of text, pictures, tables, or nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np

from flipdetect.synth.camera import Picture
from flipdetect.synth.render.rasterizer import linear
from flipdetect.synth.scene.content import draw_content
from flipdetect.synth.scene.page_style import Drawing, PageStyle

DRAWN_LARGER = 2
"""Pages are drawn this much larger than wanted, so that letters melt to grey as print does."""


def draw_page(rng: np.random.Generator, style: PageStyle, width: int, height: int) -> Picture:
    """One page, (height, width, 3) float32 linear light, its outer edges at the picture's edges."""
    page = np.empty((height * DRAWN_LARGER, width * DRAWN_LARGER, 3), np.uint8)
    cv2.rectangle(page, (0, 0), page.shape[1::-1], np.asarray(style.paper, np.uint8).tolist(), -1)
    if rng.random() > 0.08:
        # No two pages of a book are printed alike: a faint page is not one that moves.
        weight = style.weight * (1 + style.uneven * rng.uniform(-0.5, 0.1))
        paper = np.asarray(style.paper)
        ink = paper + min(weight, 1.0) * (np.asarray(style.ink) - paper)
        _fill_page(rng, replace(style, ink=tuple(ink.tolist())), page)
    small = cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    grain = cv2.resize(rng.normal(0, 1, (12, 9)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return linear(np.clip(small + grain[..., None] * 1.2, 0, 255))


def bind_sheet(front: Picture, back: Picture, style: PageStyle, gutter: float) -> Picture:
    """Both pages (h, w, 3) of a sheet side by side as light meets them: (h, 2 w, 3).

    The other side shows through a little, and the gutter takes a share `gutter` of the light at the spine.
    """
    along = np.linspace(0, 1, front.shape[1], dtype=np.float32)
    shade = 1 - gutter * np.exp(-along / 0.05) - 0.25 * gutter * np.exp(-along / 0.2)
    pages = []
    for page, other, from_spine in ((front, back, shade), (back, front, shade[::-1])):
        ghost = cv2.GaussianBlur(cv2.flip(other, 1), (0, 0), max(1.0, page.shape[1] / 160))
        # Rows of colours in one piece are multiplied quicker.
        seen = ghost.reshape(len(ghost), -1) * np.tile(style.show_through / linear(style.paper), page.shape[1])
        share = (seen + (1 - style.show_through)) * np.repeat(from_spine, 3)
        pages.append(page * share.reshape(page.shape))
    return np.ascontiguousarray(np.concatenate(pages, axis=1), np.float32)


def _fill_page(rng: np.random.Generator, style: PageStyle, page: Drawing) -> None:
    if style.content != "print":
        draw_content(rng, style, page)
        return
    height, width = page.shape[:2]
    margin, pitch = int(style.margin * width), max(4, int(style.line * width))
    top = int(margin * rng.uniform(0.8, 1.4))
    if rng.random() < 0.7:
        _text_line(rng, style, page, margin, margin + width // 4, top - pitch, int(pitch * 0.8))
    bottom = height - int(margin * rng.uniform(0.9, 1.5))
    if rng.random() < 0.12:
        bottom = int(height * rng.uniform(0.3, 0.8))
    gap = width // 24
    column = (width - 2 * margin - gap * (style.columns - 1)) // style.columns
    for index in range(style.columns):
        left = margin + index * (column + gap)
        _fill_column(rng, style, page, (left, top, left + column, bottom), pitch)
    if rng.random() < 0.7:
        middle = width // 2
        _text_line(rng, style, page, middle - pitch, middle + pitch, height - margin // 2 - pitch, pitch)


def _fill_column(
    rng: np.random.Generator, style: PageStyle, page: Drawing, box: tuple[int, int, int, int], pitch: int
) -> None:
    left, y, right, bottom = box
    while y < bottom - 2 * pitch:
        kind = rng.random()
        if kind < style.picture_share:
            tall = int(min(rng.uniform(0.2, 0.55) * (right - left) + 3 * pitch, bottom - y))
            inset = int(rng.choice([0.0, 0.08, 0.2]) * (right - left))
            _picture(rng, style, page[y : y + tall, left + inset : right - inset])
            y += tall + pitch
        elif kind < style.picture_share + 0.18:
            size = int(pitch * rng.uniform(1.2, 1.7))
            _text_line(rng, style, page, left, left + int((right - left) * rng.uniform(0.3, 0.9)), y, size, bold=True)
            y += size + pitch // 2
        else:
            indent = int(rng.choice([0, 0, 1, 3]) * pitch)
            for remaining in range(int(rng.integers(2, 12)), -1, -1):
                if y > bottom - pitch:
                    break
                end = right if remaining else left + int((right - left) * rng.uniform(0.2, 0.95))
                _text_line(rng, style, page, left + indent, end, y, pitch)
                y += pitch
            y += pitch // 2


def _text_line(
    rng: np.random.Generator,
    style: PageStyle,
    page: Drawing,
    left: int,
    right: int,
    top: int,
    pitch: int,
    *,
    bold: bool = False,
) -> None:
    """Letters as stems, bars, ascenders and descenders in words, drawn straight into the page."""
    length, body = right - left, max(2, int(pitch * 0.42))
    if length < 4 or top < 0 or top + pitch > page.shape[0]:
        return
    letter = max(2, int(body * 0.75))
    letters = length // letter + 1
    stems = rng.random((body, letters * letter)) < 0.06
    columns = np.arange(letters * letter) % letter
    stem_here = (columns == 0) | ((columns == letter // 2) & np.repeat(rng.random(letters) < 0.4, letter))
    stems |= stem_here[None] & np.repeat(rng.random(letters) < 0.85, letter)[None]
    stems[0] |= np.repeat(rng.random(letters) < 0.6, letter)
    stems[-1] |= np.repeat(rng.random(letters) < 0.6, letter)
    rise = max(1, int(body * 0.5))
    tall = np.repeat(rng.random(letters) < 0.28, letter) & (columns == 0)
    low = np.repeat(rng.random(letters) < 0.12, letter) & (columns == 0)
    glyphs = np.concatenate([np.repeat(tall[None], rise, 0), stems, np.repeat(low[None], rise, 0)])
    gaps = np.zeros(letters, bool)
    gaps[np.cumsum(rng.integers(3, 10, letters // 3 + 1)).clip(0, letters - 1)] = True
    glyphs &= ~np.repeat(gaps, letter)[None]
    if bold:
        glyphs[:, 1:] |= glyphs[:, :-1]
    patch = page[top : top + len(glyphs), left : left + min(length, glyphs.shape[1])]
    patch[glyphs[: patch.shape[0], : patch.shape[1]]] = style.ink


def _picture(rng: np.random.Generator, style: PageStyle, patch: Drawing) -> None:
    """A photograph, a dark screen, a diagram or a table, in place."""
    height, width = patch.shape[:2]
    if height < 8 or width < 8:
        return
    kind = rng.integers(0, 5)
    if kind <= 1:
        patch[:] = _photograph(rng, style, width, height)
    elif kind == 2:
        patch[:] = rng.uniform(20, 70)
        for y in range(4, height - 8, 10):
            cv2.line(patch, (5, y), (int(rng.uniform(8, width)), y), (190, 190, 190), 1)
    elif kind == 3:  # a table
        rows, columns = int(rng.integers(3, 9)), int(rng.integers(2, 6))
        patch[: height // rows] = np.asarray(style.paper) * rng.uniform(0.55, 1.0)
        for y in np.linspace(0, height - 2, rows + 1).astype(int):
            cv2.line(patch, (0, int(y)), (width - 1, int(y)), style.ink, 1)
        for x in np.linspace(0, width - 2, columns + 1).astype(int):
            cv2.line(patch, (int(x), 0), (int(x), height - 1), style.ink, 1)
        for row, column in np.ndindex(rows, columns):
            left, top = column * width // columns + 3, row * height // rows + 2
            end = left + int(width / columns * rng.uniform(0.2, 0.8))
            _text_line(rng, style, patch, left, end, top, min(12, height // rows - 2))
    else:  # a diagram
        nodes = [(int(rng.uniform(0.1, 0.9) * width), int(rng.uniform(0.15, 0.85) * height)) for _ in range(6)]
        for first, second in pairwise(nodes):
            cv2.line(patch, first, second, style.ink, 2, cv2.LINE_AA)
        for x, y in nodes:
            fill = (np.asarray(style.paper) * rng.uniform(0.3, 1.0)).tolist()
            half = int(rng.uniform(0.04, 0.09) * width)
            cv2.rectangle(patch, (x - half, y - half // 2), (x + half, y + half // 2), fill, -1)
            cv2.rectangle(patch, (x - half, y - half // 2), (x + half, y + half // 2), style.ink, 1)


def _photograph(rng: np.random.Generator, style: PageStyle, width: int, height: int) -> Drawing:
    channels = 3 if style.colour_pictures else 1
    tone = np.zeros((height, width, channels), np.float32)
    for grid in (3, 7, 18):
        noise = rng.normal(0, 1, (grid, grid, channels)).astype(np.float32)
        tone += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(tone.shape) * (42 / grid**0.4)
    if channels == 3:
        # Photographs are mostly one hue in light and shade; pure noise in three channels looks like confetti.
        tone = 0.75 * tone.mean(axis=2, keepdims=True) + 0.25 * tone + rng.uniform(-35, 35, 3).astype(np.float32)
    tone += rng.uniform(70, 170)
    for _ in range(int(rng.integers(0, 4))):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        radius = int(rng.uniform(0.05, 0.3) * height) + 1
        cv2.circle(tone, centre, radius, (rng.uniform(10, 240) + rng.uniform(-30, 30, 3)).tolist(), -1)
    return np.broadcast_to(np.clip(tone, 8, 245), (height, width, 3)).astype(np.uint8)
