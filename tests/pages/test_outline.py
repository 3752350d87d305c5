import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flipdetect.pages.network import page_network
from flipdetect.pages.outline import find_spread, refine
from tests.pages.made_up import KnownMaps, picture, surface

MARKS = json.loads((Path(__file__).parent / "real_outlines.json").read_text())
"""Outlines of pages in real stills and frames, marked by hand: pixels, cut off at the frame."""


def filled(outline: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(mask, [np.round(np.asarray(outline) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    return mask > 0


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / max(1, (first | second).sum()))


@pytest.mark.parametrize(
    "changes",
    [{}, {"roll": 0.3, "pitch": 0.2}, {"yaw": -0.2, "x": 0.15}, {"roll": 1.4, "depth": 1.5}, {"x": 0.3, "depth": 1.1}],
    ids=["upright", "tilted", "aside", "sideways", "cut off"],
)
def test_pages_are_found_from_perfect_maps(changes: dict[str, float]) -> None:
    book = surface(**changes)
    found = find_spread(KnownMaps(book).maps(picture(book)), book.size)
    assert found is not None
    for side, share in found.in_view.items():
        assert iou(filled(found.surface.outline(side), book.size), filled(book.outline(side), book.size)) > 0.95
        assert found.confidence[side] > 0.85
        assert 0 < share <= 1
    assert len(found.confidence) == 2
    assert (min(found.in_view.values()) < 0.8) == ("x" in changes and changes["x"] > 0.2)


def test_a_picture_without_a_book_has_no_pages() -> None:
    empty = np.full((240, 320, 3), 120, np.uint8)
    assert find_spread(KnownMaps(None).maps(empty), (320, 240)) is None
    assert find_spread(page_network().maps(empty), (320, 240)) is None


@pytest.mark.realdev
def test_pages_of_real_stills_are_found(realdev: Path) -> None:
    network = page_network()
    shares = []
    for name, marks in list(MARKS.items())[::4]:
        image = np.asarray(cv2.cvtColor(cv2.imread(str(realdev / name)), cv2.COLOR_BGR2RGB), np.uint8)
        size = (image.shape[1], image.shape[0])
        found = find_spread(network.maps(image), size)
        found = None if found is None else refine(found, image)
        for side, outline in marks.items():
            if (truth := filled(outline, size)).mean() < 0.1:
                continue
            shares.append(0.0 if found is None else iou(filled(found.surface.outline(side), size), truth))
    assert np.median(shares) > 0.88
