"""Which frames of a film are worth looking at: all where the picture changes, few where it rests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]

SIDE = 160
"""Pixels of the long side at which frames are compared: sensor noise is averaged away, paragraphs are visible."""

SMOOTHING, DETAIL = 0.8, 6.0
"""Standard deviations in pixels: of the blur that hides what a misalignment by less than a pixel does to edges, and of
that whose difference to the frame (edges and print, without light) is aligned."""

MOST_SHIFT = 0.25
"""Share of a side by which a hand-held camera moves at most; more was matched by mistake."""

BLOCK = 10
"""Side in pixels of the blocks whose mean difference counts: a finger, or a few lines of print."""

CHANGED = 16.0
"""Difference, of 255, that the block next to the most different one has where frames differ. Of ten pairs of frames of
a hand-held camera, a second apart and at rest, seven or eight stay below; pairs between which a page was turned have 90
and more, pairs in the middle of a turn 19 and more, pages of one textbook 22 and more (docs/research/benchmarks.md)."""

ODDS_APART = 1.0
"""Difference in log-odds of two frames from which something may happen between them, as for `score_video`."""

MOST_HIDDEN = 0.4
"""Share of the picture behind hands up to which the rest of it shows whether a page was turned."""

_AROUND = np.ones((3, 3), np.uint8)
_window = lru_cache(maxsize=4)(cv2.createHanningWindow)


@dataclass(frozen=True)
class Opinion:
    """What a model says of a frame.

    Attributes:
        probability: of a flip.
        is_flip: whether that is enough.
        odds: its logarithm against no flip.
        hands: (h, w) float32, the model's map of hands.
        hidden: (h, w) uint8, not 0 where the upright frame shows hands, or what is next to them; everywhere if hands
            cover most of the pages.
    """

    probability: float
    is_flip: bool
    odds: float
    hands: Grey
    hidden: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Glance:
    """A frame as it is compared.

    Attributes:
        grey: (h, w) float32, 0 to 255, with a long side of `SIDE` pixels, as stored: not turned upright.
        detail: (h, w) float32, what is left of it without light.
        hidden: (h, w) float32, not 0 where it is not to be compared; None: nowhere.
    """

    grey: Grey
    detail: Grey
    hidden: Grey | None = None

    @classmethod
    def at(cls, frame: av.VideoFrame) -> Glance:
        """Glance at a decoded frame."""
        scale = SIDE / max(frame.width, frame.height)
        width, height = (max(BLOCK, round(size * scale)) for size in (frame.width, frame.height))
        small = frame.reformat(width=width, height=height, format="gray", interpolation="AREA").to_ndarray()
        grey = np.asarray(cv2.GaussianBlur(small.astype(np.float32), (0, 0), SMOOTHING), np.float32)
        return cls(grey, grey - np.asarray(cv2.GaussianBlur(grey, (0, 0), DETAIL), np.float32))

    def without(self, hidden: NDArray[np.uint8]) -> Glance:
        """The same where a mask (h, w), of any resolution, is 0."""
        size = self.grey.shape[::-1]
        return replace(self, hidden=cv2.resize(hidden, size, interpolation=cv2.INTER_NEAREST).astype(np.float32))

    def differs_from(self, other: Glance) -> bool:
        """Whether something else is to be seen; a movement of the whole picture does not count.

        If more than `MOST_HIDDEN` of it is hidden in one of the two, it does.
        """
        if self.grey.shape != other.grey.shape:
            return True
        height, width = self.grey.shape
        (right, down), _ = cv2.phaseCorrelate(other.detail, self.detail, _window((width, height), cv2.CV_32F))
        if not (abs(right) <= MOST_SHIFT * width and abs(down) <= MOST_SHIFT * height):  # also of NaN
            right = down = 0.0
        matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
        # Outside of the other frame nothing can be compared.
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(self.grey, matrix, (width, height), flags=how, borderValue=np.nan)
        # What lies between its neighbours' values may be the same, turned or moved by up to a pixel.
        highest, lowest = cv2.dilate(other.grey, _AROUND), cv2.erode(other.grey, _AROUND)
        difference = np.nan_to_num(np.maximum(np.maximum(moved - highest, lowest - moved), 0))
        if self.hidden is not None and other.hidden is not None:
            hidden = (cv2.warpAffine(self.hidden, matrix, (width, height), flags=how) + other.hidden) > 0
            if hidden.mean() > MOST_HIDDEN:
                return True
            difference[hidden] = 0
        size = (max(1, width // BLOCK), max(1, height // BLOCK))
        blocks = cv2.resize(difference, size, interpolation=cv2.INTER_AREA)
        return float(np.sort(blocks, axis=None)[-2:][0]) > CHANGED


REST_S = 0.5
"""Seconds between the frames that are taken while the picture rests."""

SETTLED_S = 0.3
"""Seconds of rest after which a frame that looks like the next key frame ends its group of pictures."""


class Taken(NamedTuple):
    """A frame to look at: its number, second, and whether it is one of the frames in between; see `FrameSelection`.

    Of a key frame, there may be an opinion already.
    """

    number: int
    time_s: float
    frame: av.VideoFrame
    fine: bool
    opinion: Opinion | None = None


class FrameSelection:
    """Takes frames of a film, in order: those wanted, or fewer while the picture rests.

    Every `refine`-th frame that is wanted is coarse, the others are fine: they lie between two coarse ones, and need
    be looked at only if these differ. With `skips_rest`, fine frames are taken only where the picture changes from one
    coarse frame to the next, and of the coarse ones, while it rests, one every `REST_S`.

    Args:
        wants: whether to take the frame of a number and a second; asked once for each frame, in order.
        refine: see above; with 1, there are no fine frames.
        skips_rest: see above.
    """

    def __init__(self, wants: Callable[[int, float], bool], refine: int = 1, *, skips_rest: bool = False) -> None:
        self._wants, self._refine, self._skips_rest = wants, refine, skips_rest
        self._count = 0
        self._fine: list[Taken] = []  # since the last coarse frame
        self._passed_over: Taken | None = None  # the last coarse frame, if it was not taken
        self._glance: Glance | None = None  # of the last coarse frame taken
        self._seen: Glance | None = None  # of the last coarse frame
        self._taken_s = self._changed_s = 0.0

    def push(self, index: int, time_s: float, frame: av.VideoFrame) -> Iterator[Taken]:
        """Take in the next frame; gives the frames that turn out to be worth looking at, up to this one."""
        if not self._wants(index, time_s):
            return
        taken = Taken(index, time_s, frame, self._count % self._refine != 0)
        self._count += 1
        if not self._skips_rest:
            yield taken
        elif taken.fine:
            self._fine.append(taken)
        else:
            yield from self._coarse(taken, Glance.at(frame))

    def push_key(self, key: Taken, glance: Glance) -> Iterator[Taken]:
        """The same for a key frame, which is taken in any case, as coarse; the frames before it may be missing."""
        self._taken_s = -REST_S
        yield from self._coarse(key, glance)
        self._count = 1
        self._changed_s = key.time_s

    def _coarse(self, taken: Taken, glance: Glance) -> Iterator[Taken]:
        changed = self._glance is None or glance.differs_from(self._glance)
        if changed:
            if self._passed_over is not None:
                yield self._passed_over
            yield from self._fine
            self._changed_s = taken.time_s
        self._fine.clear()
        self._passed_over, self._seen = taken, glance
        if changed or taken.time_s - self._taken_s >= REST_S:
            self._passed_over, self._glance, self._taken_s = None, glance, taken.time_s
            yield taken

    def finish(self) -> Iterator[Taken]:
        """The end of the film: its last frames, if they were held back."""
        if self._passed_over is not None:
            yield self._passed_over
        yield from self._fine
        self._passed_over, self._fine = None, []

    def has_settled_like(self, glance: Glance) -> bool:
        """Whether the picture rests, and looks like another one."""
        if self._passed_over is None or self._seen is None or self._passed_over.time_s - self._changed_s < SETTLED_S:
            return False
        return not self._seen.differs_from(glance)

    def leave(self) -> None:
        """Forget the frames held back: what follows is left out, as it shows the same."""
        self._passed_over, self._fine = None, []
