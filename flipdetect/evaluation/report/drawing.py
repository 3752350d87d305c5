"""The pictures of a report, each as a function of the findings. No torch."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from flipdetect.errors import DataError
from flipdetect.evaluation.report.findings import Findings
from flipdetect.evaluation.report.saved import TRAINING, PicturedFrame, Scored
from flipdetect.outputs.plots.curves import plot_confusion, plot_pr_curve, plot_training_curves
from flipdetect.outputs.plots.judgement import (
    plot_reliability,
    plot_roc_curve,
    plot_score_histogram,
    plot_threshold_curve,
)
from flipdetect.outputs.plots.sheets import plot_mistakes
from flipdetect.outputs.plots.small_multiples import (
    StrengthCurve,
    VideoLine,
    plot_ranked,
    plot_strengths,
    plot_videos,
)
from flipdetect.sources.image import decode_frame

FEWEST_FRAMES = 3
"""Of a video that gets a timeline."""
MOST_TIMELINES = 24
MISTAKE = "mistake"


@dataclass(frozen=True)
class Drawing:
    """A picture of the report.

    Attributes:
        name: of its file, without suffix; unique.
        label: what it shows, for those who cannot see it.
        draw: makes it.
        inline: whether it is a chart that the page shows as SVG, rather than a sheet for Markdown alone.
    """

    name: str
    label: str
    draw: Callable[[], Figure]
    inline: bool = True


def drawings(found: Findings, folder: Path) -> Iterator[Drawing]:
    """All pictures that this set allows, in the order of the report.

    Args:
        found: the numbers.
        folder: of the report, where pictures of frames lie.

    Raises:
        DataError: while a picture is drawn, if a file that it needs is missing or damaged.
    """
    p, targets = found.scored.probabilities, found.scored.targets
    threshold, classes, s = found.judged.threshold, found.judged.classes, found.sensitivity
    auroc = found.headline["auroc"].value
    yield Drawing("confusion_frames", "Confusion matrix of frames",
                  lambda: plot_confusion(found.counts.matrix(), classes), inline=False)  # fmt: skip
    yield Drawing("confusion_videos", "Confusion matrix of videos",
                  lambda: plot_confusion(found.clips[0].counts.matrix(), classes), inline=False)  # fmt: skip
    yield Drawing("pr_curve", "Precision against recall", lambda: plot_pr_curve(p, targets, threshold))
    yield Drawing("roc_curve", "ROC curve", lambda: plot_roc_curve(p, targets, threshold, auroc))
    yield Drawing("scores", "Probabilities of each class",
                  lambda: plot_score_histogram(p, targets, threshold, classes))  # fmt: skip
    yield Drawing("threshold", "F1, precision and recall over thresholds", lambda: plot_threshold_curve(
        s.thresholds, {"F1": s.f1, "precision": s.precision, "recall": s.recall}, threshold,
        None if s.best is None else s.best.threshold))  # fmt: skip
    c = found.calibration
    yield Drawing("reliability", "Share of positives over probability",
                  lambda: plot_reliability(c.low, c.high, c.confidence, c.frequency, c.count))  # fmt: skip
    for each in found.slices:
        if each.many:
            what = f"{each.key}s" if each.key in ("source", "video") else f"parts by {each.key}"
            yield Drawing(f"ranked_{each.key}", f"Share told right in each of the {what}",
                          partial(plot_ranked, each.shares, each.counts, what))  # fmt: skip
    if found.robustness:
        curves = strength_curves(found.robustness)
        yield Drawing("robustness", "F1 and AUROC on changed frames", lambda: plot_strengths(curves))
    lines = video_lines(found.scored, threshold)
    if lines:
        yield Drawing("timelines", "Probability over frame number of each video",
                      lambda: plot_videos(lines[:MOST_TIMELINES], threshold, classes))  # fmt: skip
    if (folder / TRAINING).is_file():
        rows = training_rows(folder / TRAINING)
        yield Drawing("training", "Losses and validation figures over epochs", lambda: plot_training_curves(rows))
    mistakes = [each for each in found.pictured if each.role == MISTAKE]
    if mistakes:
        yield Drawing("mistakes", "The most confident mistakes",
                      lambda: _mistakes(mistakes, found, folder), inline=False)  # fmt: skip


def strength_curves(robustness: Any) -> list[StrengthCurve]:
    """What `robustness.json` holds, to be drawn.

    Raises:
        DataError: if something is missing in it.
    """
    try:
        return [
            StrengthCurve(
                family["title"],
                family["axis"],
                np.array([each["strength"] for each in family["conditions"]], np.float64),
                float(family["clean"]),
                {
                    title: np.array(
                        [[np.nan if each[name][at] is None else each[name][at] for at in ("value", "low", "high")]
                         for each in family["conditions"]], np.float64)
                    for name, title in (("f1", "F1 at the threshold"), ("auroc", "AUROC"))
                },
            )
            for family in robustness["families"]
        ]  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"robustness.json cannot be understood: {error!r}; measure again with --robustness") from error


def video_lines(scored: Scored, threshold: float) -> list[VideoLine]:
    """Videos with several numbered frames, those with the largest share of errors first."""
    rows: dict[str, list[tuple[int, int]]] = {}
    for place, (video, frame) in enumerate(zip(scored.videos, scored.frames, strict=True)):
        if frame.lstrip("+-").isdecimal():
            rows.setdefault(video, []).append((int(frame), place))
    lines = []
    for video, frames in rows.items():
        if len(frames) >= FEWEST_FRAMES:
            numbers, places = (np.array(each, np.int64) for each in zip(*sorted(frames), strict=True))
            lines.append(VideoLine(video, numbers, scored.probabilities[places], scored.targets[places]))
    return sorted(lines, key=lambda line: -float(((line.probabilities >= threshold) != (line.targets == 1)).mean()))


def training_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV logger's file.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return [{name: value or "" for name, value in row.items() if name} for row in csv.DictReader(io.StringIO(text))]
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}; remove it, or copy metrics.csv of the run there") from error


def _mistakes(pictured: list[PicturedFrame], found: Findings, folder: Path) -> Figure:
    classes = found.judged.classes
    return plot_mistakes(
        [decode_frame(folder / each.file) for each in pictured],
        [each.path for each in pictured],
        [classes.target(each.truth) for each in pictured],
        [each.probability for each in pictured],
        classes,
    )
