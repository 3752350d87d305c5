"""Videos that show the same scene: one book on one desk from one place, as when one film was cut in two.

Copies are found frame by frame; the halves of a cut film share no frame, yet whoever learnt one half knows the other.
They share what does not move: outlines of book and desk, and colours. Each frame of one side is held against all of the
other at low resolution (a matrix product); the most alike ones are compared in finer outlines, shifted by a few pixels,
and in colour. Where that leaves doubt, local features decide (SIFT; Lowe, 2004): whether enough of them lie in one
picture as they do in the other, but for a shift, turn and scale (RANSAC; Fischler and Bolles, 1981).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from flipdetect.data.audit.thumbnails import SIDE, Miniatures
from flipdetect.errors import FrameError
from flipdetect.progress import progress_bar

logger = logging.getLogger(__name__)

PER_VIDEO = 8
"""Frames of a video that stand for it, spread over its length."""
MOST_ALIKE = 20
"""Frames of the other side, for each frame, that are compared finely."""
SHIFT = 6
"""Pixels of a miniature by which a camera may have moved from one frame to the other."""

# Likeness of outlines (-1 to 1) that two frames of one scene must have: base, slope by which a difference of colour
# (CIELAB) raises it, least, most. None of the most alike pairs of different books among 14,400 rendered frames was
# `CERTAIN`; of what is merely possible, local features decide.
CERTAIN = (0.32, 0.05, 0.40, 0.60)
POSSIBLE = (0.10, 0.03, 0.15, 0.50)
LEAST_POINTS = 8
"""Local features in agreement that settle a doubt; different books measured 5 at most, one book 25 in the median."""
MOST_DOUBTS = 300
"""Pairs of videos whose features are compared, for two sides; each takes about 30 milliseconds."""

_COARSE = 32
_COARSE_CHUNK = 512
_LEAST_COARSE = 0.12
_MOST_COLOUR = 14.0
_FEATURES = 500
_RATIO = 0.8
_REPROJECTION = 3.0
_SCALES = (0.7, 1.4)

Floats = npt.NDArray[np.float32]
Picture = Callable[[int], npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class SceneMatch:
    """Two videos that show the same scene, by their two frames that are most alike.

    Attributes:
        first, second: positions of the frames, that of the first side first.
        likeness: of their outlines, -1 to 1.
        colour: mean difference of their colours, in units of CIELAB.
        points: local features in agreement; None if there was no doubt to settle.
    """

    first: int
    second: int
    likeness: float
    colour: float
    points: int | None = None


def find_same_scenes(
    miniatures: Miniatures,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    video_of: Sequence[Hashable],
    source_of: Sequence[str | None],
    picture: Picture,
) -> list[SceneMatch]:
    """Pairs of videos, one on either side, that show the same scene; the most alike first.

    Args:
        miniatures: of all frames.
        first, second: positions of the two sides' frames.
        video_of: the video of each frame, by position; a video is not compared with itself.
        source_of: the source of each frame, None where it is unknown; of two videos known to be of one source it is no
            news that they show one scene, and doubts are left at that.
        picture: reads the frame at a position, (H, W, 1) uint8, to settle a doubt; may raise `FrameError`.
    """
    telling = miniatures.telling
    first, second = (_standing_for(side[telling[side]], video_of) for side in (first, second))
    if not len(first) or not len(second):
        return []
    best: dict[tuple[Hashable, Hashable], SceneMatch] = {}
    for match in _fine(miniatures, _coarse(miniatures.grey, first, second), video_of):
        videos = video_of[match.first], video_of[match.second]
        if videos not in best or _margin(match) > _margin(best[videos]):
            best[videos] = match
    certain = [match for match in best.values() if _passes(match, CERTAIN)]
    doubtful = [
        match
        for match in best.values()
        if not _passes(match, CERTAIN)
        and (source_of[match.first] is None or source_of[match.first] != source_of[match.second])
    ]
    settled = _settled(sorted(doubtful, key=_margin, reverse=True), picture)
    return sorted([*certain, *settled], key=_margin, reverse=True)


def _standing_for(side: npt.NDArray[np.int64], video_of: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    """A few frames of each video, evenly spread."""
    videos: defaultdict[Hashable, list[int]] = defaultdict(list)
    for position in side.tolist():
        videos[video_of[position]].append(position)
    chosen = [
        frames[round(step)]
        for frames in videos.values()
        for step in np.linspace(0, len(frames) - 1, min(PER_VIDEO, len(frames)))
    ]
    return np.array(chosen, np.int64)


def _coarse(
    grey: npt.NDArray[np.uint8], first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """(M, 2) positions: for each frame of the second side, the frames of the first that are most alike."""
    known = _coarse_outlines(grey, first)
    count = min(MOST_ALIKE, len(first))
    found = []
    for start in progress_bar(range(0, len(second), _COARSE_CHUNK), desc="comparing scenes", delay=2, leave=False):
        queries = second[start : start + _COARSE_CHUNK]
        likeness = _coarse_outlines(grey, queries) @ known.T
        places = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        rows = np.repeat(np.arange(len(queries)), count)
        alike = likeness[rows, places.ravel()] >= _LEAST_COARSE
        found.append(np.stack([first[places.ravel()[alike]], queries[rows[alike]]], axis=1))
    return np.concatenate(found)


def _coarse_outlines(grey: npt.NDArray[np.uint8], positions: npt.NDArray[np.int64]) -> Floats:
    """(M, _COARSE^2) float32 of length 1."""
    rows = np.empty((len(positions), _COARSE * _COARSE), np.float32)
    for row, position in zip(rows, positions, strict=True):
        small = cv2.resize(grey[position], (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
        outlines = _outlines(small, sigma=2.0, noise=1.0)
        outlines -= outlines.mean()
        row[:] = (outlines / max(float(np.linalg.norm(outlines)), 1e-6)).ravel()
    return rows


def _outlines(grey: npt.NDArray[np.uint8], sigma: float, noise: float) -> Floats:
    """What differs from its surroundings, in units of how much things differ there: light and shadow play no part."""
    detail = grey.astype(np.float32)
    detail -= cv2.GaussianBlur(detail, (0, 0), sigma)
    strength = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), sigma))
    return np.asarray(detail / (strength + noise), np.float32)


def _fine(miniatures: Miniatures, pairs: npt.NDArray[np.int64], video_of: Sequence[Hashable]) -> list[SceneMatch]:
    """Those of the pairs that may show one scene."""
    outlines: dict[int, Floats] = {}
    found = []
    for first, second in progress_bar(pairs.tolist(), desc="comparing scenes", unit="pair", delay=2, leave=False):
        if video_of[first] == video_of[second]:
            continue
        colours = miniatures.colour[[first, second]].astype(np.float32)
        colour = float(np.abs(colours[0] - colours[1]).sum(axis=-1).mean())
        if colour > _MOST_COLOUR:
            continue
        for position in (first, second):
            if position not in outlines:
                outlines[position] = _outlines(miniatures.grey[position], sigma=1.5, noise=2.0)
        inner = np.ascontiguousarray(outlines[second][SHIFT : SIDE - SHIFT, SHIFT : SIDE - SHIFT])
        likeness = float(cv2.matchTemplate(outlines[first], inner, cv2.TM_CCOEFF_NORMED).max())
        match = SceneMatch(first, second, round(likeness, 3), round(colour, 2))
        if _passes(match, POSSIBLE):
            found.append(match)
    return found


def _passes(match: SceneMatch, rule: tuple[float, float, float, float]) -> bool:
    base, slope, low, high = rule
    return match.likeness > min(max(base + slope * match.colour, low), high)


def _margin(match: SceneMatch) -> float:
    return match.likeness - CERTAIN[1] * match.colour


def _settled(doubtful: Sequence[SceneMatch], picture: Picture) -> list[SceneMatch]:
    """Those of the doubtful matches whose local features agree."""
    if len(doubtful) > MOST_DOUBTS:
        logger.info("Of %d doubtful pairs of videos the %d most alike are looked at.", len(doubtful), MOST_DOUBTS)
    sift = cv2.SIFT_create(nfeatures=_FEATURES)  # type: ignore[attr-defined]
    light = cv2.createCLAHE(2.0, (8, 8))
    known: dict[int, tuple[Sequence[cv2.KeyPoint], Floats | None]] = {}
    found = []
    for match in progress_bar(
        doubtful[:MOST_DOUBTS], desc="looking at doubtful pairs", unit="pair", delay=2, leave=False
    ):
        try:
            for position in (match.first, match.second):
                if position not in known:
                    known[position] = sift.detectAndCompute(light.apply(picture(position)[..., 0]), None)
        except FrameError:
            continue
        points = _agreeing(known[match.first], known[match.second])
        if points >= LEAST_POINTS:
            found.append(SceneMatch(match.first, match.second, match.likeness, match.colour, points))
    return found


def _agreeing(
    first: tuple[Sequence[cv2.KeyPoint], Floats | None], second: tuple[Sequence[cv2.KeyPoint], Floats | None]
) -> int:
    """How many local features lie in both pictures alike, but for a shift, a turn and a scale."""
    (places, known), (others, sought) = first, second
    if known is None or sought is None or len(known) < LEAST_POINTS or len(sought) < LEAST_POINTS:
        return 0
    matches = [
        best
        for best, next_best in cv2.BFMatcher().knnMatch(known, sought, k=2)
        if best.distance < _RATIO * next_best.distance
    ]
    if len(matches) < LEAST_POINTS:
        return 0
    here = np.array([places[match.queryIdx].pt for match in matches], np.float32)
    there = np.array([others[match.trainIdx].pt for match in matches], np.float32)
    transform: Any
    transform, inside = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=_REPROJECTION)
    if transform is None:
        return 0
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    return int(inside.sum()) if _SCALES[0] < scale < _SCALES[1] else 0
