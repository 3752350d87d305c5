"""Random labelled frames, truth against prediction: a table, and a picture with --output.

Half of the frames are of either class unless --natural is given. Shipped models are run by ONNX Runtime, without torch.

Examples:
    python scripts/spot_check.py -n 20 --folder-path frames/ --output spot.png
    python scripts/spot_check.py -n 40 --folder-path frames/ --model mobilenet_v2 --seed 3
    python scripts/spot_check.py --folder-path data/embedded --checkpoint-path logs/tiny_cnn/version_0/best.ckpt \
        --split test
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError
from flipdetect.evaluation.options import SIDES, set_name, short_model_name
from flipdetect.zoo import DEFAULT, SHIPPED

LOGS = Path("logs")

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Check as the command line says; returns the exit status."""
    set_up_logging()
    options = _parser().parse_args(args)
    try:
        _check(options)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder-path", type=Path, required=True, help="labelled frames, as train.py reads them")
    parser.add_argument("-n", "--count", type=int, default=20, help="frames (default: %(default)s)")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--model", choices=tuple(SHIPPED), help="a model that ships with flipdetect")
    chosen.add_argument(
        "--checkpoint-path",
        type=Path,
        help=f"a .ckpt, .safetensors or .onnx file; default: the newest best.ckpt under {LOGS}/, else {DEFAULT}",
    )
    parser.add_argument("--engine", choices=("auto", "torch", "onnx"), default="auto", help="(%(default)s)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="for PyTorch (%(default)s)")
    parser.add_argument("--threshold", type=float, help="instead of the model's own")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other frames (default: %(default)s)")
    parser.add_argument("--natural", action="store_true", help="draw all frames alike, not half of either class")
    parser.add_argument("--manifest", type=Path, help="CSV path,label,video,frame,source that describes the set")
    parser.add_argument("--split", choices=SIDES, help="only this side of a split")
    parser.add_argument("--split-file", type=Path, help="its splits.csv; default: the one beside the checkpoint")
    parser.add_argument("--output", type=Path, metavar="PNG", help="the frames as a picture")
    return parser


def _check(options: argparse.Namespace) -> None:
    from flipdetect.evaluation.options import selection
    from flipdetect.evaluation.selection import select_frames
    from flipdetect.evaluation.spot_check import choose_frames, spot_check
    from flipdetect.inference.load import load_model

    named = options.model or options.checkpoint_path or DEFAULT
    model = load_model(named, options.engine, options.device)
    logger.info("Model: %s (%s)", model.path, model.runs_on)
    threshold = model.threshold if options.threshold is None else options.threshold
    index = select_frames(options.folder_path, model.classes, model.naming, **selection(options, model.path))
    frames = choose_frames(index.records, options.count, model.classes, seed=options.seed, natural=options.natural)
    found = spot_check(index, model, threshold, frames)
    print(found.table())
    if options.output:
        from flipdetect.outputs.plots import save_figure

        title = f"{short_model_name(str(named))} on {set_name(options.folder_path, options.split)}"
        save_figure(found.plot(title), options.output)
        logger.info("The picture is in %s", options.output)


if __name__ == "__main__":
    sys.exit(main())
