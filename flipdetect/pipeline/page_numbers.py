"""Printed page numbers in the text of spreads, and what they say of pages that are missing or there twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from flipdetect.outputs.ocr import Word
from flipdetect.outputs.tables import clock

LEAST_CONFIDENCE = 40
OUTER_LINES = 3
"""A page number is in one of so many lines at the top or the bottom of its page: specks may be read as lines, too."""
NEAR = 3
"""Spreads up to this distance away confirm a number that stands alone."""
CERTAIN = 2
"""Votes that a number needs: one from each spread nearby that it fits, or as many from one with a pair."""
_NUMBER = re.compile(r"[\W_]*(\d{1,4})[\W_]*")


@dataclass(frozen=True, slots=True)
class PrintedNumber:
    """A number in a picture that may be that of a page; `x` is its centre, as a share of the picture's width."""

    value: int
    x: float


def candidates(words: Sequence[Word]) -> list[PrintedNumber]:
    """The numbers at the top and at the bottom of the left and the right half of a picture, from left to right."""
    found = []
    for half in (0, 1):
        lines: dict[tuple[str, ...], list[Word]] = {}
        for word in words:
            if (word.x >= 0.5) == bool(half):
                lines.setdefault(word.line, []).append(word)
        ordered = sorted(lines.values(), key=lambda line: line[0].y)
        for line in {id(each): each for each in (*ordered[:OUTER_LINES], *ordered[-OUTER_LINES:])}.values():
            for word in (line[0], line[-1])[: len(line)]:
                number = _NUMBER.fullmatch(word.text)
                if number and int(number[1]) and word.confidence >= LEAST_CONFIDENCE:
                    found.append(PrintedNumber(int(number[1]), word.x))
    return sorted(found, key=lambda candidate: candidate.x)


def page_numbers(read: Sequence[Sequence[PrintedNumber]]) -> list[tuple[int, ...]]:
    """The printed numbers of each spread, in ascending order; empty where none was read that others confirm.

    A pair of successive numbers on the two halves of a spread is certain. Another number counts if it fits two spreads
    nearby, or a pair; where pairs are the rule, it stands for a pair, too.

    Args:
        read: the candidates of each spread, in reading order.
    """
    pairs = [
        {
            min(left.value, right.value)
            for left in own
            for right in own
            if left.x < 0.5 <= right.x and abs(left.value - right.value) == 1
        }
        for own in read
    ]
    two = 2 * sum(map(bool, pairs)) >= max(2, sum(map(bool, read)) / 2)
    # Left pages are even in most books; pairs know better.
    odd = 2 * sum(value % 2 for pair in pairs for value in pair) > sum(map(len, pairs))
    options = [
        pair or {each.value - ((each.value + odd) % 2 if two else 0) for each in own}
        for pair, own in zip(pairs, read, strict=True)
    ]
    step = 2 if two else 1
    found: list[tuple[int, ...]] = []
    for place, values in enumerate(options):
        confirmed = []
        for value in sorted(values):
            votes = CERTAIN if len(pairs[place]) == 1 else 0
            for there in range(max(0, place - NEAR), min(len(options), place + NEAR + 1)):
                apart = step * abs(there - place)
                if apart and any(abs(other - value) == apart for other in options[there]):
                    votes += CERTAIN if pairs[there] else 1
            if votes >= CERTAIN:
                confirmed.append(value)
        found.append(tuple(range(confirmed[0], confirmed[0] + step)) if len(confirmed) == 1 else ())
    return found


def gaps(numbers: Sequence[tuple[int, ...]], times_s: Sequence[float]) -> list[str]:
    """What the printed numbers say of pages that are missing, there twice or out of order, in sentences.

    Args:
        numbers: of each spread, as `page_numbers` gives them.
        times_s: second of each one's picture.
    """
    known = [(place, own) for place, own in enumerate(numbers) if own]
    steps = [(later[0] - earlier[0]) / (after - before) for (before, earlier), (after, later) in pairwise(known)]
    if not steps:
        return []
    forward = median(steps) >= 0  # a book may be filmed from its end
    found = []
    for (before, earlier), (after, later) in pairwise(known):
        between = f"between {clock(times_s[before])} and {clock(times_s[after])}"
        low, high = (earlier, later) if forward else (later, earlier)
        pages = len(low)
        missing = high[0] - low[0] - pages * (after - before)
        where = range(low[-1] + 1, high[0])
        if missing > 0 and after == before + 1:
            found.append(f"{name_pages(where)} {'is' if len(where) == 1 else 'are'} missing {between}")
        elif missing > 0:
            found.append(f"{missing} of {name_pages(where)} {'is' if missing == 1 else 'are'} missing {between}")
        elif earlier == later:
            found.append(
                f"{name_pages(later)} {'is' if pages == 1 else 'are'} there twice, at {clock(times_s[before])} and "
                f"{clock(times_s[after])}"
            )
        elif missing < 0 and high[0] > low[0]:
            found.append(f"more pictures than pages {between}: {name_pages(low)} to {high[0]}")
        elif missing < 0:
            found.append(f"out of order: {name_pages(later)} at {clock(times_s[after])}, after {name_pages(earlier)}")
    return found


def name_pages(numbers: Sequence[int]) -> str:
    """`page 34`, `pages 34 and 35`, `pages 34 to 39`."""
    if len(numbers) == 1:
        return f"page {numbers[0]}"
    return f"pages {numbers[0]} {'and' if len(numbers) == 2 else 'to'} {numbers[-1]}"
