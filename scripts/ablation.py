"""What each part of a training is worth: variations of one configuration, several seeds each, against the base.

The variations stand in a YAML file (scripts/ablation.yaml explains the format). Finished runs are found and not
repeated. AUROC is compared, as it depends on no threshold; differences smaller than the seeds' spread say nothing.

Example:
    python scripts/ablation.py --config configs/tiny_cnn.yaml --spec scripts/ablation.yaml --folder-path frames/
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError

if TYPE_CHECKING:
    from flipdetect.evaluation.trainings import Run
    from flipdetect.evaluation.variations import Variation

logger = logging.getLogger("flipdetect")

OWN_DATA = " (own data)"


def main(args: Sequence[str] | None = None) -> int:
    """Train and compare as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, nargs="+", required=True, help="configuration and overlays of train.py")
    parser.add_argument("--spec", type=Path, default=Path("scripts/ablation.yaml"), help="variations (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--override", nargs="+", default=[], metavar="NAME=VALUE", help="for all, the base included")
    parser.add_argument("--folder-path", type=Path, nargs="+", default=[], help="further labelled sets to judge on")
    parser.add_argument("--study", type=Path, default=Path("runs/ablation"), help="where runs lie (%(default)s)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="for the further sets")
    parser.add_argument("--json", type=Path, help="all figures; default: <study>/ablation.json")
    options = parser.parse_args(args)
    try:
        print(_ablate(options))
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.warning("Interrupted; the same command goes on from here")
        return 130
    return 0


def _ablate(options: argparse.Namespace) -> str:
    from flipdetect.cli import train
    from flipdetect.evaluation.tables import write_json
    from flipdetect.evaluation.trainings import run_study, runs_as_dict
    from flipdetect.evaluation.variations import load_config, parse_overrides, variations

    listed = variations(load_config(options.config), parse_overrides(options.override), options.spec)
    output = options.json or options.study / "ablation.json"
    seeds = list(dict.fromkeys(options.seeds))
    runs = []
    for run in run_study(listed, seeds, options.study, train.main, options.folder_path, options.device):
        runs.append(run)
        write_json(output, runs_as_dict(runs))
    logger.info("All figures are in %s", output)
    return _table(runs, listed)


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
