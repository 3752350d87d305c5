"""Curves of a model's quality over the strength of a change of its frames, with intervals over videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from flipdetect.data.index import FrameIndex
from flipdetect.evaluation.corruptions import FAMILIES, Family
from flipdetect.evaluation.robustness import ChangedScores, score_changes
from flipdetect.inference.model import Model
from flipdetect.metrics.bootstrap import Estimate, bootstrap_ci, bootstrap_difference

FIGURES = ("f1", "auroc")
RESAMPLES = 500


def measure_strengths(
    model: Model, index: FrameIndex, threshold: float, families: Sequence[Family] = FAMILIES
) -> dict[str, Any]:
    """Judge a model under each change at each strength.

    Args:
        model: a trained one, whatever runs it.
        index: the labelled frames.
        threshold: at which F1 is taken.
        families: kinds of change.

    Returns:
        JSON types: `frames`, `videos`, `threshold`, and `families` with `title`, `axis`, `clean` and `conditions`, each
        with its `strength`, `f1`, `auroc` and `change` (of F1, paired) as value, low and high, and the share of frames
        `called_positive`. Clean frames are one of the conditions, in the order of the strengths.

    Raises:
        DataError: if no frame can be read.
    """
    scored = score_changes(model, index, [each for family in families for each in family.perturbations()])
    column = 1
    shown = []
    for family in families:
        rows = [_condition(scored, 0, family.clean, threshold)]
        for strength in family.strengths:
            rows.append(_condition(scored, column, strength, threshold))
            column += 1
        rows.sort(key=lambda row: row["strength"])
        shown.append({"title": family.title, "axis": family.axis, "clean": family.clean, "conditions": rows})
    return {
        "frames": len(scored.targets),
        "videos": len(set(scored.videos)),
        "unreadable": len(scored.failed),
        "threshold": threshold,
        "families": shown,
    }


def some_videos(index: FrameIndex, frames: int, seed: int = 0) -> FrameIndex:
    """At least that many frames of whole videos drawn at random, or all there are; the order stays."""
    videos = list(dict.fromkeys(record.video for record in index.records))
    counts: dict[str, int] = dict.fromkeys(videos, 0)
    for record in index.records:
        counts[record.video] += 1
    chosen: set[str] = set()
    total = 0
    for place in np.random.default_rng(seed).permutation(len(videos)):
        if total >= frames:
            break
        chosen.add(videos[place])
        total += counts[videos[place]]
    return replace(index, records=tuple(record for record in index.records if record.video in chosen))


def _condition(scored: ChangedScores, column: int, strength: float, threshold: float) -> dict[str, Any]:
    p, clean, videos = scored.probabilities[:, column], scored.probabilities[:, 0], list(scored.videos)
    found = bootstrap_ci(p, scored.targets, videos, threshold, metrics=FIGURES, resamples=RESAMPLES)
    change = bootstrap_difference(
        clean, p, scored.targets, videos, (threshold, threshold), metrics=("f1",), resamples=RESAMPLES
    )["f1"]
    return {
        "strength": float(strength),
        **{name: _bounds(found[name]) for name in FIGURES},
        "change": _bounds(change),
        "called_positive": float((p >= threshold).mean()),
    }


def _bounds(each: Estimate) -> dict[str, float]:
    return {"value": each.value, "low": each.low, "high": each.high}
