"""How much a training's figures depend on its seed: the same configuration with several seeds, on one split.

Finished runs are found and not repeated, interrupted ones go on: call it again after an interruption, or with more
seeds. "rendered" figures are those that train.py reports; each --folder-path is judged besides, at the threshold that
each run stored.

Examples:
    python scripts/seed_spread.py --config configs/tiny_cnn.yaml --seeds 0 1 2 --folder-path frames/
    python scripts/seed_spread.py --config configs/tiny_cnn.yaml --override trainer.max_epochs=5 --json spread.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from flipdetect.cli.messages import set_up_logging
from flipdetect.evaluation.study_command import collect_runs, run_study_command, study_parser


def main(args: Sequence[str] | None = None) -> int:
    """Train and compare as the command line says; returns the exit status."""
    set_up_logging()
    return run_study_command(_spread, study_parser(__doc__, Path("runs/seed_spread"), "<config>.json").parse_args(args))


def _spread(options: argparse.Namespace) -> str:
    from tabulate import tabulate

    from flipdetect.cli import train
    from flipdetect.evaluation.config_overrides import Variation, load_config, parse_overrides
    from flipdetect.evaluation.trainings import summary

    name = "+".join(path.stem for path in options.config)
    variation = Variation(name, load_config(options.config), parse_overrides(options.override))
    runs = collect_runs([variation], options, train.main, f"{name}.json")
    found = summary(runs, name)
    rows: list[list[object]] = [[f"seed {run.seed}", *run.figures.values()] for run in runs]
    rows += [
        [statistic, *(getattr(figure, statistic) for figure in found.values())]
        for statistic in ("mean", "min", "max", "spread")
    ]
    return tabulate(rows, headers=[name, *found], floatfmt=".3f")


if __name__ == "__main__":
    sys.exit(main())
