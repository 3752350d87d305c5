"""A table of the models that ship, in float32, float16 and 8-bit integers: size, memory, latency, F1.

Integers are calibrated on a quarter of the first set's books (videos, where books are unknown); F1 on that set is of
the others.

    python scripts/model_table.py --folder-path data/embedded
    python scripts/model_table.py --folder-path data/embedded frames/ --model tiny_cnn --json table.json
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError
from flipdetect.zoo import SHIPPED

REPOSITORY = Path(__file__).resolve().parents[1]


def main(args: Sequence[str] | None = None) -> int:
    """Print as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder-path", type=Path, nargs="+", required=True, help="labelled sets")
    parser.add_argument("--model", nargs="+", choices=tuple(SHIPPED), default=list(SHIPPED), help="default: all")
    parser.add_argument("--json", type=Path, help="all figures")
    options = parser.parse_args(args)
    try:
        print(_table(options))
    except FlipdetectError as error:
        logging.getLogger("flipdetect").error("%s", error)
        return 1
    return 0


def _table(options: argparse.Namespace) -> str:
    from flipdetect.benchmark.models import divide, labelled_set, model_rows, row_table
    from flipdetect.benchmark.running import Workplace
    from flipdetect.evaluation.tables import write_json

    calibration, first = divide(labelled_set(options.folder_path[0]))
    judged = [first, *map(labelled_set, options.folder_path[1:])]
    with tempfile.TemporaryDirectory() as folder:
        one = Path(folder) / "one"
        one.mkdir()
        path = judged[0].index.records[0].path.resolve()
        (one / path.name).symlink_to(path)
        rows = model_rows(Workplace(Path(folder), REPOSITORY), judged, calibration, one, options.model)
    if options.json:
        write_json(options.json, [asdict(row) for row in rows])
    table = row_table(rows)
    return f"{tabulate(table.rows, headers=list(table.headers), disable_numparse=True)}\n\n{table.note}"


if __name__ == "__main__":
    sys.exit(main())
