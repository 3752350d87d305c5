"""What the README shows is made of results files, the same each time; what does not fit is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flipdetect.errors import DataError
from flipdetect.evaluation.published import draw, fill, make_table, read_list
from flipdetect.outputs.plots import figure_to_array
from tests.conftest import REPOSITORY
from tests.scripts.test_scripts import script

COMPARISON = """\
model,f1,f1_low,f1_high,auroc,auroc_low,auroc_high,parameters,file_bytes,memory_bytes,latency_ms,training_seconds
tiny_cnn,0.9,0.88,0.92,0.97,0.96,0.98,118296,600000,9000000,3.2,213
mobilenet,0.91,,,0.96,,,494984,2100000,30000000,11.4,
"""
README = "# x\n\n<!-- figures:shipped -->\nold\n<!-- /figures -->\n\nrest | <!-- no marker -->\n"


def figures(frames: int = 40, digest: str = "abc", f1: float = 0.8) -> dict[str, object]:
    counts = {"true_positives": 18, "false_positives": 3, "false_negatives": 2, "true_negatives": 17}
    each = {"value": f1, "low": f1 - 0.1, "high": f1 + 0.1}
    return {
        "frames": frames,
        "videos": 10,
        "judged": {"set_hash": digest, "classes": {"negative": "notflip", "positive": "flip"}},
        "figures": {"f1": each, "auroc": {"value": None, "low": None, "high": None}},
        "frames_decided": counts,
        "clips": [{"how": "mean", "decided": counts, "figures": {"f1": each}}],
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A repository with a list, results and a README."""
    folder = tmp_path / "docs" / "results"
    folder.mkdir(parents=True)
    (folder / "comparison.csv").write_text(COMPARISON)
    (folder / "tiny.json").write_text(json.dumps(figures()))
    (folder / "mobile.json").write_text(json.dumps(figures(f1=0.7)))
    (folder / "training.csv").write_text("epoch,step,train_loss,val_f1\n0,9,0.7,0.5\n1,19,0.5,0.6\n")
    (folder / "published.yaml").write_text(
        "pictures:\n"
        "  images/training.png: {chart: training, from: training.csv}\n"
        "  images/confusion.png: {chart: confusion, from: tiny.json}\n"
        "  images/comparison.png: {chart: comparison, from: comparison.csv}\n"
        "tables:\n"
        "  comparison: {table: comparison, from: comparison.csv}\n"
        "  shipped: {table: figures, rows: {books: {TinyCNN: tiny.json, MobileNetV2: mobile.json}}}\n"
    )
    (tmp_path / "README.md").write_text(README)
    return tmp_path


def test_pictures_and_tables_are_made(results: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main = script("make_figures")
    assert main(["--root", str(results), "--check"]) == 1
    assert (results / "README.md").read_text() == README
    assert main(["--root", str(results)]) == 0
    text = (results / "README.md").read_text()
    assert "| books       | 40       | 10       | 0.800 (0.70 to 0.90) | -" in text
    assert "old" not in text
    assert text.startswith("# x\n\n<!-- figures:shipped -->\n| tested on")
    assert text.endswith("<!-- /figures -->\n\nrest | <!-- no marker -->\n")
    assert "no marker <!-- figures:comparison -->" in capfd.readouterr().err
    pictures = {path.name: path.read_bytes() for path in (results / "images").iterdir()}
    assert set(pictures) == {"training.png", "confusion.png", "comparison.png"}
    assert main(["--root", str(results)]) == 0
    assert main(["--root", str(results), "--check"]) == 0
    assert {path.name: path.read_bytes() for path in (results / "images").iterdir()} == pictures
    with Image.open(results / "images" / "confusion.png") as image:
        assert image.width > 1.5 * image.height


def test_the_comparison_table(results: Path) -> None:
    table = make_table(read_list(results / "docs" / "results" / "published.yaml"), "comparison")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[2] == [
        "tiny_cnn", "0.900 (0.88 to 0.92)", "0.970 (0.96 to 0.98)", "0.12 M", "0.6 MB", "9 MB", "3.2 ms", "4 min",
    ]  # fmt: skip
    assert rows[3][1] == "0.910"
    assert rows[3][-1] == "-"


@pytest.mark.parametrize(
    ("readme", "complaint"),
    [
        ("<!-- figures:other -->\n<!-- /figures -->", "no table is called 'other'"),
        ("<!-- figures:shipped -->\n", "not closed"),
    ],
)
def test_markers_that_do_not_fit(results: Path, readme: str, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        fill(readme, read_list(results / "docs" / "results" / "published.yaml"))


def test_results_that_do_not_fit(results: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = results / "docs" / "results"
    published = read_list(folder / "published.yaml")
    (folder / "mobile.json").write_text(json.dumps(figures(digest="other")))
    with pytest.raises(DataError, match="other frames"):
        make_table(published, "shipped")
    (folder / "tiny.json").write_text("{}")
    with pytest.raises(DataError, match="write it anew"):
        draw(published, "images/confusion.png")
    (folder / "comparison.csv").write_text("model,f1\nx,0.5\n")
    with pytest.raises(DataError, match="f1_low"):
        draw(published, "images/comparison.png")
    (folder / "published.yaml").write_text("pictures: {a.png: {chart: pie}}\n")
    with pytest.raises(DataError, match="'pie'"):
        draw(read_list(folder / "published.yaml"), "a.png")
    (folder / "published.yaml").write_text("pies: {}\n")
    assert script("make_figures")(["--root", str(results)]) == 1
    assert "pictures and tables" in capfd.readouterr().err


def test_the_repositorys_own_list_can_be_made() -> None:
    published = read_list(REPOSITORY / "docs" / "results" / "published.yaml")
    for name in published.pictures:
        assert np.ptp(figure_to_array(draw(published, name))) > 0
    for name in published.tables:
        assert make_table(published, name).startswith("|")
