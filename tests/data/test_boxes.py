"""Formats of boxes, what is left out and why, grouped splits, and boxes under preprocessing and augmentation."""

import json
from collections.abc import Callable
from pathlib import Path

import albumentations
import numpy as np
import pytest

from flipdetect.data.boxes.box_datamodule import BoxAugmentation, BoxDataModule
from flipdetect.data.boxes.box_index import index_boxes, split_boxes
from flipdetect.data.boxes.formats import parse_xml
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, DataError
from tests.data.boxes_sets import (
    CLASSES,
    Shape,
    draw_picture,
    make_coco_set,
    make_voc_set,
    make_yolo_set,
    voc_xml,
    write_picture,
)

MAKERS: dict[str, Callable[[Path, int], Path]] = {"voc": make_voc_set, "coco": make_coco_set, "yolo": make_yolo_set}


@pytest.mark.parametrize("named", [True, False], ids=["named", "guessed"])
@pytest.mark.parametrize("form", MAKERS)
def test_every_format_gives_the_boxes_that_were_drawn(form: str, named: bool, tmp_path: Path) -> None:
    root = MAKERS[form](tmp_path, 4)
    found = index_boxes(root, form if named else "auto")  # type: ignore[arg-type]
    assert found.classes == CLASSES
    assert not found.frames.problems
    assert [record.path.name for record in found.frames.records] == [f"shapes{n}.png" for n in range(4)]
    for number, record in enumerate(found.frames.records):
        _, shapes = draw_picture(number)
        picture = found.boxes[record.file]
        np.testing.assert_allclose(picture.boxes, [shape.box for shape in shapes], atol=1e-3)
        assert [CLASSES[label] for label in picture.labels] == [shape.name for shape in shapes]
        assert picture.size == (120, 160)


LABELIMG = """<annotation>
	<folder>images</folder>
	<filename>a.jpg</filename>
	<path>C:\\Users\\me\\images\\a.jpg</path>
	<source><database>Unknown</database></source>
	<size><width>200</width><height>100</height><depth>3</depth></size>
	<segmented>0</segmented>
	<object>
		<name>mask</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>
		<bndbox><xmin>20</xmin><ymin>10</ymin><xmax>60</xmax><ymax>90</ymax></bndbox>
	</object>
	<object>
		<name>no mask</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>
		<bndbox><xmin>100</xmin><ymin>0</ymin><xmax>200</xmax><ymax>50</ymax></bndbox>
	</object>
</annotation>
"""
ROBOFLOW = """{"info": {"year": "2024"}, "licenses": [{"id": 1, "url": "", "name": "CC BY 4.0"}],
 "categories": [{"id": 0, "name": "faces", "supercategory": "none"},
                {"id": 1, "name": "mask", "supercategory": "faces"},
                {"id": 2, "name": "no mask", "supercategory": "faces"}],
 "images": [{"id": 0, "license": 1, "file_name": "a.jpg", "height": 100, "width": 200}],
 "annotations": [{"id": 0, "image_id": 0, "category_id": 1, "bbox": [20, 10, 40, 80], "area": 3200, "iscrowd": 0},
                 {"id": 1, "image_id": 0, "category_id": 2, "bbox": [100, 0, 100, 50], "area": 5000, "iscrowd": 0}]}
"""
ULTRALYTICS = "0 0.2 0.5 0.2 0.8\n1 0.75 0.25 0.5 0.5\n"
ULTRALYTICS_NAMES = """# a comment
path: ../datasets/faces
train: images/train
val: images/val
names:
  0: mask
  1: no mask
"""
GOLDEN = {
    "LabelImg": {"images/a.jpg": "", "annotations/a.xml": LABELIMG},
    "Roboflow": {"train/a.jpg": "", "train/_annotations.coco.json": ROBOFLOW},
    "Ultralytics": {"images/train/a.jpg": "", "labels/train/a.txt": ULTRALYTICS, "data.yaml": ULTRALYTICS_NAMES},
}


@pytest.mark.parametrize("program", GOLDEN)
def test_files_as_other_programs_write_them(program: str, tmp_path: Path) -> None:
    for name, text in GOLDEN[program].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if text:
            (tmp_path / name).write_text(text, encoding="utf-8")
        else:
            write_picture(tmp_path / name, np.full((100, 200, 3), 90, np.uint8))
    found = index_boxes(tmp_path)
    assert (found.classes, found.frames.problems) == (("mask", "no mask"), ())
    (picture,) = found.boxes.values()
    np.testing.assert_allclose(picture.boxes, [[20, 10, 60, 90], [100, 0, 200, 50]], atol=1e-4)
    assert picture.labels.tolist() == [0, 1]


def test_rendered_boxes_come_from_the_renderers_table(tmp_path: Path) -> None:
    for name in ("flip/a_1", "notflip/b_1"):
        write_picture(tmp_path / f"{name}.png", np.full((64, 36, 3), 90, np.uint8))
    (tmp_path / "labels.csv").write_text(
        "path,label,source,video,frame,book_box,page_box,hand_boxes\n"
        "flip/a_1.png,flip,book-000,flip/a,1,1 2 30 60,3 4 20 50,0 0 10 10;20 40 36 64\n"
        "notflip/b_1.png,notflip,book-001,notflip/b,1,1 2 30 60,3 4 20 50,\n"
    )
    found = index_boxes(tmp_path)
    assert found.classes == ("book", "page", "hand")
    first, second = found.frames.records
    assert (first.source, first.video, first.frame) == ("book-000", "flip/a", 1)
    assert found.boxes[first.file].boxes.tolist() == [[1, 2, 30, 60], [3, 4, 20, 50], [0, 0, 10, 10], [20, 40, 36, 64]]
    assert found.boxes[first.file].labels.tolist() == [0, 1, 2, 2]
    assert found.boxes[second.file].labels.tolist() == [0]


WRONG = {
    "box outside the picture": Shape("disc", (100, 10, 190, 60)),
    "inverted box": Shape("disc", (90, 10, 20, 60)),
    "box without area": Shape("disc", (20, 10, 20, 60)),
    "box of unknown class": Shape("cat", (20, 10, 40, 60)),
}


@pytest.mark.parametrize("reason", WRONG)
def test_a_wrong_box_is_listed_with_its_reason_and_left_out(reason: str, tmp_path: Path) -> None:
    good = Shape("square", (5, 5, 50, 50))
    write_picture(tmp_path / "one.png", draw_picture(0)[0])
    (tmp_path / "one.xml").write_text(voc_xml("one.png", (120, 160), [WRONG[reason], good]))
    found = index_boxes(tmp_path, "voc", CLASSES)
    (problem,) = found.frames.problems
    assert problem.path.name == "one.png"
    assert problem.reason.startswith(f"{reason}: box 1, ")
    assert found.boxes[found.frames.records[0].file].boxes.tolist() == [[5, 5, 50, 50]]
    assert f"1 {reason}" in found.summary()


def test_a_box_one_pixel_beyond_the_picture_is_clipped(tmp_path: Path) -> None:
    write_picture(tmp_path / "one.png", draw_picture(0)[0])
    (tmp_path / "one.xml").write_text(voc_xml("one.png", (120, 160), [Shape("disc", (-1, 0, 161, 120))]))
    found = index_boxes(tmp_path)
    assert next(iter(found.boxes.values())).boxes.tolist() == [[0, 0, 160, 120]]
    assert not found.frames.problems


def _other_size(root: Path) -> None:
    (root / "annotations/shapes0.xml").write_text(voc_xml("shapes0.png", (240, 320), draw_picture(0)[1]))


def _other_name(root: Path) -> None:
    (root / "annotations/shapes0.xml").write_text(voc_xml("shapes1.png", (120, 160), draw_picture(0)[1]))


def _no_picture(root: Path) -> None:
    (root / "images/shapes0.png").unlink()


def _no_picture_at_all(root: Path) -> None:
    (root / "images/shapes0.png").write_bytes(b"no picture")


def _no_annotation(root: Path) -> None:
    (root / "annotations/shapes0.xml").unlink()


def _no_xml(root: Path) -> None:
    (root / "annotations/shapes0.xml").write_text("<annotation><object>")


def _entities(root: Path) -> None:
    text = voc_xml("shapes0.png", (120, 160), draw_picture(0)[1])
    (root / "annotations/shapes0.xml").write_text('<!DOCTYPE a [<!ENTITY b "disc">]>' + text)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_other_size, "annotation of another picture"),
        (_other_name, "annotation of another picture"),
        (_no_picture, "its picture is missing"),
        (_no_picture_at_all, "unreadable picture"),
        (_no_annotation, "picture without an annotation"),
        (_no_xml, "it is no XML"),
        (_entities, "document type declaration"),
    ],
)
def test_a_picture_that_cannot_be_used_is_listed(spoil: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    root = make_voc_set(tmp_path, 3)
    spoil(root)
    found = index_boxes(root, "voc")
    assert any(reason in problem.reason and "shapes0" in problem.path.name for problem in found.frames.problems)
    assert [record.path.name for record in found.frames.records] == ["shapes1.png", "shapes2.png"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "cp037"])
def test_entities_do_not_hide_in_another_encoding(encoding: str) -> None:
    text = '<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'
    with pytest.raises(DataError):
        parse_xml(f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + text.encode(encoding))


def test_coco_annotations_without_a_picture_crowds_and_unknown_categories_are_listed(tmp_path: Path) -> None:
    root = make_coco_set(tmp_path, 2)
    content = json.loads((root / "annotations.json").read_text())
    content["annotations"] += [
        {"image_id": 99, "category_id": 10, "bbox": [1, 1, 5, 5]},
        {"image_id": 0, "category_id": 10, "bbox": [1, 1, 5, 5], "iscrowd": 1},
        {"image_id": 0, "category_id": 77, "bbox": [1, 1, 5, 5]},
        {"image_id": 0, "category_id": 10, "bbox": [1, 1, "x", 5]},
    ]
    content["images"].append({"id": 5, "file_name": "gone.png"})
    (root / "annotations.json").write_text(json.dumps(content))
    reasons = sorted(problem.reason.partition(":")[0] for problem in index_boxes(root).frames.problems)
    assert reasons == [
        "annotation of another picture", "box of unknown class", "crowd", "picture is missing", "unusable box",
    ]  # fmt: skip


def test_a_coco_category_without_a_box_is_no_class(tmp_path: Path) -> None:
    root = make_coco_set(tmp_path, 4)
    content = json.loads((root / "annotations.json").read_text())
    content["categories"].insert(0, {"id": 0, "name": "shapes", "supercategory": "none"})
    (root / "annotations.json").write_text(json.dumps(content))
    assert index_boxes(root).classes == CLASSES


def test_a_yolo_picture_without_a_file_has_no_boxes_and_wrong_lines_are_listed(tmp_path: Path) -> None:
    root = make_yolo_set(tmp_path, 3)
    (root / "labels/shapes0.txt").unlink()
    (root / "labels/shapes1.txt").write_text("0 0.5 0.5 0.25 0.5\n7 0.5 0.5 0.1 0.1\n0 0.1 0.1\n")
    found = index_boxes(root)
    first, second, _ = (found.boxes[record.file] for record in found.frames.records)
    assert first.boxes.shape == (0, 4)
    np.testing.assert_allclose(second.boxes, [[60, 30, 100, 90]], atol=1e-4)
    reasons = [problem.reason.partition(":")[0] for problem in found.frames.problems]
    assert sorted(reasons) == ["box of unknown class", "unusable box"]


def test_a_folder_without_annotations_or_names_says_what_is_missing(tmp_path: Path) -> None:
    write_picture(tmp_path / "one.png", draw_picture(0)[0])
    with pytest.raises(DataError, match="no annotations were found"):
        index_boxes(tmp_path)
    (tmp_path / "one.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    with pytest.raises(DataError, match=r"data\.yaml"):
        index_boxes(tmp_path, "yolo")
    with pytest.raises(ConfigError, match=r"data\.format"):
        index_boxes(tmp_path, "csv")  # type: ignore[arg-type]


def test_a_split_keeps_videos_together_and_balances_classes(tmp_path: Path) -> None:
    for number in range(60):
        picture, shapes = draw_picture(number)
        write_picture(tmp_path / f"{number // 3:04d}_{number % 3:09d}.png", picture)
        name = f"{number // 3:04d}_{number % 3:09d}"
        (tmp_path / f"{name}.xml").write_text(voc_xml(f"{name}.png", (120, 160), shapes))
    found = index_boxes(tmp_path)
    split = split_boxes(found, val_fraction=0.2, test_fraction=0.2, seed=3)
    videos = [{record.video for record in split.of(name)} for name in ("train", "val", "test")]
    assert sum(map(len, videos)) == len(set.union(*videos)) == 20
    total = found.counts(found.frames.records)
    for name, share in (("train", 0.6), ("val", 0.2), ("test", 0.2)):
        for label, count in found.counts(split.of(name)).items():
            assert count / total[label] == pytest.approx(share, abs=0.1)
    assert split.assigned == split_boxes(found, val_fraction=0.2, test_fraction=0.2, seed=3).assigned
    assert split.assigned != split_boxes(found, val_fraction=0.2, test_fraction=0.2, seed=4).assigned


@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
def test_boxes_follow_the_picture_into_the_input_and_back(fit: str) -> None:
    spec = PreprocessSpec(height=96, width=64, fit=fit)  # type: ignore[arg-type]
    picture = np.zeros((150, 210, 3), np.uint8)
    picture[60:90, 90:120] = 255
    boxes = np.array([[90, 60, 120, 90]], np.float32)
    placed = spec.place_boxes(boxes, 150, 210)
    rows, columns = np.nonzero(spec.resize(picture)[:, :, 0] > 127)
    seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_allclose(placed[0], seen, atol=1)
    np.testing.assert_allclose(spec.unplace_boxes(placed, 150, 210), boxes, atol=1e-3)


def test_augmentation_moves_boxes_with_the_picture_and_drops_those_that_leave_it() -> None:
    flip = BoxAugmentation([albumentations.HorizontalFlip(p=1)])
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:20, 5:15] = 255
    moved, boxes, labels = flip.augment(picture, np.array([[5, 10, 15, 20]], np.float32), np.array([1]), seed=0)
    assert boxes.tolist() == [[45, 10, 55, 20]]
    assert labels.tolist() == [1]
    assert moved[15, 50].tolist() == [255] * 3
    away = BoxAugmentation([albumentations.Affine(translate_percent={"x": (0.9, 0.9)}, p=1)])
    _, boxes, labels = away.augment(picture, np.array([[40, 10, 50, 20]], np.float32), np.array([1]), seed=0)
    assert boxes.shape == (0, 4)
    assert labels.shape == (0,)


def test_the_data_module_gives_batches_and_writes_a_split_that_it_reads_again(tmp_path: Path) -> None:
    root = make_voc_set(tmp_path / "set", 20)
    spec = PreprocessSpec(height=64, width=64)

    def module(**settings: object) -> BoxDataModule:
        data = BoxDataModule(root=str(root), preprocess=spec, batch_size=4, num_workers=0, cache_dir=None, **settings)  # type: ignore[arg-type]
        data.setup()
        return data

    data = module(split_seed=5)
    batch = next(iter(data.train_dataloader()))
    assert batch["image"].shape == (4, 3, 64, 64)
    assert all(each["boxes"].shape == (len(each["labels"]), 4) for each in batch["targets"])
    assert data.class_names == ["disc", "square"]
    assert data.describe()["classes"] == {"names": ["disc", "square"]}
    data.split_csv(tmp_path / "splits.csv")
    again = module(split_file=str(tmp_path / "splits.csv"), split_seed=6)
    assert again.split.assigned == data.split.assigned
