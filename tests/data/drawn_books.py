"""A set of drawn books, each on a desk of its own, with a sheet that moves, and faults for an audit to find in it."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from flipdetect.atomic import write_csv
from flipdetect.data.grouped_splits import split_records
from flipdetect.data.index import index_frames
from flipdetect.data.splits import SPLITS
from flipdetect.records import ClassNames
from tests.frame_sets import write_frame

HEADER = "path,label,source,video,frame"


def drawn_frame(book: int, flip: bool, moment: int) -> np.ndarray:
    """(384, 216, 3) uint8 RGB: one desk and print for a book, one hand for a moment, a sheet if it is a flip."""
    height, width = 256, 144
    rng = np.random.default_rng(book)
    frame = np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(12):  # what lies on the desk
        x, y = rng.integers(0, width), rng.integers(0, height)
        corner = (int(x + rng.integers(15, 60)), int(y + rng.integers(15, 60)))
        cv2.rectangle(frame, (int(x), int(y)), corner, rng.integers(20, 240, 3).tolist(), -1)
    left, top = int(rng.integers(8, 40)), int(rng.integers(20, 90))
    right, bottom = left + int(rng.integers(60, 95)), top + int(rng.integers(80, 150))
    cv2.rectangle(frame, (left, top), (right, bottom), (225, 220, 205), -1)
    for line in range(top + 6, min(bottom, height) - 4, 7):
        cv2.line(frame, (left + 5, line), (left + int(rng.integers(25, right - left)), line), (60, 60, 60), 2)
    moments = np.random.default_rng(1000 + 50 * book + moment)
    hand = (int(moments.integers(left, right)), int(moments.integers(top, bottom)))
    cv2.circle(frame, hand, 14, (170, 110, 80), -1)
    if flip:
        edge = left + int((right - left) * moments.uniform(0.2, 0.8))
        sheet = np.array([[left, top], [edge, top - 14], [edge + 6, bottom - 10], [left, bottom]], np.int32)
        cv2.fillPoly(frame, [sheet], (245, 243, 238))
        cv2.polylines(frame, [sheet], True, (120, 115, 110), 2)
    frame = cv2.GaussianBlur(cv2.resize(frame, (216, 384), interpolation=cv2.INTER_CUBIC), (0, 0), 0.8)
    noise = moments.normal(0, 3, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def make_drawn_books(root: Path, books: int = 12, frames: int = 4) -> Path:
    """`flip|notflip/VideoID_FrameNumber.jpg`, a clip of each per book, the two of one book at the same moments."""
    rows = [HEADER]
    for book in range(books):
        for label in ("flip", "notflip"):
            for moment in range(frames):
                name = f"{label}/{book:04d}_{moment * 10:09d}.jpg"
                write_frame(root / name, drawn_frame(book, label == "flip", moment))
                rows.append(f"{name},{label},book-{book:03d},{label}/{book:04d},{moment * 10}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


@dataclass
class Planted:
    """A set with faults: its manifest, its split file, and the paths of what was planted, relative to the root."""

    manifest: Path
    split_file: Path
    copied: list[str] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    relabelled: list[str] = field(default_factory=list)


def plant(root: Path, *, each: int = 2) -> Planted:
    """Add `each` of three faults to a set with a `labels.csv`, split by source; nothing in its tables shows them.

    A copied frame and one encoded again (JPEG quality 40, 0.9 of the size), each in another split; a copy with the
    other label in the same split; all of new videos and sources.
    """
    classes = ClassNames()
    records = index_frames(root, classes=classes, check=False).records
    split = split_records(records, classes=classes, group_by="source", seed=0)
    side_of = {r.path.relative_to(root).as_posix(): side for r, side in zip(records, split.assigned, strict=True)}
    rows = list(csv.DictReader((root / "labels.csv").open(encoding="utf-8")))
    training = [row for row in rows if side_of[row["path"]] == "train"]
    by_video = {training[i]["video"]: training[i] for i in np.random.default_rng(0).permutation(len(training))}
    found = Planted(root / "planted.csv", root / "planted_splits.csv")
    for number, row in enumerate(list(by_video.values())[: 3 * each]):
        kind = ("copied", "encoded", "relabelled")[number % 3]
        name = f"planted/{kind}_{number:04d}.jpg"
        data = (root / row["path"]).read_bytes()
        if kind != "copied":
            scale = 0.9 if kind == "encoded" else 1.0
            frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            frame = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 40])[1].tobytes()
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
        label = row["label"] if kind != "relabelled" else classes.names[1 - classes.target(row["label"])]
        rows.append({**row, "path": name, "label": label, "video": f"new-{number}", "source": f"new-{number}"})
        side_of[name] = "train" if kind == "relabelled" else SPLITS[1 + number % 2]
        getattr(found, kind).append(name)
    write_csv(found.manifest, list(rows[0]), [list(row.values()) for row in rows])
    write_csv(found.split_file, ("path", "split"), list(side_of.items()))
    return found
