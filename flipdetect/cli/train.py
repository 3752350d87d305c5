"""`flipdetect train --config mobilenet`, and `python train.py --config configs/mobilenet.yaml`.

This module is light: help and mistakes are printed before torch is imported, which takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from flipdetect.cli.check_config import check_arguments
from flipdetect.cli.messages import INTERRUPTED, REFUSED, explain, set_up_logging, stop_on_signals
from flipdetect.cli.train_arguments import Arguments
from flipdetect.errors import FlipdetectError, require_extra
from flipdetect.start.lean_imports import defer_torchmetrics, paused_collection

if TYPE_CHECKING:
    from flipdetect.start.read_ahead import ReadAhead

HELP = """\
Usage: flipdetect train --config NAME|PATH [--config ...] [--KEY VALUE ...]

Train a frame classifier or an object detector as YAML files describe it, then test its best checkpoint.

  --config NAME|PATH     a file, or a configuration that comes with the package (`flipdetect configs` lists them);
                         later ones override earlier ones
  --data.root FOLDER     your labelled frames: flip/ and notflip/, or a folder with labels.csv
  --KEY VALUE            any value of the configuration by its dotted name, such as --trainer.max_epochs 5,
                         --data.batch_size 16, --model.lr 0.003
  --ckpt_path last       continue the newest interrupted run of this name
  --allow-class NAME     a class or package that the configuration may use besides those of Lightning, torch,
                         torchvision, torchmetrics, albumentations and flipdetect; repeatable
  --print_config         print the whole configuration, and train nothing
  --help all             list every option of Lightning, the model and the data (takes seconds)

Examples:
  flipdetect train --config mobilenet --data.root my_frames/
  flipdetect train --config finetune --data.root my_frames/
  flipdetect train --config detect --data.root my_boxes/ --data.format voc
  flipdetect train --config tiny_cnn --config debug/fast
"""


def train(ctx: typer.Context) -> None:
    """Train a classifier or a detector as a YAML configuration describes it, then test it."""
    raise typer.Exit(main(ctx.args))


def main(args: Sequence[str] | None = None) -> int:
    """Train as the command line says; returns the exit status."""
    set_up_logging()
    stop_on_signals()
    words = list(sys.argv[1:] if args is None else args)
    if words in (["--help"], ["-h"]):
        print(HELP, end="")
        return 0
    if words in (["--help", "all"], ["--help-all"]):
        words = ["--help"]
    try:
        require_extra("train", "torch", "torchvision", "pytorch_lightning", "jsonargparse", "albumentations")
        arguments = check_arguments(words)
        asks = any(word.startswith(("--help", "--print")) or word.endswith(".help") for word in words)
        if asks or arguments.detection:
            return _run(arguments)
        from flipdetect.start.read_ahead import ReadAhead

        ahead, status = ReadAhead(arguments.settings["data"]), INTERRUPTED
        try:
            status = _run(arguments, ahead)
        finally:
            ahead.end(discard=status == REFUSED)
        return status
    except FlipdetectError as error:
        return explain(error)
    except KeyboardInterrupt:  # before the fit, which handles it by itself
        return INTERRUPTED


def _run(arguments: Arguments, ahead: ReadAhead | None = None) -> int:
    with paused_collection(freeze=True):
        defer_torchmetrics()
        from flipdetect.cli.lightning_cli import run

    return run(arguments, ahead)


if __name__ == "__main__":
    sys.exit(main())
