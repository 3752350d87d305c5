"""Search for better values of a configuration, over Optuna: judged on validation, the test side is not looked at.

The same command goes on where it was stopped, until the study has --trials trials. In the study's folder are written:
best.yaml, a configuration for train.py; trials.csv; history.png; and a folder per trial. Needs pip install
'flipdetect[tune]'. docs/guides/tuning.md describes search spaces.

Examples:
    python scripts/tune.py --config configs/tiny_cnn.yaml --space configs/tune/tiny_cnn.yaml --trials 20
    python scripts/tune.py --config configs/tiny_cnn.yaml --space configs/tune/tiny_cnn.yaml --trials 40 \
        --override data.root=my_frames trainer.max_epochs=10 --study mine --timeout 3600
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipdetect.cli.messages import INTERRUPTED, hush_libraries, set_up_logging
from flipdetect.errors import FlipdetectError

if TYPE_CHECKING:
    from flipdetect.evaluation.tuning import Sweep

STUDIES = Path("runs/tune")

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Search as the command line says; returns the exit status."""
    set_up_logging()
    hush_libraries()
    options = _parser().parse_args(args)
    try:
        return _tune(options)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, nargs="+", required=True, help="configuration and overlays of train.py")
    parser.add_argument("--space", type=Path, required=True, help="YAML file: what is varied, and how")
    parser.add_argument("--trials", type=_count, default=20, help="of the study in all (default: %(default)s)")
    parser.add_argument(
        "--override", nargs="+", default=[], metavar="NAME=VALUE", help="as data.root=my_frames, for all"
    )
    parser.add_argument("--study", help="its name; default: that of the (first) configuration")
    parser.add_argument("--storage", help="sqlite:///tune.db, or a file's path; default: in the study's folder")
    parser.add_argument("--folder", type=Path, help=f"what is written; default: {STUDIES}/<study>")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="after which no further trial is begun")
    parser.add_argument("--metric", default="val_f1", help="of validation (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: %(default)s)")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is needed, got {count}")
    return count


def _tune(options: argparse.Namespace) -> int:
    from flipdetect.cli.tuning import fit
    from flipdetect.evaluation.tuning import open_study, run_trials
    from flipdetect.evaluation.tuning_files import trials_table, write_best, write_trials

    sweep = _sweep(options)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    study = open_study(sweep, _storage(options, sweep), options.seed)
    status = 0
    try:
        with redirect_stdout(sys.stderr):
            run_trials(study, sweep, fit, options.trials, options.timeout)
    except KeyboardInterrupt:
        logger.warning("Interrupted; the same command goes on from here")
        status = INTERRUPTED
    write_trials(study, sweep)
    print(trials_table(study, sweep))
    try:
        path = write_best(study, sweep, [str(path) for path in options.config])
        logger.info("Train with the best values: python train.py --config %s", path)
    except FlipdetectError as error:
        if status == 0:
            raise
        logger.info("%s", error)
    return status


def _sweep(options: argparse.Namespace) -> Sweep:
    from flipdetect.cli.tuning import resolve_config
    from flipdetect.evaluation.search_space import load_space
    from flipdetect.evaluation.tuning import Sweep

    arguments = [part for path in options.config for part in ("--config", str(path))]
    config: dict[str, Any] = resolve_config([*arguments, *(f"--{pair.lstrip('-')}" for pair in options.override)])
    name = options.study or options.config[0].stem
    maximize = not options.metric.endswith("_loss")
    folder = options.folder or STUDIES / name
    return Sweep(name, config, load_space(options.space, config), options.metric, maximize, folder)


def _storage(options: argparse.Namespace, sweep: Sweep) -> str:
    given = options.storage or str(sweep.folder / "tune.db")
    return given if "://" in given else f"sqlite:///{given}"


if __name__ == "__main__":
    sys.exit(main())
