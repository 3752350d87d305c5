"""Small annotated sets: coloured shapes on noise, written as Pascal VOC, COCO or YOLO."""

import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

CLASSES = ("disc", "square")


class Shape(NamedTuple):
    """A shape's class and its box."""

    name: str
    box: tuple[int, int, int, int]


def draw_picture(seed: int, height: int = 120, width: int = 160) -> tuple[np.ndarray, list[Shape]]:
    """A picture (H, W, 3) uint8 with one to three shapes that do not overlap."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = cv2.resize(low, (width, height), interpolation=cv2.INTER_CUBIC) // 3 + 80
    picture = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    shapes: list[Shape] = []
    for _ in range(int(rng.integers(1, 4))):
        side = int(rng.integers(height // 6, height // 2))
        x, y = int(rng.integers(0, width - side)), int(rng.integers(0, height - side))
        box = (x, y, x + side, y + side)
        if any(x < s.box[2] and s.box[0] < box[2] and y < s.box[3] and s.box[1] < box[3] for s in shapes):
            continue
        name = CLASSES[int(rng.integers(0, 2))]
        colour = tuple(int(value) for value in rng.integers(0, 2, 3) * 200 + rng.integers(0, 56, 3))
        if name == "disc":
            cv2.circle(picture, (x + side // 2, y + side // 2), side // 2, colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(picture, (x, y), (x + side - 1, y + side - 1), colour, -1)
        shapes.append(Shape(name, box))
    return picture, shapes


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write a picture (H, W, 3) RGB as JPEG or PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def voc_xml(name: str, size: tuple[int, int], shapes: list[Shape]) -> str:
    """Pascal VOC's XML of a picture of a (height, width)."""
    objects = "".join(
        f"<object><name>{s.name}</name><bndbox>"
        + "".join(f"<{tag}>{v}</{tag}>" for tag, v in zip(("xmin", "ymin", "xmax", "ymax"), s.box, strict=True))
        + "</bndbox></object>"
        for s in shapes
    )
    return (
        f"<annotation><filename>{name}</filename><size><width>{size[1]}</width><height>{size[0]}</height>"
        f"<depth>3</depth></size>{objects}</annotation>"
    )


def make_voc_set(root: Path, pictures: int, height: int = 120, width: int = 160) -> Path:
    """`images/` and `annotations/`, as the set of masks has them."""
    for number in range(pictures):
        picture, shapes = draw_picture(number, height, width)
        write_picture(root / f"images/shapes{number}.png", picture)
        path = root / f"annotations/shapes{number}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(voc_xml(f"shapes{number}.png", picture.shape[:2], shapes), encoding="utf-8")
    return root


def make_coco_set(root: Path, pictures: int) -> Path:
    """`images/` and `annotations.json`."""
    content: dict = {"images": [], "annotations": [], "categories": []}
    content["categories"] = [{"id": 10 * (k + 1), "name": name} for k, name in enumerate(CLASSES)]
    for number in range(pictures):
        picture, shapes = draw_picture(number)
        name = f"shapes{number}.png"
        write_picture(root / "images" / name, picture)
        height, width = picture.shape[:2]
        content["images"].append({"id": number, "file_name": name, "height": height, "width": width})
        for shape in shapes:
            x0, y0, x1, y1 = shape.box
            category = 10 * (CLASSES.index(shape.name) + 1)
            entry = {"image_id": number, "category_id": category, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            content["annotations"].append({"id": len(content["annotations"]), "iscrowd": 0, **entry})
    (root / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def make_yolo_set(root: Path, pictures: int) -> Path:
    """`images/`, `labels/` and `data.yaml`."""
    (root / "labels").mkdir(parents=True)
    for number in range(pictures):
        picture, shapes = draw_picture(number)
        write_picture(root / f"images/shapes{number}.png", picture)
        height, width = picture.shape[:2]
        lines = []
        for shape in shapes:
            x0, y0, x1, y1 = shape.box
            numbers = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
            lines.append(" ".join([str(CLASSES.index(shape.name)), *(f"{value:.9f}" for value in numbers)]))
        (root / f"labels/shapes{number}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (root / "data.yaml").write_text("names: [disc, square]\nnc: 2\n", encoding="utf-8")
    return root
