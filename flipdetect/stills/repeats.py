"""Spreads that show the same pages: turned back to, or never left, as when a hand was taken for a turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flipdetect.records import Still
from flipdetect.stills.fingerprint import likeness, print_spread
from flipdetect.stills.parameters import StillParameters

OTHERS = 3
"""Other spreads that are needed to know what all of them show: margins, the gutter, what lies around the book."""

OWN_STEP = 0.5
"""Steps of print density by which a cell must exceed the mean of the other spreads to be a spread's own print."""

MUCH_PRINT = 1.0
"""Spread of the steps from which print makes up most of it; margins and the gutter of a blank page reach 0.85."""

UNLIKE_SHARE = 0.5
"""Quantile of the likeness of all pairs of spreads that is usual for different pages of the book."""

MOST_ALIKE = 0.9999


class Prints:
    """The prints of the spreads of one video, compared with each other.

    Args:
        steps: (N, n, n) steps of the fingerprint of each spread, NaN where not seen.
    """

    def __init__(self, steps: NDArray[np.float32]) -> None:
        self._steps = steps
        seen = np.isfinite(steps)
        self._count, self._sum = seen.sum(axis=0), np.nansum(steps, axis=0)
        self.alike = likeness(steps, steps)
        self._alike_z = _fisher(self.alike)
        pairs = self._alike_z[np.triu_indices(len(steps), 1)]
        known = pairs[np.isfinite(pairs)]
        self._usual = float(np.quantile(known, UNLIKE_SHARE)) if known.size else 0.0

    @property
    def many(self) -> bool:
        """Whether there are enough spreads to know what all of them show."""
        return len(self._steps) >= OTHERS + 2

    def excess(self, first: int, second: int) -> float:
        """Likeness of two spreads beyond that of most pairs, both as Fisher's z; NaN if nothing can be said."""
        return float(self._alike_z[first, second] - self._usual)

    def neighbour_excess(self, first: int, second: int) -> float:
        """Likeness of two spreads beyond that of either with the spread before or after it, as Fisher's z.

        A turn lies between those: they show what different pages of the book are like, as filmed at that time.
        """
        beside = {tuple(sorted((place, place + step))) for place in (first, second) for step in (-1, 1)}
        known = [
            float(self._alike_z[pair])
            for pair in beside
            if pair[0] >= 0 and pair[1] < len(self._steps) and pair != (min(first, second), max(first, second))
        ]
        turned = [value for value in known if np.isfinite(value)]
        return float(self._alike_z[first, second]) - max(turned) if turned else float("nan")

    def spread(self, first: int, second: int) -> float:
        """The smaller one of the spreads of two spreads' steps."""
        return min(print_spread(self._steps[first]), print_spread(self._steps[second]))

    def own(self, first: int, second: int) -> tuple[float, float]:
        """What two spreads have in common that the others do not show on the average.

        Returns:
            Their likeness without that average, NaN if nothing can be said; and the share of cells in which both have
            more print than it. Two blank pages are alike in the lack of print alone: that share is 0.
        """
        pair = self._steps[[first, second]]
        seen = np.isfinite(pair)
        count = self._count - seen.sum(axis=0)
        rest = self._sum - np.nansum(pair, axis=0)
        common = np.where(count > 0, rest / np.maximum(count, 1), np.nan).astype(np.float32)
        ours, theirs = pair - common
        known = np.isfinite(ours) & np.isfinite(theirs)
        more = np.minimum(ours[known], theirs[known]) > OWN_STEP
        return float(likeness(ours[None], theirs[None])[0, 0]), float(more.mean()) if more.size else 0.0


def first_alike(prints: Sequence[NDArray[np.float32] | None], parameters: StillParameters) -> list[int | None]:
    """For each spread the first one that shows the same pages, None if there is none before it.

    All spreads of a book are alike: they have one layout, one gutter, one desk. So two must be more alike than most
    pairs of the video are, and than either is with its neighbours in time; they must agree in what sets them off from
    the others; and that must be print, not the lack of it. Where too little is seen or printed to tell, spreads count
    as different: to keep a page twice is better than to lose one. In a video of few spreads, only a very high
    likeness of pages full of print will do.

    Args:
        prints: (n, n) mean steps of the fingerprints of each spread, None for a spread without frames.
        parameters: see `StillParameters`.
    """
    found = [place for place, steps in enumerate(prints) if steps is not None]
    known = [steps for steps in prints if steps is not None]
    first: list[int | None] = [None] * len(prints)
    if not known:
        return first
    compared = Prints(np.stack(known))
    for late in range(len(found)):
        same = [early for early in range(late) if _is_same(compared, early, late, parameters)]
        if same:
            nearest = found[max(same, key=lambda early: float(compared.alike[early, late]))]
            root = first[nearest]
            first[found[late]] = nearest if root is None else root
    return first


def _is_same(prints: Prints, early: int, late: int, parameters: StillParameters) -> bool:
    if not prints.many:
        return bool(
            prints.alike[early, late] >= parameters.repeat_likeness and prints.spread(early, late) >= MUCH_PRINT
        )
    if not prints.excess(early, late) >= parameters.repeat_excess:
        return False
    if not prints.neighbour_excess(early, late) >= parameters.repeat_neighbour_excess:
        return False
    alike, more = prints.own(early, late)
    return alike >= parameters.repeat_own_likeness and more >= parameters.repeat_own_print


def _fisher(correlation: ArrayLike) -> NDArray[np.float64]:
    """Fisher's z of correlations: differences mean the same close to 1 as far from it (R. A. Fisher, 1915)."""
    return np.asarray(np.arctanh(np.clip(correlation, -MOST_ALIKE, MOST_ALIKE)))


def kept(stills: Sequence[Still]) -> list[Still]:
    """Of spreads that show the same pages, the best still; in the order in which pages were first seen.

    Every spread is stood for by one still. Where none of its group has a frame, that is one without: it says that
    pages are missing.

    Args:
        stills: of one video, as `choose_stills` or `confirm_repeats` returned them.
    """
    groups: dict[int, list[Still]] = {}
    for still in stills:
        groups.setdefault(still.spread if still.same_as is None else still.same_as, []).append(still)
    return [
        max(groups[spread], key=lambda still: -1.0 if still.quality is None else still.quality)
        for spread in sorted(groups)
    ]


def with_repeats(stills: Sequence[Still], first: Sequence[int | None]) -> list[Still]:
    """Stills with `same_as` for the place, among them, of the first one with the same pages."""
    return [
        replace(still, same_as=None if place is None else stills[place].spread)
        for still, place in zip(stills, first, strict=True)
    ]
