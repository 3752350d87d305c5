"""Coverage of the confidence intervals over videos, by simulation: the table in docs/research/evaluation.md.

Each trial draws a made-up test set whose frames share their video's level (its light, its book), computes the 95%
intervals of F1 and AUROC, and of their differences between two models, and looks whether the figures of a set without
end lie within. Shares between 92 and 98% are what is asked for; near 1.0 intervals are meant to err on the wide side.

Example:
    python scripts/check_intervals.py --trials 1000
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from flipdetect.cli.messages import set_up_logging
from flipdetect.evaluation.tables import write_json
from flipdetect.metrics.intervals import Interval, bootstrap_difference, bootstrap_intervals
from flipdetect.metrics.resampling import Frames, figures_of
from flipdetect.progress import progress_bar

METRICS = ("f1", "auroc")
LONG = 12
WITHOUT_END = 40_000
"""Videos of the set whose figures count as the truth."""


@dataclass(frozen=True)
class Setting:
    """A kind of test set.

    Attributes:
        name: for the table.
        videos: how many.
        frames: of each; of `uneven` ones, their mean.
        effect: what separates the classes, in logits.
        level: standard deviation of what frames of a video share, in logits.
        noise: of what they do not.
        positive: share of the positive class.
        mixed: whether videos have frames of both classes.
        uneven: whether videos differ in length, geometrically distributed.
        long: so many videos have `LONG` frames, all others have 1; 0: all as above.
        heavy: whether levels follow Student's t with three degrees of freedom.
    """

    name: str
    videos: int
    frames: int = 10
    effect: float = 1.2
    level: float = 1.0
    noise: float = 0.5
    positive: float = 0.5
    mixed: bool = False
    uneven: bool = False
    long: int = 0
    heavy: bool = False

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], ...]:
        """Probabilities of two models (N,), targets (N,) and videos (N,)."""
        lengths = rng.geometric(1 / self.frames, self.videos) if self.uneven else np.full(self.videos, self.frames)
        if self.long:
            lengths = np.where(rng.permutation(self.videos) < self.long, LONG, 1)
        video = np.repeat(np.arange(self.videos), lengths)
        targets = (rng.random(len(video)) if self.mixed else rng.random(self.videos)[video]) < self.positive
        levels = rng.standard_t(3, self.videos) if self.heavy else rng.normal(0, 1, self.videos)
        first, second = (
            self.effect * gain * (2.0 * targets - 1)
            + (0.8 * levels + 0.6 * rng.normal(0, 1, self.videos))[video] * self.level
            + rng.normal(0, self.noise, len(video))
            for gain in (1.0, 1.1)
        )
        return 1 / (1 + np.exp(-first)), 1 / (1 + np.exp(-second)), targets, video


SETTINGS = (
    Setting("40 videos", 40, effect=0.85),
    Setting("40 videos", 40),
    Setting("40 videos", 40, effect=1.5),
    Setting("100 videos", 100, effect=0.85),
    Setting("100 videos", 100, effect=1.5),
    Setting("40 videos of both classes", 40, mixed=True),
    Setting("60 videos, uneven, 30% flips", 60, uneven=True, positive=0.3),
    Setting("77 videos, half of the frames in 6", 77, long=6),
    Setting("60 videos, heavy tails", 60, effect=1.5, level=0.7, heavy=True),
    Setting("20 videos", 20),
    Setting("40 videos, easy", 40, effect=2.2),
    Setting("100 videos, easy", 100, effect=2.2),
)


def coverage(setting: Setting, trials: int, resamples: int) -> dict[str, float]:
    """True figures, how often their intervals held them, and the median width, by figure."""
    truth = _truth(setting)
    held: dict[str, list[tuple[bool, float]]] = {}
    for trial in progress_bar(range(trials), desc=setting.name, leave=False):
        sample = setting.draw(np.random.default_rng(1000 + trial))
        for kind, found in _judge(sample, resamples, trial).items():
            for name, each in found.items():
                if each.is_bounded:
                    inside = each.low <= truth[f"{kind}{name}"] <= each.high
                    held.setdefault(f"{kind}{name}", []).append((inside, each.high - each.low))
    row = {f"true_{name}": truth[name] for name in METRICS}
    for name, values in held.items():
        row |= {
            f"covered_{name}": float(np.mean([inside for inside, _ in values])),
            f"width_{name}": float(np.median([width for _, width in values])),
        }
    return row


def _truth(setting: Setting) -> dict[str, float]:
    """The figures of the first model, and their differences, on very many videos."""
    first, second, targets, videos = replace(
        setting, videos=WITHOUT_END, long=setting.long * WITHOUT_END // setting.videos
    ).draw(np.random.default_rng(1))
    one, other = (
        figures_of(Frames.make(each, targets, videos, 0.5), np.ones((1, WITHOUT_END)), METRICS)
        for each in (first, second)
    )
    values = {name: float(one[name][0]) for name in METRICS}
    return values | {f"difference_{name}": float(other[name][0]) - values[name] for name in METRICS}


def _judge(sample: tuple[NDArray[np.float64], ...], resamples: int, seed: int = 0) -> dict[str, dict[str, Interval]]:
    first, second, targets, videos = sample
    settings = {"metrics": METRICS, "resamples": resamples, "seed": seed}
    return {
        "": bootstrap_intervals(first, targets, videos, 0.5, **settings),
        "difference_": bootstrap_difference(first, second, targets, videos, (0.5, 0.5), **settings),
    }


def main(args: Sequence[str] | None = None) -> int:
    """Simulate as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="test sets per setting (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=400, help="draws for each (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="settings whose name has this in it")
    parser.add_argument("--json", type=Path, help="the table as a file")
    options = parser.parse_args(args)
    rows: list[dict[str, float | str]] = []
    for setting in (each for each in SETTINGS if options.only in each.name):
        rows.append({"setting": setting.name, **coverage(setting, options.trials, options.resamples)})
        if options.json:  # after each: all of them take minutes
            write_json(options.json, {"trials": options.trials, "resamples": options.resamples, "settings": rows})
    print(_table(rows))
    return 0


def _table(rows: list[dict[str, float | str]]) -> str:
    columns = {"setting": "test set", "true_f1": "F1", "true_auroc": "AUROC"}
    columns |= {f"covered_{name}": f"{heading} held" for name, heading in (("f1", "F1"), ("auroc", "AUROC"))}
    columns |= {f"covered_difference_{name}": f"difference of {name} held" for name in METRICS}
    columns |= {f"width_{name}": f"{name} width" for name in METRICS}
    cells = [[row.get(name, float("nan")) for name in columns] for row in rows]
    return tabulate(cells, headers=list(columns.values()), floatfmt=".3f", tablefmt="github")


if __name__ == "__main__":
    sys.exit(main())
