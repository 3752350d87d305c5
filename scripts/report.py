"""Make a report anew from what `evaluate.py --report` saved: no model is run, torch is not needed.

A table of predictions alone makes a report, too: give its folder a threshold. It needs the columns path, truth and
probability; video, source and any others add their parts.

Examples:
    python scripts/report.py report/
    python scripts/report.py out_of_fold/ --threshold 0.5 --model "TinyCNN, 5 folds" --set "rendered books"
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import DataError, FlipdetectError
from flipdetect.records import ClassNames

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Make the reports; returns the exit status."""
    set_up_logging()
    options = _parser().parse_args(args)
    from flipdetect.evaluation.report import make_report

    try:
        for folder in options.folder:
            if options.threshold is not None:
                _describe(folder, options)
            print(make_report(folder, options.seed))
    except (FlipdetectError, OSError) as error:
        logger.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+", help="with predictions.csv, and judged.json or --threshold")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals (default: %(default)s)")
    bare = parser.add_argument_group("for a folder without judged.json")
    bare.add_argument("--threshold", type=float, help="from this probability on, a frame is called positive")
    bare.add_argument("--model", default="the model", help="its name in the report")
    bare.add_argument("--set", default="saved predictions", help="name of the set in the report")
    bare.add_argument("--positive", default=ClassNames().positive, help="class in the column truth")
    bare.add_argument("--negative", default=ClassNames().negative, help="class in the column truth")
    return parser


def _describe(folder: Path, options: argparse.Namespace) -> None:
    """Write `judged.json` for a table that has none."""
    from flipdetect.evaluation.report.saved import JUDGED, Judged, write_judged

    if (folder / JUDGED).is_file():
        raise DataError(f"{folder / JUDGED} says which threshold was used; leave --threshold out, or remove the file")
    if not 0 <= options.threshold <= 1:
        raise DataError(f"a threshold lies between 0 and 1, got {options.threshold}")
    classes = ClassNames(options.negative, options.positive)
    write_judged(folder, Judged(options.model, options.set, options.threshold, "given by hand", classes))


if __name__ == "__main__":
    sys.exit(main())
