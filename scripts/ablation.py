"""What each part of a training is worth: variations of one configuration, several seeds each, against the base.

The variations stand in a YAML file (scripts/ablation.yaml explains the format). Finished runs are found and not
repeated. AUROC is compared, as it depends on no threshold; differences smaller than the seeds' spread say nothing.

Example:
    python scripts/ablation.py --config configs/tiny_cnn.yaml --spec scripts/ablation.yaml --folder-path frames/
    python scripts/ablation.py --config configs/tiny_cnn.yaml --only "no light" "no colour" --seeds 0 \
        --override trainer.max_epochs=10
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import ConfigError
from flipdetect.evaluation.study_command import collect_runs, run_study_command, study_parser

if TYPE_CHECKING:
    from flipdetect.evaluation.config_overrides import Variation
    from flipdetect.evaluation.trainings import Run

OWN_DATA = " (own data)"
TABLE = "ablation.json"


def main(args: Sequence[str] | None = None) -> int:
    """Train and compare as the command line says; returns the exit status."""
    set_up_logging()
    parser = study_parser(__doc__, Path("runs/ablation"), TABLE)
    parser.add_argument("--spec", type=Path, default=Path("scripts/ablation.yaml"), help="variations (%(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of the variations, beside the base; default: all")
    return run_study_command(_ablate, parser.parse_args(args))


def _ablate(options: argparse.Namespace) -> str:
    from flipdetect.cli import train
    from flipdetect.evaluation.config_overrides import load_config, parse_overrides, variations

    listed = variations(load_config(options.config), parse_overrides(options.override), options.spec)
    if options.only is not None:
        unknown = sorted(set(options.only) - {variation.name for variation in listed[1:]})
        if unknown:
            raise ConfigError(f"{options.spec} has no variation {unknown[0]!r}, only {_names(listed[1:])}")
        listed = [listed[0], *(variation for variation in listed[1:] if variation.name in options.only)]
    return _table(collect_runs(listed, options, train.main, TABLE), listed)


def _names(listed: Sequence[Variation]) -> str:
    return ", ".join(repr(variation.name) for variation in listed)


def _table(runs: Sequence[Run], listed: Sequence[Variation]) -> str:
    """A line per variation: mean AUROC over the seeds on each set, its difference from the base, and the spread."""
    from tabulate import tabulate

    from flipdetect.evaluation.trainings import summary

    found = [summary(runs, variation.name) for variation in listed]
    compared = [name for name in found[0] if name.endswith("auroc")]
    rows = []
    for variation, figures in zip(listed, found, strict=True):
        row: list[object] = [variation.name + (OWN_DATA if variation.has_own_data else "")]
        for name in compared:
            comparable = variation is not listed[0] and not (variation.has_own_data and ":" not in name)
            change = f"{figures[name].mean - found[0][name].mean:+.3f}" if comparable else ""
            row += [f"{figures[name].mean:.3f}", change, f"{figures[name].spread:.3f}"]
        rows.append(row)
    headers = ["variation", *(text for name in compared for text in (name, "change", "spread"))]
    align = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers=headers, colalign=align, disable_numparse=True)


if __name__ == "__main__":
    sys.exit(main())
