"""Where the pages lie in frames, against what is known of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from flipdetect.pages.network import PageNetwork
from flipdetect.stills.page_finder import EVERY, PageFinder

MARKS = json.loads((Path(__file__).parents[1] / "pages" / "real_outlines.json").read_text("utf-8"))


@pytest.mark.realdev
def test_pages_of_real_frames_are_found(realdev: Path) -> None:
    shares = []
    for name, marks in list(MARKS.items())[::3]:
        picture = np.asarray(cv2.imread(str(realdev / name))[..., ::-1], np.uint8)
        found = PageFinder().find(picture)
        truth = np.zeros(picture.shape[:2], np.uint8)
        for outline in marks.values():
            cv2.fillPoly(truth, [np.array(outline, np.int32)], 1)
        known = cv2.resize(truth, found.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
        shares.append((found & known).sum() / (found | known).sum())
    assert np.mean(shares) > 0.9
    assert min(shares) > 0.8


def test_the_whole_frame_counts_where_there_is_no_book() -> None:
    found = PageFinder().find(np.full((240, 135, 3), 90, np.uint8))
    assert found.shape == (120, 68)
    assert found.all()


def test_the_network_sees_few_frames_and_each_other_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def maps(self: PageNetwork, picture: np.ndarray) -> np.ndarray:
        asked.append(picture.shape[:2])
        return np.full((2, 8, 8), 1.0, np.float32)

    monkeypatch.setattr(PageNetwork, "maps", maps)
    finder, upright, lying = PageFinder(), np.zeros((160, 90, 3), np.uint8), np.zeros((90, 160, 3), np.uint8)
    for _ in range(EVERY + 1):
        finder.find(upright)
    finder.find(lying)
    assert asked == [(160, 90), (160, 90), (90, 160)]
