"""Outlines of the pages in rendered frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flipdetect.synth.clip import Clip, sheet_at
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.scene.scene import sample_source
from flipdetect.synth.sheet import Floats


@dataclass(frozen=True, eq=False)
class PageOutlines:
    """Outlines of the pages that lie open, as if no hand and no turning sheet were there; they may leave the frame.

    Attributes:
        left, right: (N, 2) float64 pixels around each page: from the gutter along one edge to the fore-edge, and back
            along the other edge.
        gutter: (2, 2) float64, its two ends.
    """

    left: Floats
    right: Floats
    gutter: Floats


def page_outlines(config: SynthConfig, clip: Clip, time: float) -> PageOutlines:
    """The outlines of a clip's pages at `time` seconds."""
    source = sample_source(config, clip.source)
    view = clip.capture.view(time, config.frame_size(clip.source)).carried(*clip.pushed(time))
    left, right = (
        view.project(np.concatenate([points[:, 0], points[::-1, 1]]))
        for points in (sheet_at(source, clip.style, rest).points() for rest in clip.below)
    )
    half = source.book.height / 2
    ends = np.array([[0, half, source.book.spine_z], [0, -half, source.book.spine_z]])
    return PageOutlines(left, right, view.project(ends))
