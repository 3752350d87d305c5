"""What is known of a frame without rendering it, and the table of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flipdetect.synth.clip import CLASSES, Clip, sheet_displacements, shows_motion
from flipdetect.synth.config import SynthConfig
from flipdetect.synth.scene.scene import sample_source
from flipdetect.synth.truth.silhouette import Box, box_of, covered_share, draw_outlines, page_points

COLUMNS = (
    "path", "label", "source", "video", "frame", "phase", "displacement",
    "event", "behaviour", "book_box", "page_box", "hand_boxes", "sharpness", "occlusion",
)  # fmt: skip
"""A box is "x0 y0 x1 y1" in pixels, empty if out of view; those of two hands are separated by ";"."""


@dataclass(frozen=True)
class FrameTruth:
    """What is known of a frame without rendering it.

    Boxes hold what is in the frame; book and page count as seen where hands cover them.

    Attributes:
        label: "flip" or "notflip": what the frame itself shows.
        phase: share of the turn done, 0 to 1; nan in a clip without a turn.
        displacement: distance of the top sheet's free edge from where it lay, in page widths of the picture.
        source: "book-000" and so on: what must not stand on two sides of a split.
        video: "flip/0001" and so on: label of the clip and video id.
        frame: number within the clip, from 1, at 30 frames per second (a recording has a rate of its own).
        event: number of the turn under way by the label rule, from 1; 0 if none is.
        behaviour: of the turn, one of `turn.BEHAVIOURS`; in a clip without one, of the turn that hands imagine, and
            in a recording empty between turns.
        book: box of cover, block and lying pages; None if out of view.
        page: box of the sheets that are turned, or of the sheet on top; None if out of view.
        hands: boxes of what is seen of each hand, arm included.
        sharpness: of the pages, see `sharpness_of`; larger is sharper.
        occlusion: share of the open pages in view that hands cover, 0 to 1.
    """

    label: str
    phase: float
    displacement: float
    source: str
    video: str
    frame: int
    event: int
    behaviour: str
    book: Box | None
    page: Box | None
    hands: tuple[Box, ...]
    sharpness: float
    occlusion: float

    @property
    def path(self) -> str:
        """Where the frame belongs in a data set: flip/0001_000000010.jpg."""
        return f"{self.video}_{self.frame:09d}.jpg"


@lru_cache(maxsize=32)
def clip_truth(config: SynthConfig, clip: Clip, time: float, number: int) -> FrameTruth:
    """The truth about a clip's frame `number`, taken at `time` seconds."""
    away = sheet_displacements(config, clip, time)
    moving = clip.is_flip and shows_motion(away)
    outlines = draw_outlines(config, clip, time)
    hands = [box_of(mask, outlines.step) for mask in outlines.hands]
    return FrameTruth(
        label=CLASSES.positive if moving else CLASSES.negative,
        phase=clip.turn.phase(time) if clip.is_flip else float("nan"),
        displacement=float(away[0, 0 if clip.to_left else 1]),
        source=f"book-{clip.source:03d}",
        video=clip.video,
        frame=number,
        event=int(moving),
        behaviour=clip.turn.behaviour,
        book=box_of(outlines.book, outlines.step),
        page=box_of(outlines.page, outlines.step),
        hands=tuple(box for box in hands if box is not None),
        sharpness=sharpness_of(config, clip, time),
        occlusion=covered_share(outlines),
    )


def sharpness_of(config: SynthConfig, clip: Clip, time: float) -> float:
    """1 / (1 + s) with s the standard deviation of the blur over the pages, in pixels of a 384 px frame.

    The blur is that of the lens (a Gaussian) and of the motion while the shutter is open: a smear of length L has
    the variance L²/12. L is the mean over points of both open pages and of the sheet on top.
    """
    source, size = sample_source(config, clip.source), config.frame_size(clip.source)
    ends = []
    for moment in (time - clip.capture.shutter / 2, time + clip.capture.shutter / 2):
        view = clip.capture.view(moment, size).carried(*clip.pushed(moment))
        ends.append(view.project(page_points(source, clip, moment)))
    smear = float(np.linalg.norm(ends[1] - ends[0], axis=1).mean()) * 384 / config.height
    lens = np.hypot(source.phone.defocus, clip.capture.blur(time))
    return float(1 / (1 + np.sqrt(lens**2 + smear**2 / 12)))


def truth_table(truths: Sequence[FrameTruth], **further: Iterable[object]) -> str:
    """The truth about frames as a CSV table, a row each, with `further` columns given by their values."""

    def row(truth: FrameTruth, *values: object) -> list[object]:
        texts = {"path": truth.path, "book_box": _box(truth.book), "page_box": _box(truth.page)}
        texts["hand_boxes"] = ";".join(_box(box) for box in truth.hands)
        return [*(texts[name] if name in texts else getattr(truth, name) for name in COLUMNS), *values]

    return csv_text([*COLUMNS, *further], map(row, truths, *further.values()))


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """A CSV table: numbers to four decimals (seconds to the tenth of a millisecond), nothing for None."""

    def cell(value: object) -> str:
        if isinstance(value, float):
            return f"{value:.4f}"
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows([cell(value) for value in row] for row in rows)
    return text.getvalue()


def _box(box: Box | None) -> str:
    return "" if box is None else " ".join(str(edge) for edge in box)
