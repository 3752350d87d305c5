"""Make the pictures in docs/images and the tables of README and docs from the results files in docs/results.

docs/results/published.yaml lists what is made of what. A table stands in the README between the lines
<!-- figures:NAME --> and <!-- /figures -->; other text is left as it is. The same results make the same files.

Examples:
    python scripts/make_figures.py            # or: make figures
    python scripts/make_figures.py --check    # changes nothing; status 1 if a table would
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from flipdetect.atomic import write_text
from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import DataError, FlipdetectError

REPOSITORY = Path(__file__).resolve().parents[1]

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Make what the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=REPOSITORY, help="of the repository")
    parser.add_argument("--list", type=Path, default=Path("docs/results/published.yaml"), help="below it")
    parser.add_argument("--readme", type=Path, default=Path("README.md"), help="below it")
    parser.add_argument("--check", action="store_true", help="change nothing; status 1 if a table is not up to date")
    options = parser.parse_args(args)
    try:
        return _make(options)
    except (FlipdetectError, OSError) as error:
        logger.error("%s", error)
        return 1


def _make(options: argparse.Namespace) -> int:
    from flipdetect.evaluation.published import draw, fill, read_list
    from flipdetect.outputs.plots import save_figure

    published = read_list(options.root / options.list)
    readme = options.root / options.readme
    old = readme.read_text(encoding="utf-8")
    try:
        new, placed = fill(old, published)
    except DataError as error:
        raise DataError(f"{readme}: {error}") from error
    for name in published.tables:
        if name not in placed:
            logger.warning("%s has no marker <!-- figures:%s -->: that table stands nowhere", readme, name)
    if options.check:
        if new != old:
            logger.error("the tables of %s are not those of %s; run make figures", readme, options.list)
        return int(new != old)
    for name in published.pictures:
        save_figure(draw(published, name), options.root / name)
        logger.info("Made %s", name)
    if new != old:
        write_text(readme, new)
        logger.info("Made the tables of %s", readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
