import cv2
import numpy as np

from flipdetect.synth.config import SynthConfig
from flipdetect.synth.scenario import sample_clip
from flipdetect.synth.truth.silhouette import draw_outlines
from tests.scripts.loading import load_script

script = load_script("research/page_truth")


def test_outlines_fill_the_open_pages_and_meet_at_the_gutter() -> None:
    config = SynthConfig(sources=4, clips_per_source=2, frames_per_clip=1)
    for index in (1, 3, 5, 7):  # no flips
        clip = sample_clip(config, index)
        known, drawn = script.page_outlines(config, clip, 0.1), draw_outlines(config, clip, 0.1)
        mask = np.zeros_like(drawn.open_pages)
        for page in (known.left, known.right):
            cv2.fillPoly(mask, [np.round((page + 0.5) / drawn.step - 0.5).astype(np.int32)], 1)
        shared, either = (mask & drawn.open_pages).sum(), (mask | drawn.open_pages).sum()
        assert shared / either > 0.93
        for page in (known.left, known.right):
            ends = np.linalg.norm(page[[0, -1]][:, None] - known.gutter[None], axis=2).min(axis=1)
            assert ends.max() < 2
