"""Look into the cache of decoded frames and of features, or clear it. What is needed again is made again.

python scripts/cache.py --list
python scripts/cache.py --clear
python scripts/cache.py --clear --unused-days 30 --cache-dir data/cache
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tabulate import tabulate

from flipdetect.data.cachefolder import CacheFolder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="what is in it, by size of the frames")
    what.add_argument("--clear", action="store_true", help="delete it")
    parser.add_argument(
        "--cache-dir", type=Path, default=Path("data/cache"), help="its folder, data.cache_dir (default: %(default)s)"
    )
    parser.add_argument(
        "--unused-days",
        type=float,
        default=0.0,
        metavar="DAYS",
        help="with --clear: only what was not used since",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; 0 if all is well, 1 with the reason on standard error if not."""
    args = _parser().parse_args(argv)
    cache = CacheFolder(args.cache_dir.expanduser())
    if args.list:
        kept = cache.kept()
        rows = [[k.name, f"{k.bytes / 2**20:,.1f}", k.packs, f"{datetime.fromtimestamp(k.used_s):%F %R}"] for k in kept]
        features = cache.features()
        for each in features:
            used = f"{datetime.fromtimestamp(each.used_s):%F %R}"
            rows.append([f"features {each.path.name[:8]}", f"{each.bytes / 2**20:,.1f}", "", used])
        print(tabulate(rows, headers=["frames of", "MiB", "files", "last used"]))
        print(f"{sum(k.bytes for k in (*kept, *features)) / 2**20:,.1f} MiB in {cache.path}")
        return 0
    try:
        freed = cache.clear(args.unused_days)
    except OSError as error:
        print(f"error: {cache.path} cannot be cleared ({error}); correct its permissions", file=sys.stderr)
        return 1
    print(f"{freed / 2**20:,.1f} MiB freed in {cache.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
