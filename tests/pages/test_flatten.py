import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flipdetect.pages.cutting import even_light, in_mode, is_upside_down
from flipdetect.pages.flatten import FlatPage, flat_page, level_lines, trace_lines
from flipdetect.pages.surface import SIDES, SpreadSurface
from tests.pages.made_up import picture, surface


def unevenness(lines: list[NDArray[np.float64]]) -> float:
    """How far lines of text are from straight and level: root mean square, as a share of the page's height."""
    return float(np.sqrt(np.mean(np.concatenate([line[:, 1] - line[:, 1].mean() for line in lines]) ** 2)))


@pytest.mark.parametrize("side", ["left", "right"])
def test_lines_of_text_become_straight(side: str) -> None:
    book = surface((1600, 1200), pitch=0.15)
    page = flat_page(picture(book), book, side)
    image = page.cut(picture(book), page.size())
    lines = trace_lines(image)
    assert len(lines) > 8
    assert unevenness(lines) < 0.001


def test_lines_of_text_correct_a_surface_that_is_off() -> None:
    book = surface((1600, 1200))
    wrong = surface((1600, 1200), pitch=0.08, roll=0.01)
    by_surface = FlatPage(wrong, "right")
    by_text = flat_page(picture(book), wrong, "right")
    before, after = (unevenness(trace_lines(page.cut(picture(book), page.size()))) for page in (by_surface, by_text))
    assert after < before / 3


def test_a_surface_is_bent_until_lines_of_text_are_level() -> None:
    book, wrong = surface((1600, 1200)), surface((1600, 1200), pitch=0.15, roll=0.03)
    image = picture(book)

    def uneven(by: SpreadSurface) -> float:
        page = FlatPage(by, "right")
        return unevenness(trace_lines(page.cut(image, page.size())))

    assert uneven(level_lines(image, wrong, SIDES)) < uneven(wrong) / 4


def test_a_surface_stays_as_it_is_where_there_is_no_text() -> None:
    book = surface()
    assert level_lines(picture(book, lines=0), book, SIDES) is book


def test_a_page_without_text_is_flat_by_its_surface_alone() -> None:
    book = surface()
    page = flat_page(picture(book, lines=0), book, "left")
    assert not page.shifts.any()
    assert page.cut(picture(book, lines=0), (100, 140)).mean() > 200


def test_light_is_evened_and_pictures_keep_their_contrast() -> None:
    page = np.full((280, 200, 3), (240, 236, 220), np.uint8)
    page[100:180, 60:140] = (60, 80, 120)
    light = np.linspace(0.5, 1, 200)[None, :, None] * (1 - 0.3 * np.exp(-np.arange(200) / 14))[None, :, None]
    dim = (page * light).astype(np.uint8)
    even = even_light(dim, gutter_left=True)
    paper = np.ones(page.shape[:2], bool)
    paper[90:190, 50:150] = False
    assert even[paper].std(axis=0).max() < 0.25 * dim[paper].std(axis=0).max()
    assert even[paper].mean() > 225
    assert even[110:170, 70:130].mean() < 0.5 * even[paper].mean()


def test_modes() -> None:
    page = np.full((280, 200, 3), 230, np.uint8)
    cv2.putText(page, "text", (20, 140), cv2.FONT_HERSHEY_SIMPLEX, 1.5, (20, 20, 20), 3)
    assert in_mode(page, "colour").shape == (280, 200, 3)
    assert in_mode(page, "grey").shape == (280, 200)
    page[180:260, 40:160] = 50
    black = in_mode(page, "bw")
    assert set(np.unique(black)) == {0, 255}
    assert not black[182:258, 42:158].any()  # a picture is black, not only its border


def test_a_page_on_its_head_is_recognised_without_tesseract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flipdetect.pages.cutting.shutil.which", lambda name: None)
    page = np.full((900, 640, 3), 235, np.uint8)
    for line in range(18):
        words = "the old table had hollow legs and told dull tales"
        cv2.putText(page, words[line % 5 :], (40, 60 + 45 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.62, (20, 20, 20), 1,
                    cv2.LINE_AA)  # fmt: skip
    upright = np.ascontiguousarray(page)
    assert not is_upside_down([upright])
    assert is_upside_down([np.ascontiguousarray(upright[::-1, ::-1])])
    assert not is_upside_down([np.full((900, 640, 3), 235, np.uint8)])
