"""The job of `flipdetect predict` with a detector: boxes in picture files, as tables and drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flipdetect.errors import FrameError
from flipdetect.inference.detector import Detector
from flipdetect.inference.score import in_order
from flipdetect.outputs.box_files import draw_boxes, save_picture
from flipdetect.records import DetectionResult
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import decode_frame, usable_cores

AHEAD = 3
"""Pictures per thread that are begun before the first of them is needed."""


@dataclass(frozen=True)
class BoxFinder:
    """Finds objects in picture files.

    Attributes:
        threshold: the least score of a box, 0 to 1.
        drawn: folder for the pictures with boxes; None: they are not written.
    """

    detector: Detector
    threshold: float
    drawn: Path | None = None

    def find(self, files: Sequence[Path], root: Path) -> Iterator[DetectionResult]:
        """Find the objects in files; results come in their order, as they are ready, with bounded read-ahead.

        A file that cannot be read gets a result with an error.

        Args:
            root: results name files relative to this folder.

        Raises:
            DataError: if a drawn picture cannot be written.
        """
        workers = usable_cores()
        named = zip(files, drawn_names(files, root), strict=True)
        calls = (partial(self._find, file, name_below(file, root), name) for file, name in named)
        return in_order(calls, workers, AHEAD * workers)

    def _find(self, file: Path, path: str, name: Path) -> DetectionResult:
        try:
            image = decode_frame(file)
        except FrameError as error:
            return DetectionResult(path, error=str(error))
        (found,) = self.detector.predict(image, self.threshold)
        if self.drawn is not None:
            drawn = draw_boxes(image, found.boxes, found.labels.tolist(), self.detector.classes, found.scores.tolist())
            save_picture(drawn, self.drawn / name)
        return DetectionResult(path, image.shape[1], image.shape[0], self.detector.named(found))


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
