from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flipdetect.synth import SynthConfig
from flipdetect.synth.render.renderer import expose_clip
from flipdetect.synth.scenario import sample_clip
from flipdetect.synth.scene.desk import KINDS, Clutter, lay_on_page

COLOUR = (30.0, 30.0, 30.0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_stays_on_its_page(kind: str) -> None:
    page = np.full((140, 100, 3), 0.8, np.float32)
    for centre in ((0.25, 0.25), (0.75, 0.7)):
        laid = lay_on_page(page, Clutter(kind, centre, (0.4, 0.6), 15.0, COLOUR, 1))
        changed = np.abs(laid - page).max(axis=2) > 0.3
        assert 0.1 < changed.mean() < 0.3
        assert not changed[0].any()
        assert not changed[:, 0].any()
        assert not changed[:, -1].any()
    assert (page == np.float32(0.8)).all()


def test_an_object_is_seen_whether_the_sheet_moves_or_not() -> None:
    config = SynthConfig(seed=3, sources=3, clips_per_source=2, height=160)
    for index in (0, 1):
        clip = replace(sample_clip(config, index), clutter=None, hands=())
        laid = replace(clip, clutter=Clutter("phone", (0.5, 0.5), (0.4, 0.8), 5.0, COLOUR, 1))
        difference = np.abs(expose_clip(config, clip, 0.0)[0].astype(int) - expose_clip(config, laid, 0.0)[0])
        assert (difference.max(axis=2) > 40).mean() > 0.01
