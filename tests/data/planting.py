"""Faults planted in a labelled set that has a `labels.csv`: what an audit must find."""

import csv
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from flipdetect.data.grouped_splits import split_records
from flipdetect.data.index import index_frames
from flipdetect.data.splits import SPLITS
from flipdetect.records import ClassNames


@dataclass
class Planted:
    """The set with faults: its manifest, its split file, and the paths of what was planted, relative to the root."""

    manifest: Path
    split_file: Path
    copied: list[str] = field(default_factory=list)
    encoded: list[str] = field(default_factory=list)
    relabelled: list[str] = field(default_factory=list)


def plant(root: Path, *, each: int = 2, seed: int = 0) -> Planted:
    """Add `each` of three faults to a set split by source; nothing in its tables shows them.

    A copied frame and one encoded again (JPEG quality 40, 0.9 of the size), each under a new video and source and in
    another split; a copy with the other label in the same split, of a new video and source.
    """
    classes = ClassNames()
    rng = np.random.default_rng(seed)
    records = index_frames(root, classes=classes, check=False).records
    split = split_records(records, classes=classes, group_by="source", seed=0)
    side_of = {record.path.relative_to(root).as_posix(): side for record, side in zip(records, split.assigned)}  # noqa: B905
    rows = list(csv.DictReader((root / "labels.csv").open(encoding="utf-8")))
    training = [row for row in rows if side_of[row["path"]] == "train"]
    order = [training[i] for i in rng.permutation(len(training))]
    videos = list(dict.fromkeys(row["video"] for row in order))
    chosen = {row["video"]: row for row in order}
    found = Planted(root / "planted.csv", root / "planted_splits.csv")
    new_rows = []
    for number in range(3 * each):
        kind = ("copied", "encoded", "relabelled")[number % 3]
        row = chosen[videos[number]]
        name = f"planted/{kind}_{number:04d}.jpg"
        data = (root / row["path"]).read_bytes()
        if kind != "copied":
            frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            scale = 0.9 if kind == "encoded" else 1.0
            frame = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 40])[1].tobytes()
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
        label = row["label"] if kind != "relabelled" else classes.names[1 - classes.target(row["label"])]
        new_rows.append({**row, "path": name, "label": label, "video": f"new-{number}", "source": f"new-{number}"})
        side_of[name] = "train" if kind == "relabelled" else SPLITS[1 + number % 2]
        getattr(found, kind).append(name)
    _write(found.manifest, [*rows, *new_rows])
    _write(found.split_file, [{"path": path, "split": side} for path, side in side_of.items()])
    return found


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
