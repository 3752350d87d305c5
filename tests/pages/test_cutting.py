from typing import Any, cast

import numpy as np

from flipdetect.pages.cutting import cut_book
from flipdetect.pages.network import PageNetwork
from flipdetect.records import WHOLE_FRAME
from tests.pages.made_up import Image, KnownMaps, picture, surface


def cut(books: list[Any], mode: str = "colour", sure: float = 12.0) -> list[Any]:
    """The pages of a film in which each picture shows one of `books`."""
    pictures = [np.full((480, 640, 3), 60, np.uint8) if book is None else picture(book) for book in books]
    known = {id(image): book for image, book in zip(pictures, books, strict=True)}

    class Network:
        def maps(self, image: Image) -> Any:
            return KnownMaps(known[id(image)], sure).maps(image)

    stills = [lambda image=image: image for image in pictures]
    return list(cut_book(stills, cast(PageNetwork, Network()), mode))


def test_pages_of_a_book_have_one_size_and_are_not_enlarged() -> None:
    near, far = surface(depth=1.3), surface(depth=1.5)
    spreads = cut([near, near, far])
    assert [[page.side for page, _ in spread] for spread in spreads] == [["left", "right"]] * 3
    shapes = {image.shape for spread in spreads for _, image in spread}
    assert len(shapes) == 1
    # What was filmed smaller keeps its size: around it, the page is white.
    border = spreads[2][0][1][[0, -1]]
    assert (border == 255).all()


def test_a_doubtful_outline_keeps_the_whole_frame() -> None:
    ((page, image),) = cut([surface()], sure=4.0)[0]
    assert page.side == WHOLE_FRAME
    assert "doubtful" in page.flaw
    assert image.shape == (480, 640, 3)


def test_a_picture_without_a_book_says_so() -> None:
    ((page, image),) = cut([None])[0]
    assert page.flaw == "no page was found: the whole frame is kept"
    assert image.shape == (480, 640, 3)


def test_a_page_that_is_cut_off_is_named_and_left_out() -> None:
    spread = cut([surface(x=0.42, depth=1.0)])[0]
    by_side = {page.side: (page, image) for page, image in spread}
    assert "left" in by_side
    if "right" in by_side:
        page, image = by_side["right"]
        assert image is None
        assert "cut off" in page.flaw


def test_black_and_white() -> None:
    spread = cut([surface()], mode="bw")[0]
    assert all(set(np.unique(image)) <= {0, 255} for _, image in spread)


def test_stills_of_a_book_that_lies_sideways_are_turned_the_same_way() -> None:
    # A quarter turn and a little more: the spine of the second would point the other way.
    spreads = cut([surface(roll=1.5, depth=1.5), surface(roll=1.64, depth=1.5)])
    for (first, _), (second, _) in zip(*spreads, strict=True):
        assert first.side == second.side
        assert np.linalg.norm(np.mean(first.outline, axis=0) - np.mean(second.outline, axis=0)) < 40


def test_whole_frames_of_a_book_that_lies_sideways_are_turned_upright() -> None:
    spreads = cut([surface(roll=1.5, depth=1.5), None])
    assert spreads[1][0][1].shape == (640, 480, 3)
