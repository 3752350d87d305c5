"""How good the stills are that were chosen from films of rendered recordings.

Each film comes with the flips.json that `inference.py --video` wrote for it and the truth.csv of its recording. An
opening is good if its kept still was taken at rest, with hands on no more than a twentieth of the pages
(--unobstructed); "hidden" ones are never so free of hands. Openings in view for less than half a second do not count.

Example:
    python scripts/evaluate_stills.py --flips a/flips.json b/flips.json --truth a/truth.csv b/truth.csv
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import DataError, FlipdetectError

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flips", type=Path, nargs="+", required=True, metavar="JSON", help="one per film")
    parser.add_argument("--truth", type=Path, nargs="+", required=True, metavar="CSV", help="truth.csv of each")
    parser.add_argument("--unobstructed", type=float, default=0.05, help="share of the pages that hands may cover")
    parser.add_argument("--json", type=Path, help="all figures")
    options = parser.parse_args(args)
    if len(options.flips) != len(options.truth):
        parser.error("give one truth for each film, in one order")
    try:
        print(_evaluate(options))
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    return 0


def _evaluate(options: argparse.Namespace) -> str:
    from tabulate import tabulate

    from flipdetect.atomic import write_text
    from flipdetect.evaluation.stills import StillFigures, read_true_frames, still_figures
    from flipdetect.outputs.flips import read_flips_json

    named = {}
    for flips, truth in zip(options.flips, options.truth, strict=True):
        results = read_flips_json(flips)
        if len(results) != 1:
            raise DataError(f"{flips} holds {len(results)} films; give a file of one")
        named[truth.parent.name or str(truth)] = still_figures(
            results[0].stills, read_true_frames(truth), options.unobstructed
        )
    named["all"] = sum(named.values(), StillFigures())
    rows = [[name, *figures.counts(), figures.good_share] for name, figures in named.items()]
    if options.json:
        content = {name: {**asdict(figures), "good_share": figures.good_share} for name, figures in named.items()}
        write_text(options.json, json.dumps(content, indent=2) + "\n")
    headers = ("film", "openings", "hidden", "good", "missing", "doubled", "turning", "told", "good share")
    return tabulate(rows, headers=headers, floatfmt=".3f", disable_numparse=[0])


if __name__ == "__main__":
    sys.exit(main())
