"""The label rule: a frame shows a flip if a sheet is visibly off both places where it may lie."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from flipdetect.synth.animation.sheet import Floats, Sheet, TurnStyle, turned
from flipdetect.synth.camera.pinhole import Camera
from flipdetect.synth.scene.scene import Source

MOVED = 0.16
"""A frame shows a flip if the sheet's edge is farther than this from where it lay and from where it will
lie, in page widths of the picture: smaller displacements are hard to distinguish from a page that does not lie flat."""

RAISED = 0.10
"""Pages at rest may stand up to this far off, in page widths of the picture."""


@lru_cache(maxsize=128)
def sheet_at(source: Source, style: TurnStyle, progress: float) -> Sheet:
    """The sheet of a source's book at a moment of its turn."""
    book = source.book
    return turned(progress, book.right, book.left, style, book.height, book.spine_z)


def _edge(source: Source, style: TurnStyle, progress: float) -> Floats:
    sheet = sheet_at(source, style, progress)
    return np.array([sheet.edge_point(share * source.book.height) for share in (-0.49, 0.0, 0.49)])


def displacements(source: Source, camera: Camera, style: TurnStyle, progress: Floats) -> Floats:
    """How far the free edge is from lying right and from lying left.

    Args:
        source: of the book.
        camera: the view.
        style: how the sheet bends.
        progress: (N,) moments of the turn.

    Returns:
        (N, 2) largest distance of the edge's corners and middle from where they lie on the right and on the
        left, in page widths of the picture.
    """
    rests = camera.project(np.stack([_edge(source, style, 0.0), _edge(source, style, 1.0)]))
    width = float(np.linalg.norm(rests[0] - rests[1], axis=1).mean()) / 2
    now = np.stack([camera.project(_edge(source, style, float(at))) for at in progress])
    return np.asarray(np.linalg.norm(now[:, None] - rests[None], axis=3).max(axis=2) / width)
