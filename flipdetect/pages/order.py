"""Which way up a book lies: by Tesseract where it is installed, else by the shapes of lines of text."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.pages.flatten import trace_lines

Image = NDArray[np.uint8]

ASKED = 5
"""Pages of a book that are looked at: they all lie the same way."""
SURE = 1.0
"""Tesseract's confidence from which a page counts."""
TIME_LIMIT_S = 20.0
FEWEST_LINES, MAJORITY = 8, 0.65
MOST_TILT = 0.01


def is_upside_down(pages: Sequence[Image]) -> bool:
    """Whether the flat pages (H, W, 3) uint8 of a book stand on their heads; False if that is unsure."""
    program = shutil.which("tesseract")
    by_lines = [vote for page in pages for vote in _line_votes(page)]
    if program is not None:
        votes = [_ask_tesseract(program, page) for page in pages[:ASKED]]
        down, up = votes.count(180), votes.count(0)
        if down != up:
            return down > up
    return len(by_lines) >= FEWEST_LINES and by_lines.count(True) > MAJORITY * len(by_lines)


def _ask_tesseract(program: str, page: Image) -> int | None:
    """Degrees by which Tesseract would turn a page; None if it does not know."""
    done, data = cv2.imencode(".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR))
    if not done:
        return None
    command = [program, "stdin", "stdout", "--psm", "0", "--dpi", "150"]
    try:
        run = subprocess.run(command, input=data.tobytes(), capture_output=True, timeout=TIME_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    text = run.stdout.decode("utf-8", "replace")
    turn, sure = re.search(r"Rotate: (\d+)", text), re.search(r"Orientation confidence: ([\d.]+)", text)
    return int(turn[1]) if turn and sure and float(sure[1]) >= SURE else None


def _line_votes(page: Image) -> list[bool]:
    """For each line of text whether it looks upside down: more strokes rise above small letters than hang below."""
    height, width = page.shape[:2]
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    ink = cv2.adaptiveThreshold(
        grey, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, max(3, height // 30) | 1, 12
    )
    votes = []
    lines = trace_lines(page)
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
