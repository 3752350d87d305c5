"""Frames to look at: random ones, the worst mistakes, examples of each kind of decision; as tables and images."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tabulate import tabulate

from flipdetect.evaluation.evaluate import (
    Evaluation,
    ScoredRecord,
    evaluate_index,
    select_frames,
    set_name,
    short_model_name,
)
from flipdetect.inference.model import Model
from flipdetect.outputs.plots.canvas import INK, save_figure
from flipdetect.outputs.plots.frames import Tile, plot_mistakes, plot_tiles
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.sources.image import decode_frame

SHOWN = (480, 270)
"""Pixels that a frame in a picture keeps at least, height and width."""
DEFAULT_COUNT = 24
CORRECT, WRONG = "#007A5A", "#C8321F"  # marked by a sign, too
PER_KIND = 3
"""Examples of each kind of decision."""

logger = logging.getLogger(__name__)


def choose_frames(
    records: Sequence[FrameRecord], count: int, classes: ClassNames, *, seed: int = 0
) -> tuple[FrameRecord, ...]:
    """Frames drawn at random, half of each class as far as there are enough, the positive ones first."""
    in_order = sorted(records, key=lambda record: str(record.path))
    drawn = [in_order[position] for position in np.random.default_rng(seed).permutation(len(in_order))]
    positive = [record for record in drawn if record.label == classes.positive]
    negative = [record for record in drawn if record.label != classes.positive]
    of_positive = min(len(positive), max((count + 1) // 2, count - len(negative)))
    return (*positive[:of_positive], *negative[: count - of_positive])


def spot_check(
    name: str, model: Model, folder: Path, count: int, selection: Mapping[str, Any], *, threshold: float | None = None,
    seed: int = 0, picture: Path | None = None,
) -> str:  # fmt: skip
    """Score random labelled frames; returns a table. `selection`: further arguments of `select_frames`."""
    index = select_frames(folder, model.classes, model.naming, **selection)
    frames = choose_frames(index.records, count, model.classes, seed=seed)
    found = evaluate_index(model, replace(index, records=frames), threshold)
    if picture:
        tiles = []
        for pair in found.scored:
            truth, predicted = pair.record.label, pair.score.label
            sign, colour = ("✓", CORRECT) if truth == predicted else ("✗", WRONG)
            home, _, file = pair.score.path.rpartition("/")
            lines = [(f"{sign} {truth}", colour), (f"as {predicted} {pair.probability:.2f}", colour)]
            lines += [(f"{home}/" if home else "", INK), (file, INK)]
            tiles.append(Tile([decode_frame(pair.record.path, min_size=SHOWN)], [lines], None, colour))
        title = f"{short_model_name(name)} on {set_name(folder, selection.get('split'))}: {spot_summary(found)}"
        save_figure(plot_tiles(tiles, title, empty="no frames"), picture)
        logger.info("The picture is %s", picture)
    return spot_table(found)


def spot_table(evaluation: Evaluation) -> str:
    """A line per frame, and a summary: how many of each class were classified correctly."""
    rows = [
        (score.path, record.label, score.label or "unreadable", score.probability,
         score.error if score.label is None else "correct" if score.label == record.label else "WRONG")
        for record, score in evaluation.all_frames()
    ]  # fmt: skip
    headers = ("frame", "truth", "predicted", f"p({evaluation.classes.positive})", "")
    table = tabulate(rows, headers=headers, floatfmt=".3f", disable_numparse=[0, 1, 2, 4], missingval="-")
    return f"{table}\n\n{spot_summary(evaluation)}"


def spot_summary(evaluation: Evaluation) -> str:
    """Correctly classified frames of each class."""
    parts = []
    for name in reversed(evaluation.classes.names):
        labels = [score.label for record, score in evaluation.all_frames() if record.label == name]
        if labels:
            parts.append(f"{labels.count(name)} of {len(labels)} {name}")
    return f"{' and '.join(parts)} classified correctly at threshold {evaluation.threshold:.3f}"


def worst_mistakes(
    evaluation: Evaluation, count: int = DEFAULT_COUNT, per_video: int | None = None
) -> tuple[ScoredRecord, ...]:
    """Wrongly classified frames, the most confident errors first: half missed positives, half false positives.

    Where one kind has too few, the other fills up; so do further frames of a video that has `per_video` already.
    """
    positive = evaluation.classes.positive

    def confident_first(pairs: Iterable[ScoredRecord]) -> list[ScoredRecord]:
        return sorted(pairs, key=lambda pair: -abs(pair.probability - (pair.record.label == positive)))

    kinds: dict[bool, list[ScoredRecord]] = {}
    for is_missed in (True, False):
        of_video: Counter[str] = Counter()
        first: list[ScoredRecord] = []
        more: list[ScoredRecord] = []
        for pair in confident_first(evaluation.scored):
            if pair.score.label != pair.record.label and (pair.record.label == positive) == is_missed:
                of_video[pair.record.video] += 1
                (first if per_video is None or of_video[pair.record.video] <= per_video else more).append(pair)
        kinds[is_missed] = first + more
    of_missed = min(len(kinds[True]), max((count + 1) // 2, count - len(kinds[False])))
    return tuple(confident_first([*kinds[True][:of_missed], *kinds[False][: count - of_missed]]))


def plot_worst_mistakes(evaluation: Evaluation, count: int = DEFAULT_COUNT) -> Figure:
    """A contact sheet of the worst mistakes, each with its file, true label and probability."""
    pairs = worst_mistakes(evaluation, count)
    return plot_mistakes(
        [decode_frame(pair.record.path, min_size=SHOWN) for pair in pairs],
        [pair.score.path for pair in pairs],
        [evaluation.classes.target(pair.record.label) for pair in pairs],
        [pair.probability for pair in pairs],
        evaluation.classes,
    )


def examples(evaluation: Evaluation, count: int = PER_KIND) -> list[tuple[str, ScoredRecord]]:
    """Frames of each kind of decision: the most confident errors, and correct ones with typical probabilities.

    No two are of one video, as far as there are enough.
    """
    positive = evaluation.classes.positive
    kinds: dict[str, list[ScoredRecord]] = {
        "true positive": [], "false negative": [], "false positive": [], "true negative": [],
    }  # fmt: skip
    for pair in evaluation.scored:
        correct, called = pair.score.label == pair.record.label, pair.score.label == positive
        kinds[f"{'true' if correct else 'false'} {'positive' if called else 'negative'}"].append(pair)
    chosen = []
    for kind, pairs in kinds.items():
        middle = float(np.median([pair.probability for pair in pairs])) if pairs else 0.0
        target = {"false negative": 0.0, "false positive": 1.0}.get(kind, middle)
        ordered = sorted(pairs, key=lambda pair: abs(pair.probability - target))
        first: dict[str, ScoredRecord] = {}
        for pair in ordered:
            first.setdefault(pair.record.video, pair)
        others = [pair for pair in ordered if first[pair.record.video] is not pair]
        chosen += [(kind, pair) for pair in [*first.values(), *others][:count]]
    return chosen
