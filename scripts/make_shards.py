"""Turn a folder of labelled frames into shards, for sets too large for one disk or for the cache; split as the folder.

    python scripts/make_shards.py --folder-path frames/ --output shards/
    python train.py --config configs/tiny_cnn.yaml --data.shards shards/

No video (or source) is on two sides. An interrupted run goes on when it is called again. Needs
`pip install 'flipdetect[shards]'`.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from flipdetect.atomic import write_csv
from flipdetect.data.index import index_frames
from flipdetect.data.shard_writing import write_shards
from flipdetect.data.split_file import read_split
from flipdetect.data.splits import split_records
from flipdetect.errors import FlipdetectError
from flipdetect.records import ClassNames
from flipdetect.sources.naming import NamePattern

PROBLEMS_NAME = "problems.csv"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder-path", type=Path, required=True, help="labelled frames, as data.root")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument("--shard-frames", type=int, default=1000, help="frames of a shard, at most (%(default)s)")
    parser.add_argument("--split-file", type=Path, help="a splits.csv of an earlier run; else the split is drawn")
    parser.add_argument("--group-by", choices=("auto", "video", "source"), default="auto", help="default: auto")
    parser.add_argument("--val-fraction", type=float, default=0.15, help="default: %(default)s")
    parser.add_argument("--test-fraction", type=float, default=0.15, help="default: %(default)s")
    parser.add_argument("--use-supplied-test", action="store_true", help="a supplied testing/ folder is the test side")
    parser.add_argument("--split-seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--positive", default="flip", help="positive class (default: flip)")
    parser.add_argument("--negative", default="notflip", help="the other class (default: notflip)")
    parser.add_argument("--name-pattern", help="regular expression with the groups video, frame, label, source")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the job; 0 if the shards are complete, 1 with the reason on standard error if not."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    classes = ClassNames(negative=args.negative, positive=args.positive)
    try:
        pattern = NamePattern(args.name_pattern) if args.name_pattern else None
        index = index_frames(args.folder_path.expanduser(), classes=classes, pattern=pattern, check=False)
        if args.split_file is not None:
            split = read_split(args.split_file, index.records, index.root, classes)
        else:
            split = split_records(
                index.records,
                classes=classes,
                val_fraction=args.val_fraction,
                test_fraction=args.test_fraction,
                group_by=args.group_by,
                seed=args.split_seed,
                use_supplied_test=args.use_supplied_test,
            )
        shards, problems = write_shards(split, index.root, args.output.expanduser(), shard_frames=args.shard_frames)
    except FlipdetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: the shards cannot be written ({error}); make room or correct --output", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    for side in ("train", "val", "test"):
        own = [shard for shard in shards.shards if shard.side == side]
        size = sum(shard.bytes for shard in own) / 2**20
        print(f"{side}: {sum(shard.frames for shard in own):,} frames in {len(own):,} shards, {size:,.1f} MiB")
    problems = [*index.problems, *problems]
    if problems:
        write_csv(args.output / PROBLEMS_NAME, ("path", "reason"), ((str(p.path), p.reason) for p in problems))
        print(f"{len(problems):,} files could not be used; they are listed in {args.output / PROBLEMS_NAME}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
