from __future__ import annotations

import numpy as np
import pytest

from flipdetect.synth.sheet import RestProfile, Sheet, TurnStyle, turned

RIGHT, LEFT = RestProfile(0.8, 0.08, 0.1), RestProfile(0.4, 0.1, 0.05)
HEIGHT, SPINE = 1.4, 0.08
STYLES = [
    TurnStyle(lead=0.7, taper=1.5, side=1, bulge=0.5),
    TurnStyle(lead=-0.3, taper=0.05, side=-1, bulge=-0.4),
    TurnStyle(lead=0.2, taper=0.8, side=-1, bulge=0.0),
]


def sheet_at(progress: float, style: TurnStyle) -> Sheet:
    return turned(progress, RIGHT, LEFT, style, HEIGHT, SPINE)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("progress", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_paper_bends_without_stretching(style: TurnStyle, progress: float) -> None:
    sheet = sheet_at(progress, style)
    reach = np.stack([sheet.near, sheet.far], axis=1)[..., None]
    bent, flat = sheet.points(), sheet.flat_tip + reach * sheet.flat_rulings[:, None]
    for first, second in (
        ((slice(None), 0), (slice(None), 1)),  # along a ruling
        ((slice(None, -1), 0), (slice(1, None), 0)),  # along the near edge
        ((slice(None, -1), 1), (slice(1, None), 1)),  # along the far edge
        ((slice(None, -1), 0), (slice(1, None), 1)),  # across a strip
    ):
        length = np.linalg.norm(bent[first] - bent[second], axis=-1)
        assert np.allclose(length, np.linalg.norm(flat[first] - flat[second], axis=-1), atol=1e-9)


@pytest.mark.parametrize("style", STYLES)
def test_the_bound_edge_stays_at_the_spine(style: TurnStyle) -> None:
    for progress in (0.0, 0.4, 1.0):
        spine = sheet_at(progress, style).points()[0]
        assert np.allclose(spine[:, [0, 2]], [0, SPINE])
        assert np.allclose(np.sort(spine[:, 1]), [-HEIGHT / 2, HEIGHT / 2])


def test_the_corner_on_the_tip_side_rises_first() -> None:
    for side in (-1, 1):
        sheet = sheet_at(0.3, TurnStyle(lead=0.6, taper=1.2, side=side, bulge=0.0))
        near, far = sheet.edge_point(side * 0.49 * HEIGHT), sheet.edge_point(-side * 0.49 * HEIGHT)
        assert near[2] > far[2]
