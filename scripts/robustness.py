"""How much a model loses when frames are brighter, grey, tinted, mirrored, or worse: F1 at its threshold, and AUROC.

Changes are applied to decoded frames, before the model's preprocessing; `flipdetect/evaluation/perturbations.py`
defines each. The chart of several models or sets gets a number behind its name.

Examples:
    python scripts/robustness.py --model mobilenet_v2 --folder-path frames/ --chart robustness.png
    python scripts/robustness.py --checkpoint-path logs/tiny_cnn/version_0/best.ckpt --folder-path data/embedded \
        --split test --full --json robustness.json
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError
from flipdetect.evaluation.options import (
    add_model_arguments,
    add_set_arguments,
    load_models,
    parse,
    selection,
    set_name,
    short_model_name,
)

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Measure as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser)
    add_set_arguments(parser)
    parser.add_argument(
        "--full", action="store_true", help="also contrast, blur, noise, JPEG, small rotations, zoom, resolution"
    )
    parser.add_argument("--json", type=Path, help="all figures")
    parser.add_argument("--chart", type=Path, metavar="PNG", help="bars of F1 and AUROC")
    options = parse(parser, args)
    try:
        _measure(options)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    return 0


def _measure(options: argparse.Namespace) -> None:
    from flipdetect.evaluation.corruptions import BASIC, MORE
    from flipdetect.evaluation.robustness import measure_robustness
    from flipdetect.evaluation.selection import select_frames
    from flipdetect.evaluation.tables import write_json

    found: list[dict[str, Any]] = []
    bundles = load_models(options)
    several = len(bundles) * len(options.folder_path) > 1
    for name, bundle in bundles.items():
        for folder in options.folder_path:
            index = select_frames(folder, bundle.classes, bundle.naming, **selection(options, bundle.path))
            result = measure_robustness(bundle, index, (*BASIC, *MORE) if options.full else BASIC)
            for reason in result.failed:
                logger.warning("left out: %s", reason)
            title = f"{short_model_name(name)} on {set_name(folder, options.split)} ({result.frames} frames)"
            found.append({"model": name, "set": str(folder), "split": options.split, **result.as_dict()})
            print(f"{name} on {set_name(folder, options.split)}: {result.frames} frames\n{result.table()}\n")
            if options.chart:
                stem = f"{options.chart.stem}-{len(found)}" if several else options.chart.stem
                _draw(result, title, options.chart.with_stem(stem))
    if options.json:
        write_json(options.json, found)


def _draw(result: Any, title: str, path: Path) -> None:
    from flipdetect.outputs.plots import plot_robustness, save_figure

    names = [each.name for each in result.conditions]
    f1, auroc = ([each.figures[figure] for each in result.conditions] for figure in ("f1", "auroc"))
    save_figure(plot_robustness(names, f1, auroc, title), path)
    logger.info("The chart is in %s", path)


if __name__ == "__main__":
    sys.exit(main())
