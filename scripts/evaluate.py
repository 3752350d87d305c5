"""Judge trained models on labelled frames: figures at the stored threshold, and a line per video.

Example: python scripts/evaluate.py --checkpoint-path logs/*/version_0/best.ckpt --folder-path frames/
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError

FIGURES = ("auroc", "average_precision", "f1", "f1_at_0.5", "precision", "recall", "accuracy")


def main(args: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint-path", type=Path, nargs="+", required=True, help="one or more best.ckpt")
    parser.add_argument("--folder-path", type=Path, nargs="+", required=True, help="labelled sets, each judged apart")
    parser.add_argument("--manifest", type=Path, help="CSV path,label,video,frame,source that describes the set")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--per-video", action="store_true", help="a line per video as well")
    options = parser.parse_args(args)
    try:
        print(_report(options))
    except FlipdetectError as error:
        logging.getLogger("flipdetect").error("%s", error)
        return 1
    return 0


def _report(options: argparse.Namespace) -> str:
    from tabulate import tabulate

    from flipdetect.evaluation.labelled import evaluate_folder
    from flipdetect.inference.bundle import load_bundle

    rows, tables = [], []
    for checkpoint in options.checkpoint_path:
        bundle = load_bundle(checkpoint, options.device)
        for folder in options.folder_path:
            result = evaluate_folder(bundle, folder, manifest=options.manifest)
            videos = len({judged.record.video for judged in result.judged})
            figures = [result.metrics[name] for name in FIGURES]
            rows.append([str(checkpoint), str(folder), len(result.judged), videos, result.threshold, *figures])
            for score in result.failed:
                logging.getLogger("flipdetect").warning("left out: %s", score.error)
            if options.per_video:
                tables.append(f"{checkpoint} on {folder}\n{result.video_table(bundle.classes.positive)}\n")
    headers = ["checkpoint", "frames of", "frames", "videos", "threshold", *FIGURES]
    return "\n".join([*tables, tabulate(rows, headers=headers, floatfmt=".3f")])


if __name__ == "__main__":
    sys.exit(main())
