"""Pages that are not printed prose: handwriting, program code, comics, plates, whole-page tables, music."""

from __future__ import annotations

import cv2
import numpy as np

from flipdetect.synth.scene.page_style import Drawing, PageStyle

CONTENTS = ("handwriting", "code", "comic", "plate", "table", "music")

WASH_GRIDS = (2, 5, 14)
"""Coarseness of the colours of a comic's panel or of a plate."""


def draw_content(rng: np.random.Generator, style: PageStyle, page: Drawing) -> None:
    """Fill a blank page (h, w, 3) with `style.content`, one of `CONTENTS`, in place."""
    drawing = {
        "handwriting": _handwriting,
        "code": _code,
        "comic": _comic,
        "plate": _plate,
        "table": _table,
        "music": _music,
    }
    drawing[style.content](rng, style, page)


def _handwriting(rng: np.random.Generator, style: PageStyle, page: Drawing) -> None:
    """Joined loops along lines that rise or fall a little, on plain, ruled or squared paper."""
    height, width = page.shape[:2]
    pitch = max(10, int(width * rng.uniform(0.04, 0.075)))
    _rule(rng, page, pitch, squared=bool(rng.random() < 0.3))
    pen = tuple((rng.uniform(5, 60) + rng.choice([0, 1]) * np.array([0, 10, 90])).tolist())
    slope, slant = rng.normal(0, 0.012), rng.uniform(-0.2, 0.5)
    for top in range(int(style.margin * height), height - pitch, pitch):
        if rng.random() < 0.08:
            continue
        end = width * rng.uniform(0.5, 0.95)
        x = style.margin * width * rng.uniform(0.6, 1.3)
        while x < end:
            length = pitch * rng.uniform(0.8, 3.2)
            along = np.arange(0, length, pitch / 14)
            tall = np.repeat(rng.choice([0.22, 0.3, 0.55], len(along) // 7 + 1, p=[0.55, 0.3, 0.15]), 7)[: len(along)]
            y = tall * pitch * np.sin(along / pitch * 14 + rng.uniform(0, 6))
            points = np.stack([x + along + slant * -y, top + pitch * 0.7 + y + slope * (x + along)], axis=1)
            line = np.asarray(points * 16, np.int32).reshape(-1, 1, 2)
            cv2.polylines(page, [line], False, pen, max(1, pitch // 14), cv2.LINE_AA, 4)
            x += length + pitch * rng.uniform(0.3, 0.6)


def _rule(rng: np.random.Generator, page: Drawing, pitch: int, *, squared: bool) -> None:
    if rng.random() < 0.35:
        return
    colour = tuple((page[0, 0].astype(float) * rng.uniform([0.6, 0.7, 0.75], [0.9, 0.92, 0.97])).tolist())
    step = pitch // 2 if squared else pitch
    for y in range(step, page.shape[0], step):
        cv2.line(page, (0, y), (page.shape[1], y), colour, 1)
    for x in range(step, page.shape[1], step) if squared else ():
        cv2.line(page, (x, 0), (x, page.shape[0]), colour, 1)


def _code(rng: np.random.Generator, style: PageStyle, page: Drawing) -> None:
    """Short indented lines of words of even width, in paragraphs and grey boxes."""
    height, width = page.shape[:2]
    pitch = max(6, int(width * rng.uniform(0.02, 0.032)))
    left, y, depth = int(style.margin * width), int(style.margin * width), 0
    boxed = rng.random() < 0.5
    if boxed:
        tone = (np.asarray(style.paper) * rng.uniform(0.82, 0.95)).tolist()
        cv2.rectangle(page, (left - pitch, y - pitch), (width - left + pitch, height - left), tone, -1)
    while y < height - left - pitch:
        depth = int(np.clip(depth + rng.integers(-1, 2), 0, 5))
        if rng.random() < 0.85:
            x = left + depth * 2 * pitch
            for _ in range(int(rng.integers(1, 7))):
                end = x + int(pitch * rng.uniform(0.8, 4))
                if end > width - left:
                    break
                letters = np.arange(x, end, max(2, pitch // 2))
                for letter in letters.tolist():
                    stroke = pitch * rng.uniform(0.3, 0.55)
                    cv2.line(page, (letter, y), (letter, int(y + stroke)), style.ink, max(1, pitch // 8))
                cv2.line(page, (x, y + pitch // 2), (end - pitch // 3, y + pitch // 2), style.ink, 1)
                x = end + pitch // 2
        y += pitch


def _comic(rng: np.random.Generator, style: PageStyle, page: Drawing) -> None:
    """Rows of framed panels, in colour or in black and white, with balloons."""
    height, width = page.shape[:2]
    margin, gap = int(width * rng.uniform(0.03, 0.09)), int(width * rng.uniform(0.012, 0.035))
    coloured, rows = rng.random() < 0.65, int(rng.integers(2, 5))
    edges = np.linspace(margin, height - margin, rows + 1).astype(int)
    for top, bottom in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        cuts = np.linspace(margin, width - margin, int(rng.integers(1, 4)) + 1)
        cuts[1:-1] += rng.uniform(-0.07, 0.07, len(cuts) - 2) * width
        for left, right in zip(cuts[:-1].astype(int).tolist(), cuts[1:].astype(int).tolist(), strict=True):
            panel = page[top : bottom - gap, left : right - gap]
            panel[:] = _wash(rng, panel.shape[1], panel.shape[0], flat=True, coloured=coloured)
            for _ in range(int(rng.integers(1, 5))):
                _figure(rng, panel, coloured=coloured)
            if rng.random() < 0.7:
                centre = (int(rng.uniform(0.2, 0.8) * panel.shape[1]), int(rng.uniform(0.12, 0.3) * panel.shape[0]))
                axes = (max(4, int(0.22 * panel.shape[1])), max(3, int(0.1 * panel.shape[0])))
                cv2.ellipse(panel, centre, axes, 0, 0, 360, (250, 250, 248), -1, cv2.LINE_AA)
                cv2.ellipse(panel, centre, axes, 0, 0, 360, (10, 10, 10), max(1, width // 300), cv2.LINE_AA)
            cv2.rectangle(page, (left, top), (right - gap, bottom - gap), (12, 12, 12), max(1, width // 250))


def _figure(rng: np.random.Generator, panel: Drawing, *, coloured: bool) -> None:
    """A filled shape with a dark outline, as figures and things in a drawing have."""
    height, width = panel.shape[:2]
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(4, 9))))
    reach = rng.uniform(0.1, 0.4, len(angles))[:, None] * min(height, width)
    outline = rng.uniform(0.1, 0.9, 2) * [width, height] + reach * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.asarray(outline * 16, np.int32).reshape(-1, 1, 2)
    fill = rng.uniform(20, 235, 3) if coloured else np.full(3, rng.choice([15.0, 120.0, 245.0]))
    cv2.fillPoly(panel, [points], fill.tolist(), cv2.LINE_AA, 4)
    cv2.polylines(panel, [points], True, (12, 12, 12), max(1, width // 90), cv2.LINE_AA, 4)


def _plate(rng: np.random.Generator, style: PageStyle, page: Drawing) -> None:
    """One picture over the page or most of it, often in colour."""
    height, width = page.shape[:2]
    inset = int(width * rng.choice([0.0, 0.05, 0.12]))
    bottom = height - inset - int(rng.choice([0, 0, 1]) * 0.15 * height)
    plate = page[inset:bottom, inset : width - inset]
    plate[:] = _wash(rng, plate.shape[1], plate.shape[0], flat=False, coloured=bool(rng.random() < 0.7))


def _wash(rng: np.random.Generator, width: int, height: int, *, flat: bool, coloured: bool) -> Drawing:
    """Soft colours, or flat ones in steps."""
    tone = np.full((height, width, 3), rng.uniform(90, 215), np.float32)
    if coloured:
        tone += rng.uniform(-60, 60, 3).astype(np.float32)
    for grid in WASH_GRIDS:
        noise = rng.normal(0, 1, (grid, grid, 3 if coloured else 1)).astype(np.float32)
        soft = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, -1)
        tone += soft * (45 / grid**0.5)
    if flat:
        tone = np.round(tone / np.float32(50)) * np.float32(50)
    return np.clip(tone, 6, 250).astype(np.uint8)


def _table(rng: np.random.Generator, style: PageStyle, page: Drawing) -> None:
    """Numbers in columns over the whole page, with or without lines."""
    height, width = page.shape[:2]
    margin, pitch = int(style.margin * width), max(6, int(width * rng.uniform(0.024, 0.045)))
    columns, lined = int(rng.integers(3, 9)), rng.random() < 0.6
    step = (width - 2 * margin) / columns
    for y in range(margin, height - margin, pitch):
        if lined:
            cv2.line(page, (margin, y - pitch // 4), (width - margin, y - pitch // 4), style.ink, 1)
        for column in range(columns):
            digits = int(rng.integers(1, 6)) if column else 7
            for digit in range(digits):
                x = (
                    int(margin + (column + 0.85) * step - digit * pitch * 0.4)
                    if column
                    else margin + digit * pitch // 2
                )
                cv2.rectangle(page, (x, y), (x + pitch // 6, y + pitch // 2), style.ink, 1)
    for column in range(columns + 1) if lined else ():
        x = int(margin + column * step)
        cv2.line(page, (x, margin), (x, height - margin), style.ink, 1)


def _music(rng: np.random.Generator, style: PageStyle, page: Drawing) -> None:
    """Staves with notes and bars."""
    height, width = page.shape[:2]
    margin, gap = int(style.margin * width), max(3, int(width * rng.uniform(0.009, 0.014)))
    for top in range(margin, height - margin - 5 * gap, int(gap * rng.uniform(11, 15))):
        for line in range(5):
            cv2.line(page, (margin, top + line * gap), (width - margin, top + line * gap), style.ink, 1)
        x = margin + 3 * gap
        while x < width - margin - gap:
            y = top + int(rng.uniform(-1, 5) * gap)
            cv2.ellipse(page, (x, y), (max(2, gap * 2 // 3), max(1, gap // 2)), -20, 0, 360, style.ink, -1, cv2.LINE_AA)
            stem = -3 * gap if y > top + 2 * gap else 3 * gap
            cv2.line(page, (x + gap // 2, y), (x + gap // 2, y + stem), style.ink, max(1, gap // 8))
            if rng.random() < 0.12:
                cv2.line(page, (x + 2 * gap, top), (x + 2 * gap, top + 4 * gap), style.ink, 1)
            x += int(gap * rng.uniform(2.2, 5))
