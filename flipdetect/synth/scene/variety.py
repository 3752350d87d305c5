"""What there is besides a printed book on a desk, for `scenes: any`: other books, places and views.

Everything here is drawn from streams of its own, so that `scenes: desk` is rendered as if this did not exist.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flipdetect.synth.camera import Phone
from flipdetect.synth.scene.book import Book
from flipdetect.synth.scene.content import CONTENTS
from flipdetect.synth.scene.page_style import PageStyle
from flipdetect.synth.sheet import RestProfile, TurnStyle

View = tuple[tuple[float, ...], tuple[float, ...], float, float]
"""Eye, target, roll in radians, and focal length as a share of the frame's height."""

PLACES = ("desk", "close", "held")
PLACE_CHANCES = (0.45, 0.3, 0.25)
"""A book seen whole; one page that nearly fills the frame; a book held in the air before a wall or a room."""

OTHER_CONTENT = 0.45
"""Share of the books that are not printed prose."""

SPIRAL, HALF_OPEN = 0.1, 0.15
"""Shares of the books that are bound by wire, and of those on a desk one half of which does not lie down."""

LOOSE = 0.1
"""Share of the sources that are no book but loose sheets, seen one at a time."""

UPSIDE_DOWN, GREY, GLARING = 0.08, 0.08, 0.12
"""Shares of the films that are taken from across the desk, without colour, and so bright that print fades."""

BENT_TURNS = 0.25
"""Share of the turns in which the sheet bends double or stands up."""


def sample_place(rng: np.random.Generator) -> str:
    """One of `PLACES`."""
    return str(rng.choice(PLACES, p=PLACE_CHANCES))


def other_view(rng: np.random.Generator, view: View, place: str) -> tuple[View, float]:
    """The view of a book at a place, and the height of the ground behind it; below 0 if the book is held in the air."""
    eye, target, roll, focal = view
    ground_z = 0.0
    if place == "close":
        x, y = rng.choice([-1, 1]) * rng.uniform(0.25, 0.55), rng.uniform(-0.2, 0.2)
        moved = np.array([x - target[0], y - target[1], 0.0])
        eye, target = tuple((eye + moved).tolist()), tuple((target + moved).tolist())
        focal = float(np.linalg.norm(np.subtract(eye, target)) * rng.uniform(0.75, 1.15) * 9 / 16)
    elif place == "held":
        ground_z = float(-rng.uniform(1.0, 6.0))
    if rng.random() < UPSIDE_DOWN:
        roll += np.pi
    return (eye, target, roll, focal), ground_z


def other_book(rng: np.random.Generator, book: Book, *, held: bool) -> Book:
    """A book held in the air, half open, bound by wire, or as it was."""
    if held:
        # The halves rise to both sides of the spine, as wide as the hands hold them.
        right, left = (RestProfile(rng.uniform(0.0, 0.35), rng.uniform(1.5, 4.0), rng.uniform(0.0, 0.3)) for _ in "rl")
        book = replace(book, right=right, left=left, spine_z=0.05, overhang=0.0, thickness=rng.uniform(0.015, 0.15))
    elif rng.random() < HALF_OPEN:
        # A thick paperback: the spine holds one half up.
        standing = RestProfile(rng.uniform(0.35, 0.8), rng.uniform(1.5, 4.0), rng.uniform(0.2, 0.7))
        right, left = (book.right, standing) if rng.random() < 0.5 else (standing, book.left)
        book = replace(book, right=right, left=left, overhang=0.0, thickness=rng.uniform(0.05, 0.25))
    if rng.random() < SPIRAL:
        flat = [RestProfile(rng.uniform(0.0, 0.12), rng.uniform(0.1, 0.3), rng.uniform(0.0, 0.15)) for _ in "rl"]
        tone = float(rng.choice([0.03, 0.25, 0.7]))
        rings = int(rng.integers(16, 40))
        book = replace(
            book, right=flat[0], left=flat[1], spine_z=max(book.spine_z, 0.06), gutter=0.05, rings=rings, wire=tone
        )
    return book


def loosen(rng: np.random.Generator, book: Book) -> Book:
    """A loose sheet, nearly flat, on the desk or in the air, instead of a book; or the book as it was."""
    if rng.random() >= LOOSE:
        return book
    curls = rng.normal(0, 0.04, 2)
    flat = RestProfile(0.0, 0.1, 0.0, wave=float(abs(curls[0])), waves=float(rng.choice([0.5, 1.0])))
    lift = book.spine_z if book.thickness is not None else 0.01
    return replace(book, right=flat, left=flat, spine_z=lift, gutter=0.0, overhang=0.0, rings=0, loose=True)


def other_style(rng: np.random.Generator, style: PageStyle) -> PageStyle:
    """Pages with other content or on other paper, or as they were."""
    if rng.random() < OTHER_CONTENT:
        style = replace(style, content=str(rng.choice(CONTENTS)))
    if rng.random() < 0.15:
        style = replace(style, show_through=rng.uniform(0.1, 0.4))
    paper = rng.random()
    if paper < 0.12:  # brighter than the phone shows
        style = replace(style, paper=(255.0, 255.0, 255.0), weight=style.weight * rng.uniform(0.3, 1.0))
    elif paper < 0.24:  # newsprint, tinted and old paper
        style = replace(style, paper=tuple((rng.uniform(185, 235) + rng.uniform(-22, 18, 3)).tolist()))
    return style


def other_phone(rng: np.random.Generator, phone: Phone) -> Phone:
    """A phone whose pictures glare or are grey, or as it was."""
    if rng.random() < GLARING:
        phone = replace(phone, exposure=rng.uniform(1.4, 2.1), shoulder=rng.uniform(0.85, 0.98))
    if rng.random() < GREY:
        phone = replace(phone, saturation=0.0)
    return phone


def vary_turn(rng: np.random.Generator, style: TurnStyle) -> TurnStyle:
    """How a sheet bends, for some more strongly."""
    lead, bulge = rng.uniform(-0.8, 1.1), rng.uniform(-1.0, 1.3)
    return replace(style, lead=lead, bulge=bulge) if rng.random() < BENT_TURNS else style
