"""The report is one whole, escaped page that loads nothing."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flipdetect.errors import ConfigError, DataError
from flipdetect.outputs.html_report import write_report
from flipdetect.records import Still, VideoResult
from tests.outputs.made_up import made_up_picture, made_up_result, made_up_scores

VOID = {"meta", "img", "br", "link", "input", "hr", "path", "rect"}


class Page(HTMLParser):
    """Tags with their attributes, text, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        return [
            found for name, found in self.tags
            if name == tag and all(value in found.get(key, "").split() for key, value in attributes.items())
        ]  # fmt: skip


def report(path: Path, results: list[VideoResult], pictures: object = None) -> tuple[str, Page]:
    scored = [replace(result, scores=tuple(made_up_scores(result))) for result in results]
    write_report(path, scored, pictures)  # type: ignore[arg-type]
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    return text, page


def test_turns_spreads_flaws_and_repeats_are_shown(tmp_path: Path) -> None:
    result = made_up_result()
    pictures = {("book", number): made_up_picture((20, 160, 60), 1080, 1920) for number in (1, 2, 3)}
    _, page = report(tmp_path / "report.html", [result], pictures)
    assert len(page.all("figure")) == 4
    assert [each["id"] for each in page.all("figure", **{"class": "flawed"})] == ["v1-o2"]
    assert [each["id"] for each in page.all("figure", **{"class": "repeat"})] == ["v1-o3"]
    assert [each["id"] for each in page.all("tr") if "id" in each] == ["v1-t1", "v1-t2", "v1-t3"]
    for text in ("a hand covers the page", "same as", "no picture", "0:07.50", "40%", "films/book.mp4", "tiny_cnn"):
        assert text in page.text
    (timeline,) = page.all("img", **{"class": "timeline"})
    with Image.open(io.BytesIO(base64.b64decode(timeline["src"].partition(",")[2]))) as image:
        assert (image.format, str(image.width), str(image.height)) == ("PNG", timeline["width"], timeline["height"])
    images = page.all("img", loading="lazy")
    assert len(images) == 3
    with Image.open(io.BytesIO(base64.b64decode(images[0]["src"].partition(",")[2]))) as image:
        assert (image.format, image.size) == ("JPEG", (480, 270))
    assert (images[0]["width"], images[0]["height"]) == ("480", "270")


def test_nothing_is_loaded_and_nothing_runs(tmp_path: Path) -> None:
    pictures = {("book", 1): made_up_picture((9, 9, 9))}
    text, page = report(tmp_path / "report.html", [made_up_result()], pictures)
    assert report(tmp_path / "again.html", [made_up_result()], pictures)[0] == text
    assert page.all("script") == []
    assert page.all("link") == []
    assert not re.search(r"https?:|@import|url\(|\son\w+=", text)
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/jpeg;base64,", "data:image/png;base64,", "#")), tag
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    anchors = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {each["href"][1:] for each in page.all("a")} <= anchors


HOSTILE = '<script>alert(1)</script> & "x" \' {{ 7 * 7 }}'


def test_odd_names_are_text(tmp_path: Path) -> None:
    result = made_up_result(HOSTILE, model=HOSTILE, source=HOSTILE + "/x", problems=(HOSTILE,))
    stills = tuple(replace(still, flaw=HOSTILE) for still in result.stills)
    text, page = report(tmp_path / "report.html", [replace(result, stills=stills), made_up_result("two")])
    assert "<script" not in text
    assert page.all("script") == []
    assert page.text.count(HOSTILE) >= 6
    bytes_name = b"caf\xe9".decode("utf-8", "surrogateescape")
    _, page = report(tmp_path / "report.html", [made_up_result(bytes_name)])
    assert "caf?" in page.text


def test_several_videos_have_an_overview(tmp_path: Path) -> None:
    results = [made_up_result("one"), made_up_result("two", turns=0, complete=False), made_up_result("three", turns=8)]
    _, page = report(tmp_path / "report.html", results)
    assert [each["id"] for each in page.all("section")] == ["v1", "v2", "v3"]
    assert {"#v1", "#v2", "#v3"} <= {each["href"] for each in page.all("a")}
    assert "The video was not read to its end." in page.text
    assert "No turn was found." in page.text


def test_videos_of_which_little_is_known(tmp_path: Path) -> None:
    bare = VideoResult("", "", 0.0, 0, ())
    lost = replace(made_up_result(), stills=(Still(1, "book", 0.0, 4.0, None, None, None, "a hand is always there"),))
    write_report(tmp_path / "report.html", [bare, lost])
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no frame to keep" in text
    write_report(tmp_path / "none.html", [])
    assert "No video was looked at." in (tmp_path / "none.html").read_text(encoding="utf-8")


def test_the_size_is_bounded(tmp_path: Path) -> None:
    result = made_up_result(turns=300, seconds=7200.0)
    noise = np.random.default_rng(0).integers(0, 256, (540, 960, 3), dtype=np.uint8)
    pictures = {("book", number): noise for number in range(1, 302)}
    _, page = report(tmp_path / "report.html", [result], pictures)
    images = page.all("img", loading="lazy")
    assert len(images) == 301
    assert {each["width"] for each in images} == {"360"}


def test_complaints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match=r"report\.html cannot be written"):
        write_report(tmp_path / "file" / "report.html", [made_up_result()])
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        write_report(tmp_path / "report.html", [made_up_result()], {("book", 1): np.zeros((4, 4), np.uint8)})
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ConfigError, match=r"flipdetect\[plots\]"):
        write_report(tmp_path / "report.html", [made_up_result()])
    assert not (tmp_path / "report.html").exists()


def test_outputs_start_quickly_and_plots_without_a_window() -> None:
    code = (
        "import sys; from flipdetect.outputs import flips, html_report, predictions, preview, still_files, tables; "
        "print(set(sys.modules) & {'torch', 'matplotlib', 'cv2', 'jinja2', 'av'}); "
        "from flipdetect.outputs.plots import curves, frames, timeline; print('matplotlib.pyplot' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["set()", "False"]
