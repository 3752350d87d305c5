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
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Train and compare as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, nargs="+", required=True, help="configuration and overlays of train.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--override", nargs="+", default=[], metavar="NAME=VALUE", help="as model.lr=0.001")
    parser.add_argument("--folder-path", type=Path, nargs="+", default=[], help="further labelled sets to judge on")
    parser.add_argument("--study", type=Path, default=Path("runs/seed_spread"), help="where runs lie (%(default)s)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="for the further sets")
    parser.add_argument("--json", type=Path, help="all figures; default: <study>/<config>.json")
    options = parser.parse_args(args)
    try:
        print(_spread(options))
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.warning("Interrupted; the same command goes on from here")
        return 130
    return 0


def _spread(options: argparse.Namespace) -> str:
    from tabulate import tabulate

    from flipdetect.cli import train
    from flipdetect.evaluation.tables import write_json
    from flipdetect.evaluation.trainings import run_study, runs_as_dict, summary
    from flipdetect.evaluation.variations import Variation, load_config, parse_overrides

    name = "+".join(path.stem for path in options.config)
    variation = Variation(name, load_config(options.config), parse_overrides(options.override))
    output = options.json or options.study / f"{name}.json"
    seeds = list(dict.fromkeys(options.seeds))
    runs = []
    for run in run_study([variation], seeds, options.study, train.main, options.folder_path, options.device):
        runs.append(run)
        write_json(output, runs_as_dict(runs))
    found = summary(runs, name)
    rows: list[list[object]] = [[f"seed {run.seed}", *run.figures.values()] for run in runs]
    rows += [
        [statistic, *(getattr(figure, statistic) for figure in found.values())]
        for statistic in ("mean", "min", "max", "spread")
    ]
    logger.info("All figures are in %s", output)
    return tabulate(rows, headers=[name, *found], floatfmt=".3f")


if __name__ == "__main__":
    sys.exit(main())
