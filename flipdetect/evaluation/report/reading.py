"""What the numbers say, in plain sentences; and what they do not carry."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from flipdetect.evaluation.report.findings import TOLERANCE, Findings
from flipdetect.evaluation.report.parts import (
    FEWEST_VIDEOS,
    SEVERAL,
    Compared,
    Part,
    Slicing,
    comparisons,
    suspects,
    worst_parts,
)
from flipdetect.metrics.bootstrap import Estimate

FEW_VIDEOS = 30
"""Below so many, a sentence warns that the figures rest on few independent things."""
WIDE = 0.15
"""Width of an interval from which it is called wide."""
WORTH_SAYING = 0.03
"""Of F1, that another threshold would bring."""
BADLY_CALIBRATED = 0.1
LISTED = 6
"""Of the parts on which the model is clearly worse."""

Tone = Literal["good", "plain", "warn"]


@dataclass(frozen=True)
class Sentence:
    """One thing that the numbers say.

    Attributes:
        tone: whether it is good news, a fact, or something to beware of.
        text: plain words.
    """

    tone: Tone
    text: str


def read(found: Findings) -> list[Sentence]:
    """The most important first."""
    return [*_quality(found), *_certainty(found), *_threshold(found), *_errors(found), *_parts(found), *_rest(found)]


def _quality(found: Findings) -> Iterator[Sentence]:
    f1, recall, precision = (found.headline[name] for name in ("f1", "recall", "precision"))
    flip = found.judged.classes.positive
    if not found.positives:
        yield Sentence("warn", f"No frame of this set is a {flip}: F1 and recall say nothing here.")
        return
    if not found.counts.true_negatives and not found.counts.false_negatives:
        yield Sentence("warn", f"At its threshold of {found.judged.threshold:.3f} it calls every frame {flip}.")
    yield Sentence(
        "plain",
        f"At its threshold of {found.judged.threshold:.3f} the model finds {percent(recall.value)} of the frames that "
        f"are {flip}, and {percent(precision.value)} of those that it calls {flip} are: F1 {with_bounds(f1)}, from "
        f"{count(found.videos, 'video')}.",
    )
    if f1.low > found.always:
        yield Sentence(
            "good",
            f"Calling every frame {flip} would give F1 {found.always:.2f}; the model is better than that, with the "
            "whole interval.",
        )
    elif not math.isnan(f1.low):
        yield Sentence(
            "warn",
            f"Calling every frame {flip} would give F1 {found.always:.2f}, which lies "
            f"{'within' if f1.high >= found.always else 'above'} the interval: at this threshold it is not shown to "
            "decide better than that.",
        )
    auroc = found.headline["auroc"]
    if not math.isnan(auroc.low):
        if auroc.low > 0.5:
            yield Sentence(
                "good" if auroc.value >= 0.9 else "plain",
                f"Of a {flip} and another frame drawn at random, it gives the {flip} the higher probability in "
                f"{percent(auroc.value)} of cases (AUROC {with_bounds(auroc)}).",
            )
        else:
            yield Sentence(
                "warn", f"AUROC is {with_bounds(auroc)}: that it ranks frames better than chance is not shown."
            )


def _certainty(found: Findings) -> Iterator[Sentence]:
    f1 = found.headline["f1"]
    if found.videos < FEW_VIDEOS:
        yield Sentence(
            "warn",
            f"The {count(len(found.scored), 'frame')} come from {count(found.videos, 'video')}. Frames of one video "
            "are near copies of each other, so that the figures rest on few independent things.",
        )
    if found.over_sources is not None:
        yield Sentence(
            "plain",
            f"Videos of one source are alike, too. Drawing whole sources instead ({found.sources:,} of them) gives F1 "
            f"{bounds(found.over_sources.low, found.over_sources.high)}: that is the interval for new sources.",
        )
    if not math.isnan(f1.low):
        width = f1.high - f1.low
        yield Sentence(
            "warn" if width >= WIDE else "plain",
            f"The interval of F1 is {width:.2f} wide{': too wide to rank models by' if width >= WIDE else ''}. Compare "
            "two models on the same videos (scripts/compare.py); their difference has a narrower interval.",
        )


def _threshold(found: Findings) -> Iterator[Sentence]:
    s, here = found.sensitivity, found.headline["f1"].value
    if s.best is None or math.isnan(here):
        return
    gain = s.best.f1 - here
    if gain >= WORTH_SAYING:
        called = (found.counts.true_positives + found.counts.false_positives) / len(found.scored)
        yield Sentence(
            "warn",
            f"The threshold does not suit these frames: {percent(called)} are called "
            f"{found.judged.classes.positive}, {percent(found.positives / len(found.scored))} are. At "
            f"{s.best.threshold:.3f} F1 would be {s.best.f1:.2f}, {gain:.2f} more; that is a bound, found with the "
            "labels known, not a result.",
        )
    elif here < found.always + WORTH_SAYING:
        yield Sentence(
            "warn",
            f"No other threshold would raise F1 by more than {max(gain, 0):.3f} either: the probabilities of the two "
            "classes lie too close together.",
        )
    else:
        yield Sentence(
            "good",
            f"The threshold suits these frames: no other would raise F1 by more than {max(gain, 0):.3f}, and from "
            f"{s.low:.2f} to {s.high:.2f} it stays within {TOLERANCE:g} of what it is.",
        )


def _errors(found: Findings) -> Iterator[Sentence]:
    spread, c = found.spread, found.counts
    if not spread.errors:
        yield Sentence("good", "Not one frame is told wrong.")
        return
    yield Sentence(
        "plain",
        f"Of {count(spread.errors, 'frame')} told wrong, {c.false_negatives:,} are missed and {c.false_positives:,} "
        f"are false alarms. {percent(spread.faultless / spread.videos)} of the videos have no error"
        + (f"; half of the errors come from {count(spread.half, 'video')}." if spread.longest > 1 else "."),
    )
    if spread.hopeless:
        yield Sentence(
            "warn",
            f"In {spread.hopeless} of {count(spread.longer, 'video')} with {SEVERAL} frames or more every frame is "
            "told wrong: errors come in whole clips.",
        )


def _parts(found: Findings) -> Iterator[Sentence]:
    worse, looked = worst_parts(found.slices), len(comparisons(found.slices))
    if not looked:
        yield Sentence("plain", f"No part of the set has {FEWEST_VIDEOS} videos: parts are not compared.")
    elif not worse:
        f1 = found.headline["f1"]
        yield Sentence(
            "plain",
            f"No part of the set is worse than the rest beyond what chance brings among {looked} comparisons"
            + (", which says little where intervals are this wide." if f1.high - f1.low >= WIDE else "."),
        )
    else:
        yield Sentence("warn", f"It is weakest where {describe(*worse[0], found.judged.classes.positive)}")
        if len(worse) > 1:
            yield Sentence(
                "plain",
                f"In {len(worse)} of {looked} comparisons a part is worse than the rest beyond chance; they are listed "
                "below.",
            )


def _rest(found: Findings) -> Iterator[Sentence]:
    error = found.calibration.expected_error
    if error >= BADLY_CALIBRATED:
        yield Sentence(
            "warn",
            f"Its probabilities are not to be taken at their word: they are off by {error:.2f} on average (expected "
            "calibration error).",
        )
    if found.robustness:
        worst = worst_change(found.robustness)
        if worst is not None:
            change = worst["change"]
            certain = change["high"] is not None and change["high"] < 0
            yield Sentence(
                "plain",
                f"Of the changes tried on frames, {worst['family'].lower()} costs most: at {worst['strength']:g} "
                f"({worst['axis']}) F1 changes by {change['value']:+.2f} "
                f"({bounds(change['low'], change['high'], signed=True)}{'' if certain else ', which may be chance'}).",
            )
    if found.unreadable:
        yield Sentence("warn", f"{count(len(found.unreadable), 'file')} could not be read, and count nowhere.")


def worst_change(robustness: Any) -> dict[str, Any] | None:
    """The condition under which F1 falls most."""
    rows = [
        {"family": family["title"], "axis": family["axis"], **condition}
        for family in robustness["families"]
        for condition in family["conditions"]
        if condition["change"]["value"] is not None
    ]
    worst = min(rows, key=lambda row: row["change"]["value"], default=None)
    return worst if worst is not None and worst["change"]["value"] < 0 else None


def worst_sentences(found: Findings) -> list[str]:
    """A sentence for each of what it is clearly worse at, the widest gap first."""
    flip = found.judged.classes.positive
    return [_capital(describe(*each, flip)) for each in worst_parts(found.slices)[:LISTED]]


def suspect_sentences(found: Findings) -> list[str]:
    """A sentence for each of what only looks worse, the widest gap first."""
    flip = found.judged.classes.positive
    return [_capital(describe(*each, flip)) for each in suspects(found.slices)[:LISTED]]


def describe(each: Slicing, part: Part, compared: Compared, positive: str) -> str:
    """The part, its share against that of the rest, and how much it rests on."""
    share = compared.share
    what = "are false alarms" if compared.lower_is_better else "are found"
    frames = "of the other frames" if compared.lower_is_better else f"of the {positive} frames"
    return (
        f"{each.title[0].lower()}{each.title[1:]} is “{part.value}”: {percent(share.value)} {frames} {what} "
        f"(95% CI {share.low:.0%} to {share.high:.0%}), against {percent(compared.rest)} "
        f"on the rest ({count(compared.frames, 'frame')} of {count(share.videos, 'video')})."
    )


def with_bounds(each: Estimate) -> str:
    """`0.91 (95% interval 0.88 to 0.94)`."""
    if math.isnan(each.value):
        return "not defined"
    if math.isnan(each.low):
        return f"{each.value:.2f} (no interval: too few videos)"
    return f"{each.value:.2f} (95% CI {bounds(each.low, each.high)})"


def bounds(low: float | None, high: float | None, *, signed: bool = False) -> str:
    """`0.88 to 0.94`."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "no interval"
    form = "+.2f" if signed else ".2f"
    return f"{low:{form}} to {high:{form}}"


def percent(share: float) -> str:
    """Whole per cent, but not 100% for what is less."""
    if math.isnan(share):
        return "-"
    if 0.995 <= share < 1:
        return f"{share:.1%}" if share < 0.9995 else ">99.9%"
    if 0 < share < 0.005:
        return f"{share:.1%}" if share > 0.0005 else "<0.1%"
    return f"{share:.0%}"


def count(number: int, noun: str) -> str:
    """`1 video`, `1,440 frames`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
