"""A detector on picture files: what it finds in each, and the pictures with the boxes drawn."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from functools import partial
from pathlib import Path

from flipdetect.errors import FrameError
from flipdetect.inference.detector import Detector
from flipdetect.outputs.box_files import draw_boxes, save_picture
from flipdetect.records import DetectionResult
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import decode_frame, in_order, usable_cores

AHEAD = 3
"""Pictures per thread that are begun before the first of them is needed."""


def find_boxes(
    detector: Detector, files: Sequence[Path], root: Path, threshold: float, drawn: Path | None = None
) -> Generator[DetectionResult, None, None]:
    """What is found in each file, in their order; one that cannot be read has an error.

    Args:
        root: results name files relative to this folder.
        drawn: folder for the pictures with the boxes; None for none.

    Raises:
        DataError: if a picture cannot be written.
    """

    def find(file: Path, name: Path) -> DetectionResult:
        path = name_below(file, root)
        try:
            image = decode_frame(file)
        except FrameError as error:
            return DetectionResult(path, error=str(error))
        (boxes,) = detector.predict(image, threshold)
        if drawn is not None:
            labels, scores = boxes.labels.tolist(), boxes.scores.tolist()
            save_picture(draw_boxes(image, boxes.boxes, labels, detector.classes, scores), drawn / name)
        return DetectionResult(path, image.shape[1], image.shape[0], detector.named(boxes))

    workers, names = usable_cores(), drawn_names(files, root)
    return in_order((partial(find, *each) for each in zip(files, names, strict=True)), workers, AHEAD * workers)


def drawn_names(files: Iterable[Path], root: Path) -> list[Path]:
    """Names of the drawn pictures, below one folder and each different: those of the files, as far as possible."""
    names: dict[Path, None] = {}
    for file in files:
        inside = file.relative_to(root) if file.is_relative_to(root) else file
        parts = [part for part in inside.parts if part not in (inside.anchor, "..")]
        name = Path(*parts)
        number = 1
        while name in names:
            number += 1
            name = Path(*parts).with_stem(f"{file.stem}-{number}")
        names[name] = None
    return list(names)
