"""`flipdetect predict --ocr`: a PDF that can be searched, and pages that are missing by their numbers."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from PIL import Image, ImageDraw, ImageFont

from flipdetect.cli.main import main
from flipdetect.inference.settings import EventSettings
from tests.inference.looking import RednessModel
from tests.sources.films import write

RATE = 10
WORDS = "Nothing in this book was written by machines that knew about the sea and its ships".split()  # noqa: SIM905
needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="needs tesseract-ocr")


def spread(left: int) -> np.ndarray:
    """Two pages with lines of text and their numbers, (480, 640, 3) uint8."""
    picture = Image.new("RGB", (640, 480), (60, 60, 60))
    draw = ImageDraw.Draw(picture)
    rng = np.random.default_rng(left)
    for side, number in enumerate((left, left + 1)):
        x = 30 + 295 * side
        draw.rectangle((x - 15, 15, x + 275, 465), fill=(235, 235, 235))
        for line in range(3):
            draw.text((x, 45 + 130 * line), " ".join(rng.permutation(WORDS)[:5]), "black", ImageFont.load_default(15))
        draw.text((x + 240 * side, 435), str(number), "black", ImageFont.load_default(17))
    return np.asarray(picture)


def film(*lefts: int) -> Iterator[np.ndarray]:
    for place, left in enumerate(lefts):
        page = spread(left)
        yield from [page * np.array([1, 1, 0], np.uint8)] * (8 if place else 0)
        yield from [page] * 20


def hidden_text(page: pikepdf.Page) -> str:
    """The text of the layer under the picture, which is written in UTF-16."""
    shown = []
    for layer in page.resources.XObject.values():
        if layer.Subtype == "/Form":
            shown += [bytes(part) for words, word in pikepdf.parse_content_stream(layer) if str(word) == "TJ"
                      for part in words[0] if isinstance(part, pikepdf.String)]  # fmt: skip
    return b"".join(shown).decode("utf-16-be")


@pytest.fixture(autouse=True)
def red(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("flipdetect.inference.settings.settings_of", lambda path: EventSettings())
    monkeypatch.setattr("flipdetect.pipeline.predict_job.load_model", lambda *_, **__: RednessModel(hands=0.0))
    monkeypatch.chdir(tmp_path)


def run(*args: object) -> int:
    return main(["predict", *map(str, args)])


@needs_tesseract
def test_the_pdf_can_be_searched_and_missing_pages_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("flipdetect.outputs.ocr.LEAST_SIDE", 960)
    write(Path("book.mp4"), film(30, 32, 36), rate=RATE)
    assert run("book.mp4", "--pdf", "book.pdf", "--ocr", "eng", "--report", "book.html", "--strict") == 1
    missing = "pages 34 and 35 are missing between 0:0"
    assert f"book: {missing}" in capsys.readouterr().out
    assert missing[1:] in Path("book.html").read_text("utf-8")
    (video,) = json.loads(Path("flips.json").read_text())["videos"]
    assert [spread["page_numbers"] for spread in video["spreads"]] == [[30, 31], [32, 33], [36, 37]]
    assert video["numbering"][0].startswith(missing)
    with pikepdf.open("book.pdf") as document, document.open_outline() as outline:
        assert document.check_pdf_syntax() == []
        assert [page.label for page in document.pages] == ["30–31", "32–33", "36–37"]
        assert [item.title.split(" at ")[0] for item in outline.root] == [
            f"pages {left} and {left + 1}" for left in (30, 32, 36)
        ]
        for page in document.pages:
            assert page.mediabox[2] == pytest.approx(842, abs=1)
            assert len(set(WORDS) & set(hidden_text(page).split())) > 8


@needs_tesseract
def test_a_language_that_is_not_installed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("book.mp4"), [spread(1)], rate=RATE)
    assert run("book.mp4", "--pdf", "book.pdf", "--ocr", "eng+xyz_vert") == 2
    said = capsys.readouterr().err
    assert re.search(r"no language .xyz_vert., only .*eng", said)
    assert "apt-get install tesseract-ocr-xyz-vert" in said


def test_without_tesseract_the_line_that_installs_it_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    write(Path("book.mp4"), [spread(1)], rate=RATE)
    assert run("book.mp4", "--pdf", "book.pdf", "--ocr", "deu") == 1
    assert "run apt-get install tesseract-ocr tesseract-ocr-deu, or brew" in capsys.readouterr().err
    assert not Path("predictions.csv").exists()
