"""The report is two whole documents, the same for the same files, that load nothing and need no torch."""

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flipdetect.errors import DataError
from flipdetect.evaluation.report import make_report
from flipdetect.evaluation.report.drawing import drawings
from flipdetect.evaluation.report.findings import find
from flipdetect.evaluation.report.page import render_html, render_markdown
from flipdetect.evaluation.report.saved import ROBUSTNESS, TRAINING
from tests.conftest import REPOSITORY
from tests.evaluation.report.made_up import add_pictures, made_up_judged, made_up_scores, save

VOID = {"meta", "img", "br"}
SHAPES = {"path", "rect", "use", "circle", "line", "image"}
MATRICES = ("confusion_frames", "confusion_videos")
HOSTILE = '<script>alert(1)</script> | `x` {{ 7 * 7 }} "q" \''


class Page(HTMLParser):
    """Tags and text; every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every part."""
    folder = tmp_path_factory.mktemp("report")
    scored = made_up_scores()
    gone = replace(
        scored, probabilities=np.append(scored.probabilities[:-1], np.nan), errors=(*scored.errors[:-1], "cut short")
    )
    save(folder, gone, made_up_judged(clip_thresholds={"max": (0.4, "validation")}))
    add_pictures(folder)
    bounds = {"value": 0.8, "low": 0.7, "high": 0.9}
    unknown = {"value": None, "low": None, "high": None}
    conditions = [
        {"strength": each, "f1": bounds, "auroc": unknown, "change": unknown, "called_positive": 0.5}
        for each in (0.5, 1.0, 1.5)
    ]
    families = [{"title": "Brightness", "axis": "factor", "clean": 1.0, "conditions": conditions}]
    (folder / ROBUSTNESS).write_text(json.dumps({"frames": 8, "videos": 2, "families": families}))
    (folder / TRAINING).write_text("epoch,step,train_loss,val_f1,lr-AdamW\n0,9,0.7,0.5,0.1\n1,19,0.5,0.6,0.05\n")
    make_report(folder)
    return folder


def test_the_page_is_whole_and_loads_nothing(report: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "iframe", "object")]
    assert not re.search(r"https?:|@import|url\((?!#)|\son\w+=", text)
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith(("data:image/jpeg;base64,", "#")), tag
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_addresses_within_the_page_lead_somewhere_once(report: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    ids = [attributes["id"] for _, attributes in Page(text).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="|url\()#([\w-]+)', text)) <= set(ids)


def test_charts_take_the_pages_colours(report: Path) -> None:
    text = (report / "index.html").read_text(encoding="utf-8")
    charts = re.findall(r"<svg class=\"plot\".*?</svg>", text, flags=re.DOTALL)
    assert len(charts) == 10
    for chart in charts:
        assert "var(--ink" in chart
        assert "DejaVu" not in chart
    used, defined = set(re.findall(r"var\((--[\w-]+)", text)), set(re.findall(r"(--[\w-]+):", text))
    assert used <= defined


def test_the_page_has_all_parts(report: Path) -> None:
    page = Page((report / "index.html").read_text(encoding="utf-8"))
    sections = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    assert sections == [
        "glance", "judged", "decisions", "curves", "parts", "robustness", "timelines", "mistakes", "looks", "training",
        "words",
    ]  # fmt: skip
    for text in ("1 file could not be read", "cut short", "validation", "Grad-CAM", "flip/<b>|0001_7.jpg"):
        assert text in page.text
    assert len([tag for tag, _ in page.tags if tag == "img"]) == 1 + 3


def test_markdown_has_its_pictures(report: Path) -> None:
    text = (report / "report.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((pictures/[\w.]+)\)|src=\"(frames/[\w.]+)\"", text)
    assert len(pictures) == 13 + 3
    for picture in (a or b for a, b in pictures):
        with Image.open(report / picture) as image:
            assert image.width > 20
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for before, row in pairwise(rows):
        if set(row) <= set("|-"):  # a table's heading, and the line below it
            assert len(re.findall(r"(?<!\\)\|", before)) == len(re.findall(r"(?<!\\)\|", row))
    assert "\n\n\n" not in text


def test_figures_are_strict_json(report: Path) -> None:
    figures = json.loads((report / "figures.json").read_text(), parse_constant=lambda name: pytest.fail(name))
    assert figures["frames"] == 239
    assert figures["unreadable"] == 1
    f1 = figures["figures"]["f1"]
    assert f1["low"] < f1["value"] < f1["high"]
    assert f1["videos"] == 60
    assert figures["clips"][0]["threshold_from"] == "validation"
    assert (report / "slices.csv").read_text().startswith("key,value,frames,videos")


def test_the_same_files_make_the_same_report(report: Path) -> None:
    names = [
        "index.html",
        "report.md",
        "figures.json",
        "slices.csv",
        *(f"pictures/{n}.png" for n in ("scores", "timelines")),
    ]
    before = {name: (report / name).read_bytes() for name in names}
    make_report(report)
    assert {name: (report / name).read_bytes() for name in names} == before


def test_names_are_text(tmp_path: Path) -> None:
    scored = made_up_scores(8)
    scored = replace(
        scored,
        sources=tuple(HOSTILE if source.endswith("1") else source for source in scored.sources),
        columns={"behaviour": tuple((HOSTILE, "b", "c")[n % 3] for n in range(len(scored)))},
    )
    save(tmp_path, scored, made_up_judged(model=HOSTILE, set_name=HOSTILE, facts={HOSTILE: HOSTILE}))
    found = find(tmp_path)
    page = Page(render_html(found, {}, tmp_path))
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert page.text.count(HOSTILE) >= 6
    assert "<script" not in render_markdown(found, {name: f"{name}.png" for name in MATRICES}).replace(r"\<", "")


def test_sets_of_one_class_and_one_frame(tmp_path: Path) -> None:
    scored = made_up_scores(8)
    for name, rows in (("rest", np.flatnonzero(scored.targets == 0)), ("one", np.array([5]))):
        found = find(save(tmp_path / name, scored.take(rows)))
        assert "–" in Page(render_html(found, {}, tmp_path)).text
        for drawing in drawings(found, tmp_path):
            drawing.draw()


def test_complaints(tmp_path: Path) -> None:
    scored = made_up_scores(4)
    unread = replace(scored, probabilities=np.full(len(scored), np.nan), errors=("cut short",) * len(scored))
    with pytest.raises(DataError, match="nothing to report"):
        make_report(save(tmp_path / "unread", unread))
    folder = save(tmp_path / "gone", scored)
    add_pictures(folder)
    (folder / "frames" / "b.jpg").unlink()
    with pytest.raises(DataError, match=r"b\.jpg cannot be read"):
        make_report(folder)
    folder = save(tmp_path / "robust", scored)
    (folder / ROBUSTNESS).write_text('{"families": [{"title": "x"}]}')
    with pytest.raises(DataError, match="measure again"):
        make_report(folder)


def test_report_py_runs_no_model(tmp_path: Path) -> None:
    save(tmp_path, made_up_scores(8))
    code = (
        "import runpy, sys; sys.argv = ['report.py', sys.argv[1]]\n"
        "try: runpy.run_path('scripts/report.py', run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0, stop.code\n"
        "print('heavy:', sorted({'torch', 'onnxruntime', 'pytorch_lightning', 'timm'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert "heavy: []" in found.stdout
    assert str(tmp_path / "index.html") in found.stdout


@pytest.mark.slow
def test_ten_thousand_predictions_take_seconds(tmp_path: Path) -> None:
    """Below 20 s on two idle cores; processor time, since the machine may have other work."""
    save(tmp_path, made_up_scores(videos=1000, frames=10))
    started = time.process_time()
    make_report(tmp_path)
    assert time.process_time() - started < 20
