"""Page numbers among the words of spreads, and the gaps in them."""

from pathlib import Path

import pytest

from flipdetect.outputs.ocr import PageText, Word
from flipdetect.pipeline.book_pdf import PdfPage, pdf_labels, with_page_numbers
from flipdetect.pipeline.page_numbers import PrintedNumber, candidates, gaps, page_numbers
from flipdetect.records import Still, VideoResult

TIMES = (1.0, 6.0, 11.0, 65.0, 80.0)


def spread(*values: int) -> list[PrintedNumber]:
    """Numbers at the outer corners of the two pages, or in the left one alone."""
    return [PrintedNumber(value, x) for value, x in zip(values, (0.1, 0.9), strict=False)]


def test_numbers_are_sought_at_the_top_and_bottom_of_each_page() -> None:
    lines = [("- 34 -", 0.2, 0.05), *((f"line {n} of 12", 0.25, 0.1 + 0.05 * n) for n in range(10))]
    lines += [("Chapter 3 35", 0.75, 0.06), *((f"year 1984 {n}", 0.75, 0.1 + 0.05 * n) for n in range(5))]
    lines += [("in 1984 it", 0.75, 0.9), ("0", 0.7, 0.95)]
    words = [
        Word(text, (str(number),), x + 0.02 * place, y, 90.0)
        for number, (line, x, y) in enumerate(lines)
        for place, text in enumerate(line.strip("- ").split(" "))
    ]
    found = candidates([*words, Word("36", ("9", "9"), 0.9, 0.96, 20.0)])
    values = [candidate.value for candidate in found]
    assert {34, 35} <= set(values)
    assert not {1984, 0, 36} & set(values)


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ([spread(34, 35), spread(36, 37), spread(38)], [(34, 35), (36, 37), (38, 39)]),
        ([spread(34, 35), spread(87), spread(38, 39)], [(34, 35), (), (38, 39)]),
        ([spread(34, 35), [], spread(39, 12)], [(34, 35), (), (38, 39)]),
        ([spread(35, 34), spread(33, 32)], [(34, 35), (32, 33)]),  # a book that is read from right to left
        ([spread(35, 36), spread(37, 38), [PrintedNumber(40, 0.9)]], [(35, 36), (37, 38), (39, 40)]),
        ([spread(7), spread(8), spread(9), spread(55)], [(7,), (8,), (9,), ()]),
        ([spread(7), spread(70)], [(), ()]),
        ([spread(7), spread(90), spread(9), spread(31)], [(), (), (), ()]),  # two may fit by chance
        ([[PrintedNumber(27, 0.2), PrintedNumber(28, 0.2)], spread(72), spread(5)], [(), (), ()]),  # numbered lines
        ([], []),
    ],
)
def test_numbers_count_if_others_confirm_them(read: list, expected: list) -> None:
    assert page_numbers(read) == expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([(32, 33), (34, 35), (36, 37)], []),
        ([(32, 33), (34, 35), (38, 39)], ["pages 36 and 37 are missing between 0:06 and 0:11"]),
        ([(32, 33), (40, 41), (42, 43)], ["pages 34 to 39 are missing between 0:01 and 0:06"]),
        ([(7,), (9,), (10,)], ["page 8 is missing between 0:01 and 0:06"]),
        ([(32, 33), (), (36, 37)], []),
        ([(32, 33), (), (38, 39), (40, 41)], ["2 of pages 34 to 37 are missing between 0:01 and 0:11"]),
        ([(32, 33), (34, 35), (34, 35), (36, 37)], ["pages 34 and 35 are there twice, at 0:06 and 0:11"]),
        ([(32, 33), (34, 35), (), (36, 37)], ["more pictures than pages between 0:06 and 1:05: pages 34 and 35 to 36"]),
        ([(32, 33), (34, 35), (36, 37), (20, 21)], ["out of order: pages 20 and 21 at 1:05, after pages 36 and 37"]),
        ([(38, 39), (36, 37), (32, 33)], ["pages 34 and 35 are missing between 0:06 and 0:11"]),
        ([(), (), ()], []),
    ],
)
def test_gaps_and_doubles_are_named_with_their_times(numbers: list, expected: list[str]) -> None:
    assert gaps(numbers, TIMES) == expected


def text(*numbers: int) -> PageText:
    """What is read in an image of so many pages side by side: their numbers, at the bottom."""
    places = [((2 * place + 1) / (2 * len(numbers)), number) for place, number in enumerate(numbers)]
    return PageText(tuple(Word(str(number), (str(number),), x, 0.95, 90.0) for x, number in places), Path("layer.pdf"))


def test_pages_and_whole_frames_are_labelled_with_their_own_numbers() -> None:
    pages = [PdfPage(Path(f"{side}{spread}"), "v", spread, side)
             for spread, sides in ((1, ("left", "right")), (2, ("right", "whole")), (3, ("left", "right")))
             for side in sides]  # fmt: skip
    numbers = [(34,), (35,), (37,), (36, 37), (38,), (39,)]
    texts = {page.image: text(*own) for page, own in zip(pages, numbers, strict=True)}
    stills = tuple(Still(spread, "v", 0.0, 1.0, 0.5, 5, 1.0, "") for spread in (1, 2, 3))
    result = with_page_numbers(VideoResult("v", "v.mp4", 3.0, 30, (), stills), pages, texts)
    assert [still.page_numbers for still in result.stills] == [(34, 35), (36, 37), (38, 39)]
    assert result.numbering == ()
    labels, _ = pdf_labels(pages, [result], with_text=True)
    assert labels == ["34", "35", "37", "36–37", "38", "39"]
