"""The report: a page that needs nothing else, metrics and predictions; made without torch."""

import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from flipdetect.evaluation.evaluate import Evaluation, evaluate_folder
from flipdetect.evaluation.report import write_report
from flipdetect.evaluation.results import Result, Selection, measure
from flipdetect.evaluation.robustness import BASIC
from flipdetect.inference.load import load_model
from tests.evaluation.made_up import evaluation, record

VOID = {"img", "meta", "br"}


class Tags(HTMLParser):
    """Checks that tags are closed in order; collects text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: Path) -> tuple[str, str]:
    html, tags = page.read_text("utf-8"), Tags()
    tags.feed(html)
    assert not tags.open
    return html, re.sub(r"\s+", " ", tags.text)


def measured(evaluation: Evaluation) -> Result:
    return measure([("m", "s", evaluation)], {}, Selection(), resamples=0)[0]


def test_a_model_on_frames_has_all_parts(monreader_set: Path, tmp_path: Path) -> None:
    model = load_model("tiny_cnn")
    found = evaluate_folder(model, monreader_set)
    corruptions = {"mirrored": BASIC["mirrored"]}
    (result,) = measure([("<tiny>", "set & set", found)], {"<tiny>": model}, Selection(), corruptions=corruptions)
    page = write_report(tmp_path / "r", result, model, explain=False)
    html, text = read(page)
    assert "<tiny> on set & set" in text
    for part in ("Metrics", "Confusion", "Curves", "Metrics by slice", "Corrupted frames", "Most confident mistakes"):
        assert part in text
    assert f"{found.metrics['f1']:.3f}" in text
    assert "tiny_cnn.onnx" in text
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    saved = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert saved["f1"] == pytest.approx(found.metrics["f1"], abs=1e-6)
    assert set(saved) >= {"ci", "clips", "slices", "robustness", "calibration", "threshold_curve"}
    rows = csv.DictReader((tmp_path / "r" / "predictions.csv").open())
    assert [float(row["probability"]) for row in rows] == pytest.approx([p.probability for p in found.scored], abs=1e-5)


@pytest.mark.slow
def test_maps_and_heat_are_shown(trained: Path, monreader_set: Path, tmp_path: Path) -> None:
    pytest.importorskip("pytorch_grad_cam")
    model = load_model(trained, device="cpu")
    _, text = read(write_report(tmp_path, measured(evaluate_folder(model, monreader_set)), model))
    assert "Evidence" in text
    assert re.search(r"(True|False) (positive|negative)", text)


def test_absent_frames_are_not_shown_and_many_slices_are_cut(tmp_path: Path) -> None:
    records = [
        record(f"{i}.jpg", ("flip", "notflip")[i % 2], f"book {i // 4}", lens="ab"[i % 4 < 2]) for i in range(80)
    ]
    found = evaluation(records, [0.9 - 0.8 * (i % 2) if i % 5 else 0.5 for i in range(80)])
    _, text = read(write_report(tmp_path, measured(found), columns=["lens"]))
    assert "12 with the lowest accuracy of 20" in text
    assert "lens" in text
    assert "mistakes" not in text


def test_one_class_has_no_curves(tmp_path: Path) -> None:
    _, text = read(write_report(tmp_path, measured(evaluation([record("a.jpg", "notflip")], [0.7]))))
    assert "Metrics" in text


def test_torch_is_not_needed() -> None:
    code = "import sys, flipdetect.evaluation.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
