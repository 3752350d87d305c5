"""From a folder to pictures with checked boxes, a report of what could not be used, and grouped splits."""

from __future__ import annotations

import logging
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from flipdetect.data.boxes.annotations import Annotation, Annotations, PictureBoxes
from flipdetect.data.boxes.formats import OTHER_PICTURE, read_coco, read_rendered, read_voc, read_yolo
from flipdetect.data.grouped_splits import GroupChoice, check_fractions, group_of, need_sources, shuffled
from flipdetect.data.index import FrameIndex
from flipdetect.data.splits import SPLITS, GroupBy, Split
from flipdetect.errors import ConfigError, DataError, FrameError
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.folder import Problem, name_below, natural_key
from flipdetect.sources.image import probe_frame
from flipdetect.sources.naming import NamePattern, parse_name, video_id

Format = Literal["auto", "rendered", "voc", "coco", "yolo"]
READERS: dict[str, Callable[[Path], Annotations]] = {
    "rendered": read_rendered, "voc": read_voc, "coco": read_coco, "yolo": read_yolo,
}  # fmt: skip
EMPTY = ClassNames("without boxes", "with boxes")
"""Labels of the records of pictures, by which splits and their audit count them."""
BEYOND = 1.0
"""Pixels that a box may reach beyond the picture, by rounding or by counting from 1; it is clipped."""
PROBE_THREADS = 8
NAMES_SHOWN = 3
ORDERS = 32
"""Random orders that are tried; the best balanced split is kept."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BoxIndex:
    """The usable pictures of a data set and their boxes.

    Attributes:
        frames: the pictures, labelled by whether they have boxes (`EMPTY`); and what could not be used.
        boxes: by the picture's file, `FrameRecord.file`.
        classes: names, by label.
    """

    frames: FrameIndex
    boxes: dict[str, PictureBoxes]
    classes: tuple[str, ...]

    def counts(self, records: Sequence[FrameRecord]) -> dict[str, int]:
        """Number of boxes by class in some of the pictures."""
        found = Counter(int(label) for record in records for label in self.boxes[record.file].labels)
        return {name: found[label] for label, name in enumerate(self.classes)}

    def summary(self) -> str:
        """Pictures, boxes by class, and what was left out by reason, in a few lines."""
        records, root = self.frames.records, self.frames.root
        counts = self.counts(records)
        names = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        lines = [f"{root}: {len(records):,} pictures with {sum(counts.values()):,} boxes ({names})"]
        if problems := self.frames.problems:
            kinds = Counter(problem.reason.partition(":")[0] for problem in problems)
            lines.append("  left out: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common()))
            lines += [f"    {name_below(p.path, root)}: {p.reason}" for p in problems[:NAMES_SHOWN]]
        return "\n".join(lines)


def index_boxes(
    root: Path, form: Format = "auto", classes: Sequence[str] = (), pattern: NamePattern | None = None
) -> BoxIndex:
    """Read the annotations of a data set, and check every box and the header of every picture.

    Left out and listed are boxes that reach beyond the picture, are inverted, without area, no numbers, or of a class
    that is not among `classes`; annotations of another picture or none; and pictures that cannot be read.

    Args:
        form: how boxes are annotated; "auto": by the files that are there.
        classes: names of the classes; empty: those of the annotations, in their own order, else sorted.
        pattern: how video and source are read from file names; None for `VideoID_FrameNumber`.

    Raises:
        ConfigError: if the format is unknown.
        DataError: if there is no folder, no annotation, or no picture that can be used.
    """
    if form not in get_args(Format):
        raise ConfigError(f"data.format must be one of {', '.join(get_args(Format))}, got {form!r}")
    if not root.is_dir():
        raise DataError(f"data.root is no folder: {root}. Give the folder of your pictures with --data.root")
    found = Annotations()
    for reader in READERS.values() if form == "auto" else (READERS[form],):
        try:
            found = reader(root)
        except DataError:
            if form != "auto":
                raise
        if found.pictures:
            break
    if form == "auto" and not found.pictures:
        raise DataError(
            f"no annotations were found below {root}: looked for a rendered set's labels.csv, Pascal VOC's XML files, "
            "COCO's JSON, and YOLO's text files with a data.yaml; correct data.root, or set data.format to see the "
            "error"
        )
    known = {box.name for picture in found.pictures for box in picture.boxes}
    names = tuple(classes) or found.classes or tuple(sorted(known, key=natural_key))
    problems = list(found.problems)
    records: list[FrameRecord] = []
    boxes: dict[str, PictureBoxes] = {}
    pictures = sorted(found.pictures, key=lambda each: natural_key(str(each.path)))
    with ThreadPoolExecutor(PROBE_THREADS) as pool:
        for annotation, checked in zip(pictures, pool.map(lambda each: _checked(each, names), pictures), strict=True):
            picture, wrong = checked
            problems += [Problem(annotation.path, reason) for reason in wrong]
            if picture is not None:
                path, label = annotation.path, EMPTY.names[bool(len(picture.labels))]
                parsed = parse_name(path.name, pattern)
                folder = path.parent.relative_to(root).as_posix() if path.is_relative_to(root) else path.parent.name
                video = annotation.video or video_id(parsed, path.name, "" if folder == "." else folder)
                frame = parsed.frame if annotation.frame is None else annotation.frame
                records.append(FrameRecord(path, label, video, frame, annotation.source or parsed.source))
                boxes[records[-1].file] = picture
    if not boxes or not any(len(picture.labels) for picture in boxes.values()):
        reasons = "; ".join(f"{name_below(p.path, root)}: {p.reason}" for p in problems[:NAMES_SHOWN])
        raise DataError(f"no usable box in {root} ({len(problems):,} problems: {reasons or 'no annotations'})")
    return BoxIndex(FrameIndex(tuple(records), tuple(problems), root), boxes, names)


def _checked(annotation: Annotation, names: Sequence[str]) -> tuple[PictureBoxes | None, list[str]]:
    """The usable boxes of a picture, None if it cannot be used; and the reasons of what was left out."""
    try:
        height, width = probe_frame(annotation.path)
    except FrameError as error:
        return None, [f"unreadable picture: {str(error).removeprefix(f'{annotation.path}: ')}"]
    if annotation.size is not None and annotation.size != (height, width):
        stated = f"{annotation.size[1]}x{annotation.size[0]}"
        return None, [f"{OTHER_PICTURE}: it is about one of {stated} pixels, this has {width}x{height} when upright"]
    scale = (width, height, width, height) if annotation.relative else (1, 1, 1, 1)
    boxes, labels, wrong = [], [], []
    for number, box in enumerate(annotation.boxes, 1):
        x0, y0, x1, y1 = (corner * factor for corner, factor in zip(box.corners, scale, strict=True))
        reason = ""
        if box.name not in names:
            reason = "box of unknown class"
        elif not all(math.isfinite(corner) for corner in (x0, y0, x1, y1)):
            reason = "box without numbers"
        elif x1 < x0 or y1 < y0:
            reason = "inverted box"
        elif min(x0, y0) < -BEYOND or x1 > width + BEYOND or y1 > height + BEYOND:
            reason = "box outside the picture"
        elif min(x1, width) - max(x0, 0) <= 0 or min(y1, height) - max(y0, 0) <= 0:
            reason = "box without area"
        if reason:
            corners = " ".join(f"{corner:g}" for corner in (x0, y0, x1, y1))
            wrong.append(f"{reason}: box {number}, {box.name}, {corners}, in {width}x{height} pixels")
            continue
        boxes.append((max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)))
        labels.append(names.index(box.name))
    return (
        PictureBoxes(np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64), (height, width)),
        wrong,
    )


def split_boxes(
    index: BoxIndex,
    *,
    val_fraction: float = 0.15,
    test_fraction: float = 0.15,
    group_by: GroupChoice = "auto",
    seed: int = 0,
) -> Split:
    """Divide pictures into train, val and test, whole groups at a time.

    Args:
        group_by: the unit that stays together; "auto": the source if every picture has one and there are at least as
            many as splits, else the video. A picture whose name has no video is one by itself.

    Raises:
        ConfigError: if the fractions leave nothing for a split.
        DataError: if there are too few groups, or a source is unknown with `group_by="source"`.
    """
    check_fractions(val_fraction, test_fraction)
    shares = [1 - Fraction(str(val_fraction)) - Fraction(str(test_fraction)), Fraction(str(val_fraction))]
    shares += [Fraction(str(test_fraction))] if test_fraction > 0 else []
    records = index.frames.records
    sources = {record.source for record in records}
    of_sources: GroupBy = "source" if None not in sources and len(sources) >= len(shares) else "video"
    unit = of_sources if group_by == "auto" else group_by
    if unit == "source":
        need_sources(records)
    groups: dict[str, npt.NDArray[np.int64]] = defaultdict(lambda: np.zeros(1 + len(index.classes), np.int64))
    for record in records:
        counts = np.bincount(index.boxes[record.file].labels, minlength=len(index.classes))
        groups[group_of(record, unit)] += np.array([1, *counts])
    if len(groups) < len(shares):
        raise DataError(
            f"too few {unit}s for a split: found {len(groups)}, but each of {len(shares)} splits needs one, and no "
            f"{unit} may be in two. Add pictures, or, if the {unit}s were read wrongly from file names, set data.naming"
        )
    split_of = _assign(dict(groups), shares, seed)
    assigned = tuple(SPLITS[split_of[group_of(record, unit)]] for record in records)
    split = Split(records, assigned, EMPTY, unit)
    check_boxes(split, index)
    return split


def check_boxes(split: Split, index: BoxIndex) -> None:
    """Log a warning for each class of which a split has no box; a `DataError` if train or val has none at all."""
    for name in SPLITS[: 2 + ("test" in split.assigned)]:
        counts = index.counts(split.of(name))
        if not any(counts.values()):
            raise DataError(f"the {name} split has no box; add pictures with boxes, or split without a split file")
        logger.info("%s: %d pictures, %s.", name, len(split.of(name)), ", ".join(f"{n} {c}" for c, n in counts.items()))
        if lacking := [each for each, count in counts.items() if not count]:
            logger.warning("The %s split has no box of %s: its metrics say nothing of it.", name, ", ".join(lacking))


def _assign(groups: dict[str, npt.NDArray[np.int64]], shares: Sequence[Fraction], seed: int) -> dict[str, int]:
    """The split of each group: greedily, in several orders, the one with the least error of pictures and boxes.

    Each count (pictures, boxes of each class) is measured as a share of its total, so that rare classes weigh as much
    as frequent ones.
    """
    totals = np.maximum(np.sum(list(groups.values()), axis=0), 1)
    counts = {name: values / totals for name, values in groups.items()}
    wanted = np.array([[float(share)] * len(totals) for share in shares])
    best: dict[str, int] = {}
    least = np.inf
    for order in range(ORDERS):
        given = np.zeros_like(wanted)
        assigned: dict[str, int] = {}
        for place, name in enumerate(shuffled(groups, f"{seed}/{order}")):
            # No split stays empty: the first groups go one to each.
            growth = ((given + counts[name] - wanted) ** 2 - (given - wanted) ** 2).sum(axis=1)
            chosen = place if place < len(shares) else int(np.argmin(growth))
            given[chosen] += counts[name]
            assigned[name] = chosen
        error = float(((given - wanted) ** 2).sum())
        if error < least:
            best, least = assigned, error
    return best
