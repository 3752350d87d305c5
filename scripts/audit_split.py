"""What leaks between the sides of a split: videos, sources, files, copied pictures, films cut in two; wrong labels.

Without --split-file the split is audited that `train.py` would draw of the same folder with the same settings. Every
frame is read once, scaled down; 14,400 frames take about a minute and a half on one core, and seconds when their small
pictures are kept (--cache-dir, by default the one of training). docs/guides/audit.md says what the findings mean.

Examples:
    python scripts/audit_split.py --data-root frames/
    python scripts/audit_split.py --data-root frames/ --split-file logs/tiny_cnn/version_0/splits.csv --strict
    python scripts/audit_split.py --data-root MonReader/ --use-supplied-test --output audit.json --pictures audit.png
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.cli.messages import INTERRUPTED, set_up_logging
from flipdetect.errors import FlipdetectError

if TYPE_CHECKING:
    from flipdetect.data.audit.audit import FullAudit
    from flipdetect.data.splits import Split
    from flipdetect.records import ClassNames, FrameRecord

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Audit as the command line says; returns the exit status, with --strict 1 if there is a fault."""
    set_up_logging()
    options = _parser().parse_args(args)
    try:
        audit, root = _audit(options)
        print(_report(audit))
        _write_files(audit, root, options)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        logger.warning("Interrupted: nothing was written")
        return INTERRUPTED
    return int(options.strict and audit.faults)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="labelled frames, as train.py reads them")
    parser.add_argument("--manifest", type=Path, help="CSV path,label,video,frame,source that describes the set")
    parser.add_argument("--positive", default="flip", help="name of the positive class (%(default)s)")
    parser.add_argument("--negative", default="notflip", help="name of the negative class (%(default)s)")
    parser.add_argument("--split-file", type=Path, help="a splits.csv; default: the split is drawn as train.py would")
    parser.add_argument("--use-supplied-test", action="store_true", help="the set's own testing/ folder is the test")
    parser.add_argument("--group-by", choices=("auto", "video", "source"), default="auto", help="of a split drawn here")
    parser.add_argument("--val-fraction", type=float, default=0.15, help="likewise (%(default)s)")
    parser.add_argument("--test-fraction", type=float, default=0.15, help="likewise (%(default)s)")
    parser.add_argument("--split-seed", type=int, default=0, help="likewise (%(default)s)")
    parser.add_argument("--strict", action="store_true", help="exit status 1 if there is a fault")
    parser.add_argument("--output", type=Path, metavar="JSON", help="all findings, for programs")
    parser.add_argument("--csv", type=Path, help="a row per pair of frames")
    parser.add_argument("--pictures", type=Path, metavar="PNG", help="the worst pairs side by side")
    parser.add_argument("--cache-dir", type=Path, default=Path("data/cache"), help="small pictures (%(default)s)")
    parser.add_argument("--no-cache", action="store_true", help="keep no small pictures")
    parser.add_argument("--workers", type=int, help="decoding threads; default: one per core")
    return parser


def _audit(options: argparse.Namespace) -> tuple[FullAudit, Path]:
    from flipdetect.data.audit.audit import audit_frames
    from flipdetect.data.index import index_frames
    from flipdetect.records import ClassNames

    classes = ClassNames(options.negative, options.positive)
    index = index_frames(options.data_root, classes=classes, manifest=options.manifest, check=False)
    logger.info("%s", index.summary())
    split = _split(index.records, index.root, classes, options)
    cache_dir = None if options.no_cache else options.cache_dir
    return audit_frames(split, cache_dir=cache_dir, workers=options.workers), index.root


def _split(records: Sequence[FrameRecord], root: Path, classes: ClassNames, options: argparse.Namespace) -> Split:
    from flipdetect.data.split_file import read_split
    from flipdetect.data.splits import split_records

    if options.split_file is not None:
        return read_split(options.split_file, records, root, classes)
    return split_records(
        records,
        classes=classes,
        val_fraction=options.val_fraction,
        test_fraction=options.test_fraction,
        group_by=options.group_by,
        seed=options.split_seed,
        use_supplied_test=options.use_supplied_test,
    )


def _report(audit: FullAudit) -> str:
    from flipdetect.evaluation.audit_files import finding_table, side_table, source_table

    warnings = audit.warnings()
    lines = [f"{'! ' if line in warnings else '- '}{line}" for line in audit.sentences()]
    tables = [side_table(audit), source_table(audit), finding_table(audit)]
    verdict = "There are faults (!)." if audit.faults else "No fault was found."
    return "\n\n".join(["\n".join(lines), *(table for table in tables if table), verdict])


def _write_files(audit: FullAudit, root: Path, options: argparse.Namespace) -> None:
    from flipdetect.evaluation.audit_files import plot_worst_pairs, write_audit_csv, write_audit_json
    from flipdetect.outputs.plots import save_figure

    if options.output:
        write_audit_json(audit, options.output, root)
    if options.csv:
        write_audit_csv(audit, options.csv, root)
    if options.pictures:
        save_figure(plot_worst_pairs(audit), options.pictures)
    for path in (options.output, options.csv, options.pictures):
        if path:
            logger.info("Written: %s", path)


if __name__ == "__main__":
    sys.exit(main())
