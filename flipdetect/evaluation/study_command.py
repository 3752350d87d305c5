"""What the commands that train several times share: their options, and a study that survives an interruption."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipdetect.errors import FlipdetectError

if TYPE_CHECKING:
    from flipdetect.evaluation.config_overrides import Variation
    from flipdetect.evaluation.trainings import Run

logger = logging.getLogger(__name__)

INTERRUPTED = 130


def study_parser(description: str | None, study: Path, table: str) -> argparse.ArgumentParser:
    """A parser with the options of every study.

    Args:
        description: of the command.
        study: folder where runs lie unless told otherwise.
        table: file of the figures in it, for the help.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, nargs="+", required=True, help="configuration and overlays of train.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--override", nargs="+", default=[], metavar="NAME=VALUE", help="as model.lr=0.001, for all")
    parser.add_argument("--folder-path", type=Path, nargs="+", default=[], help="further labelled sets to judge on")
    parser.add_argument("--study", type=Path, default=study, help="where runs lie (%(default)s)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="for the further sets")
    parser.add_argument("--json", type=Path, help=f"all figures; default: <study>/{table}")
    return parser


def parse_with_settings(parser: argparse.ArgumentParser, args: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command behind whose options anything of the configuration can be set, as for `train.py`.

    `--data.root frames/` and `--model.lr=0.001` become `{"data.root": "frames/", "model.lr": 0.001}`, as `settings` of
    what is returned; values are YAML. Leaves with status 2 if something else is left over.
    """
    from flipdetect.evaluation.config_overrides import parse_overrides

    options, rest = parser.parse_known_args(args)
    pairs = []
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--") or "." not in name or not (equals or rest):
            parser.error(f"{name!r} is neither an option nor a setting such as --data.root frames/")
        pairs.append(f"{name}={value if equals else rest.pop(0)}")
    options.settings = parse_overrides(pairs)
    return options


def run_study_command(work: Callable[[argparse.Namespace], str], options: argparse.Namespace) -> int:
    """Print what a study says; returns the exit status, 130 after Ctrl-C."""
    try:
        print(work(options))
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.warning("Interrupted; the same command goes on from here")
        return INTERRUPTED
    return 0


def collect_runs(
    listed: Sequence[Variation], options: argparse.Namespace, train: Callable[[list[str]], int], table: str
) -> list[Run]:
    """Train every variation with every seed, writing the figures after each run.

    Raises:
        FlipdetectError: if a training fails.
    """
    from flipdetect.evaluation.tables import write_json
    from flipdetect.evaluation.trainings import run_study, runs_as_dict

    output: Path = options.json or options.study / table
    seeds = list(dict.fromkeys(options.seeds))
    runs: list[Any] = []
    for run in run_study(listed, seeds, options.study, train, options.folder_path, options.device):
        runs.append(run)
        write_json(output, runs_as_dict(runs))
    logger.info("All figures are in %s", output)
    return runs
