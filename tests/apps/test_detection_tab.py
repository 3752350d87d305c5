"""The demo's tab for a detector: what its handler shows, and when the page has it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

gr = pytest.importorskip("gradio", reason="needs the extra demo")

from flipdetect.apps.demo import build  # noqa: E402
from flipdetect.apps.demo_handlers import boxes_of  # noqa: E402
from flipdetect.inference.onnx_model import OnnxDetector, load_onnx_detector  # noqa: E402
from tests.inference.detectors import write_fixed_detector  # noqa: E402


@pytest.fixture
def detector(tmp_path: Path) -> OnnxDetector:
    return load_onnx_detector(write_fixed_detector(tmp_path / "fixed.onnx"), threads=1)


def test_a_picture_gets_boxes_counts_and_a_table(detector: OnnxDetector, tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    Image.new("RGB", (128, 64), "white").save(path)
    summary, shown, table = boxes_of(detector, str(path), 0.2)
    assert "book: <b>1</b>" in summary
    assert "hand: <b>1</b>" in summary
    assert shown["visible"]
    assert np.asarray(shown["value"])[30, 32].tolist() == [213, 94, 0]
    assert [row[0] for row in table["value"]] == ["book", "hand"]
    summary, shown, table = boxes_of(detector, str(path), 0.99)
    assert len(table["value"]) == 1
    Image.new("RGB", (128, 64)).save(path)
    assert "Nothing with a score of at least 0.99" in boxes_of(detector, str(path), 0.99)[0]


def test_without_a_picture_nothing_is_shown_and_a_wrong_file_is_an_error(
    detector: OnnxDetector, tmp_path: Path
) -> None:
    summary, shown, table = boxes_of(detector, None, 0.5)
    assert "Choose a picture" in summary
    assert not shown["visible"]
    assert not table["visible"]
    (tmp_path / "wrong.jpg").write_bytes(b"no picture")
    with pytest.raises(gr.Error, match=r"wrong\.jpg"):
        boxes_of(detector, str(tmp_path / "wrong.jpg"), 0.5)


def test_the_page_has_the_tab_if_the_model_is_a_detector(detector: OnnxDetector, tmp_path: Path) -> None:
    for model, expected in ((str(detector.path), True), ("tiny_cnn", False)):
        page = build(model, None, tmp_path)
        labels = [block.label for block in page.blocks.values() if isinstance(block, gr.Tab)]
        assert ("Detection" in labels) == expected
        assert "Picture" in labels
