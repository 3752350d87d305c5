"""The truth about frames as a CSV table; readers of a manifest need not know its further columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping

from flipdetect.synth.truth.frame_truth import FrameTruth
from flipdetect.synth.truth.silhouette import Box

COLUMNS = (
    "path", "label", "source", "video", "frame", "phase", "displacement",
    "event", "behaviour", "book_box", "page_box", "hand_boxes", "sharpness", "occlusion",
)  # fmt: skip
"""A box is "x0 y0 x1 y1" in pixels, empty if out of view; those of two hands are separated by ";"."""


def truth_table(truths: Iterable[FrameTruth], further: Mapping[str, Callable[[FrameTruth], str]] | None = None) -> str:
    """The table of some frames, by path, with further columns by name."""
    more = further or {}
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow((*COLUMNS, *more))
    for truth in sorted(truths, key=lambda truth: truth.path):
        table.writerow((*truth_row(truth), *(column(truth) for column in more.values())))
    return text.getvalue()


def truth_row(truth: FrameTruth) -> tuple[str, ...]:
    """The fields of a frame, in the order of `COLUMNS`."""
    return (
        truth.path,
        truth.label,
        truth.source,
        truth.video,
        str(truth.frame),
        f"{truth.phase:.4f}",
        f"{truth.displacement:.4f}",
        str(truth.event),
        truth.behaviour,
        _box(truth.book),
        _box(truth.page),
        ";".join(_box(box) for box in truth.hands),
        f"{truth.sharpness:.4f}",
        f"{truth.occlusion:.4f}",
    )


def _box(box: Box | None) -> str:
    return "" if box is None else " ".join(str(edge) for edge in box)
