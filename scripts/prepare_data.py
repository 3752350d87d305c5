"""Turn an archive, labelled videos or a folder of frames into the layout that training reads.

    python scripts/prepare_data.py archive.zip data/monreader
    python scripts/prepare_data.py my_videos/ data/mine --rate 5      (my_videos/flip/*.mp4, my_videos/notflip/*.mp4)
    python scripts/prepare_data.py photos/ data/photos --positive like --negative dislike

Statistics are printed; what could not be used is listed in the target's problems.csv.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from flipdetect.data.prepare.convert import DEFAULT_RATE, PROBLEMS_NAME, Preparation, prepare_data
from flipdetect.errors import FlipdetectError
from flipdetect.records import ClassNames
from flipdetect.sources.naming import NamePattern


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="zip or tar archive, folder of frames, or folder of labelled videos")
    parser.add_argument("target", type=Path, help="folder to make")
    parser.add_argument("--positive", default="flip", help="positive class and its folder (default: flip)")
    parser.add_argument("--negative", default="notflip", help="the other class and its folder (default: notflip)")
    parser.add_argument(
        "--rate", type=float, default=DEFAULT_RATE, help="frames per second from videos (default: %(default)g)"
    )
    parser.add_argument("--name-pattern", help="regular expression with the groups video, frame, label, source")
    parser.add_argument(
        "--labels", nargs="*", default=[], metavar="CAPTURED=CLASS", help="class of each captured label, as in 0=closed"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a target that is not empty")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; 0 if the data set is in place, 1 with the reason on standard error if not."""
    parser = _parser()
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if any("=" not in pair for pair in args.labels):
        parser.error("--labels takes pairs such as 0=closed 1=open")
    labels = dict(pair.split("=", 1) for pair in args.labels)
    try:
        how = Preparation(
            classes=ClassNames(negative=args.negative, positive=args.positive),
            pattern=NamePattern(args.name_pattern, labels or None) if args.name_pattern else None,
            rate=args.rate,
        )
        index = prepare_data(args.source, args.target, how, overwrite=args.overwrite)
    except FlipdetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; {args.target} is as it was before", file=sys.stderr)
        return 130
    print(index.summary())
    if index.problems:
        print(f"  all {len(index.problems):,} are listed in {args.target / PROBLEMS_NAME}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
