"""Tables of boxes, COCO's results and drawn pictures, against what is expected byte for byte."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flipdetect.errors import DataError
from flipdetect.outputs.box_files import draw_boxes, print_box_table, save_picture, write_boxes
from flipdetect.records import DetectionResult, FoundBox

CLASSES = ("book", "=hand")
PICTURES = [
    DetectionResult(
        "a.jpg", 128, 64, (FoundBox("book", 0.97531, 32, 8.25, 96, 56), FoundBox("=hand", 0.5, 0, 0, 20, 48))
    ),
    DetectionResult("empty.png", 10, 20),
    DetectionResult("sub/bad.jpg", error="sub/bad.jpg: it is no image; remove it"),
]
TABLE = """\
path,label,score,x0,y0,x1,y1,error
a.jpg,book,0.975310,32.00,8.25,96.00,56.00,
a.jpg,'=hand,0.500000,0.00,0.00,20.00,48.00,
sub/bad.jpg,,,,,,,sub/bad.jpg: it is no image; remove it
"""


def test_the_table_has_a_row_per_box_and_per_unreadable_file(tmp_path: Path) -> None:
    write_boxes(PICTURES, CLASSES, "best.onnx", 0.3, tmp_path / "boxes.csv")
    stream = io.StringIO()
    print_box_table(PICTURES, stream)
    assert (tmp_path / "boxes.csv").read_text() == stream.getvalue() == TABLE


def test_json_names_every_picture_and_coco_results_have_width_and_height(tmp_path: Path) -> None:
    paths = write_boxes(PICTURES, CLASSES, "best.onnx", 0.3, tmp_path / "boxes.csv")
    assert [path.name for path in paths] == ["boxes.csv", "boxes.json", "boxes.coco.json"]
    assert json.loads((tmp_path / "boxes.json").read_text()) == {
        "schema": "flipdetect.boxes",
        "version": 1,
        "model": "best.onnx",
        "threshold": 0.3,
        "categories": [{"id": 1, "name": "book"}, {"id": 2, "name": "=hand"}],
        "images": [
            {
                "id": 1, "file_name": "a.jpg", "width": 128, "height": 64, "error": None,
                "boxes": [
                    {"label": "book", "score": 0.97531, "box": [32, 8.25, 96, 56]},
                    {"label": "=hand", "score": 0.5, "box": [0, 0, 20, 48]},
                ],
            },
            {"id": 2, "file_name": "empty.png", "width": 10, "height": 20, "error": None, "boxes": []},
            {
                "id": 3, "file_name": "sub/bad.jpg", "width": None, "height": None,
                "error": "sub/bad.jpg: it is no image; remove it", "boxes": [],
            },
        ],
    }  # fmt: skip
    assert json.loads((tmp_path / "boxes.coco.json").read_text()) == [
        {"image_id": 1, "category_id": 1, "bbox": [32, 8.25, 64, 47.75], "score": 0.97531},
        {"image_id": 1, "category_id": 2, "bbox": [0, 0, 20, 48], "score": 0.5},
    ]


def test_boxes_are_drawn_in_the_colour_of_their_class() -> None:
    image = np.full((200, 300, 3), 128, np.uint8)
    drawn = draw_boxes(image, [[50, 60, 250, 180], [0, 0, 40, 30]], [0, 1], CLASSES, [0.9, 0.8])
    assert (image == 128).all()
    assert drawn.shape == image.shape
    assert drawn[120, 50].tolist() == drawn[179, 150].tolist() == [213, 94, 0]
    assert drawn[29, 39].tolist() == [0, 114, 178]
    assert (drawn[100:170, 60:240] == 128).all()  # nothing inside
    assert (drawn[45:60, 52:120].min(axis=2) > 200).any()  # the text, above the box
    assert (draw_boxes(image, [], [], CLASSES) == image).all()


def test_what_lies_at_the_edge_or_is_long_can_be_drawn() -> None:
    names = ("Größe und Maß, 書籍" * 3,)
    assert draw_boxes(np.zeros((20, 20, 3), np.uint8), [[18, 0, 20, 20], [5, 5, 5, 5]], [0, 0], names).any()


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".webp", ".bmp", ".jfif"])
def test_pictures_are_written_in_the_format_of_their_name(suffix: str, tmp_path: Path) -> None:
    save_picture(np.full((8, 12, 3), 200, np.uint8), tmp_path / "deep" / f"a{suffix}")
    with Image.open(tmp_path / "deep" / f"a{suffix}") as image:
        assert image.size == (12, 8)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [f"a{suffix}"]


def test_a_folder_in_the_place_of_a_table_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").mkdir()
    with pytest.raises(DataError, match=r"boxes\.csv cannot be written"):
        write_boxes(PICTURES, CLASSES, "best.onnx", 0.3, tmp_path / "boxes.csv")
