"""Cross-validate a configuration: every video is judged once, by a model that has not seen it or its book.

Each fold is trained by train.py's own machinery; its epoch, threshold and temperature are chosen on a validation side
cut from its training side, never on the fold it is judged on. The folder (--output) holds each fold's training, figures
and scores; finished folds are not repeated, an interrupted one goes on. Folds can run side by side: give each process
some of them, or start the same command several times, and each takes the next one that nobody is at.

What comes out: cross_validation.md and .json with each fold's figures, their mean and deviation, and pooled figures
with 95% intervals over videos; predictions.csv with every frame's score by the fold's model that has not seen it.

Anything of the configuration can be set behind the options, as for train.py: --data.root my_frames/ --model.lr 0.001.

Examples:
    python scripts/cross_validate.py --config configs/mobilenet.yaml --folds 5 --group-by source
    python scripts/cross_validate.py --config configs/tiny_cnn.yaml --leave-one-source-out --data.root my_frames/
    python scripts/cross_validate.py --config configs/tiny_cnn.yaml --folds 10 --folds-from 0 --to 4
    python scripts/cross_validate.py --config configs/tiny_cnn.yaml --folds 10 --gather
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import ConfigError
from flipdetect.evaluation.study_command import parse_with_settings, run_study_command

if TYPE_CHECKING:
    from flipdetect.evaluation.config_overrides import Variation
    from flipdetect.evaluation.cross_validation import Plan

TABLE, FIGURES, PREDICTIONS = "cross_validation.md", "cross_validation.json", "predictions.csv"

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Cross-validate as the command line says; returns the exit status."""
    set_up_logging()
    parser = _parser()
    options = parse_with_settings(parser, args)
    if options.to is not None and options.folds_from is None:
        parser.error("--to needs --folds-from")
    return run_study_command(_gather if options.gather else _cross_validate, options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, nargs="+", required=True, help="configuration and overlays of train.py")
    how_many = parser.add_mutually_exclusive_group()
    how_many.add_argument("--folds", type=int, default=5, help="default: %(default)s")
    how_many.add_argument("--leave-one-source-out", action="store_true", help="a fold for each source")
    parser.add_argument(
        "--group-by", choices=("source", "video"), help="what stays together; default: source, where sources are known"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--fold", type=int, nargs="+", metavar="N", help="only these folds, counted from 0")
    which.add_argument("--folds-from", type=int, metavar="N", help="only folds from this one on ...")
    parser.add_argument("--to", type=int, metavar="N", help="... to this one, which is included")
    parser.add_argument("--gather", action="store_true", help="train nothing: put the finished folds together")
    parser.add_argument("--seed", type=int, default=0, help="of weights, shuffling, augmentation (%(default)s)")
    parser.add_argument("--split-seed", type=int, default=0, help="of the folds (%(default)s)")
    parser.add_argument("--output", type=Path, help="default: runs/cross_validation/<name of the configuration>")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="that folds are judged on")
    parser.add_argument("--resamples", type=int, default=2000, help="draws of videos for intervals (%(default)s)")
    return parser


def _cross_validate(options: argparse.Namespace) -> str:
    from flipdetect.cli import train
    from flipdetect.evaluation.cross_validation import run_folds

    plan, variation = _plan(options)
    chosen = _chosen(options, len(plan.names))
    for count, fold in enumerate(run_folds(_folder(options), plan, variation, chosen, train.main, options.device), 1):
        logger.info("Fold %d (%s) is finished, %d of %d asked for", fold, plan.names[fold], count, len(chosen))
    return _gather(options)


def _gather(options: argparse.Namespace) -> str:
    from flipdetect.atomic import write_text
    from flipdetect.evaluation.cross_validation import read_plan, result_path
    from flipdetect.evaluation.pooling import gather
    from flipdetect.evaluation.tables import write_json

    folder = _folder(options)
    plan = read_plan(folder)
    results = [result_path(folder, fold) for fold in range(len(plan.names))]
    found = gather(results, plan.names, plan.classes.positive, folder / PREDICTIONS, options.resamples)
    title = f"{plan.name} on {plan.root}: {len(plan.names)} folds by {plan.group_by}"
    missing = f"\n\nNot finished: {', '.join(found.missing)}." if found.missing else ""
    write_text(folder / TABLE, f"# {title}\n\n{found.table('github')}{missing}\n")
    write_json(folder / FIGURES, {"name": plan.name, "root": plan.root, "group_by": plan.group_by, **found.as_dict()})
    logger.info("Tables are %s and %s, all scores %s", folder / TABLE, folder / FIGURES, folder / PREDICTIONS)
    return f"{title}\n{found.table()}{missing}"


def _plan(options: argparse.Namespace) -> tuple[Plan, Variation]:
    from flipdetect.evaluation.config_overrides import Variation, load_config
    from flipdetect.evaluation.cross_validation import make_splits, settle_plan
    from flipdetect.evaluation.training_data import labelled_index, training_data

    variation = Variation(_name(options), load_config(options.config), options.settings)
    data = training_data(variation.config, variation.overrides)
    index = labelled_index(data)
    group_by, splits = make_splits(
        index,
        data.classes,
        folds=None if options.leave_one_source_out else options.folds,
        group_by=options.group_by,
        val_fraction=data.val_fraction,
        seed=options.split_seed,
    )
    plan = settle_plan(
        _folder(options), variation, index, group_by, splits, split_seed=options.split_seed, seed=options.seed
    )
    return plan, variation


def _chosen(options: argparse.Namespace, count: int) -> list[int]:
    if options.fold:
        chosen = list(dict.fromkeys(options.fold))
    elif options.folds_from is not None:
        chosen = list(range(options.folds_from, (count - 1 if options.to is None else options.to) + 1))
    else:
        chosen = list(range(count))
    outside = [fold for fold in chosen if not 0 <= fold < count]
    if outside or not chosen:
        raise ConfigError(f"folds are 0 to {count - 1}, got {outside[0] if outside else 'none'}")
    return chosen


def _name(options: argparse.Namespace) -> str:
    return "+".join(path.stem for path in options.config)


def _folder(options: argparse.Namespace) -> Path:
    return options.output or Path("runs/cross_validation") / _name(options)


if __name__ == "__main__":
    sys.exit(main())
