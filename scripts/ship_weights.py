"""Ship a trained model with the package: flipdetect/weights/<name>.safetensors and its card <name>.md.

The file holds the weights as they are (float32, no pickle) and, as metadata, all that prediction needs and where the
model comes from. Figures of the run's metrics.json beside the checkpoint go into the card; --figures adds more.

Example: python scripts/ship_weights.py --checkpoint-path logs/tiny_cnn/version_0/best.ckpt --name tiny_cnn
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError
from flipdetect.zoo import FOLDER, SHIPPED, SIZE_LIMIT

if TYPE_CHECKING:
    from flipdetect.tasks.decision import Decision


def main(args: Sequence[str] | None = None) -> int:
    """Ship as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint-path", type=Path, required=True, help="best.ckpt of train.py")
    parser.add_argument("--name", choices=tuple(SHIPPED), required=True, help="of the shipped model to replace")
    parser.add_argument("--figures", type=Path, help="JSON {section: {name: value}}, a table each in the card")
    parser.add_argument(
        "--average",
        type=Path,
        nargs="+",
        default=[],
        metavar="CHECKPOINT",
        help="further checkpoints, best of the same run, whose weights are averaged with the first",
    )
    parser.add_argument("--threshold", type=float, help="instead of the checkpoint's own (or their mean)")
    parser.add_argument("--temperature", type=float, help="with --threshold: of the probabilities it is for (1)")
    parser.add_argument(
        "--render-version", type=int, help="of the embedded data, for a checkpoint that does not record it"
    )
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the shipped weights")
    options = parser.parse_args(args)
    try:
        print(_ship(options))
    except FlipdetectError as error:
        logging.getLogger("flipdetect").error("%s", error)
        return 1
    return 0


def _decision(threshold: float | None, temperature: float | None) -> Decision | None:
    from flipdetect.tasks.decision import Decision

    return None if threshold is None else Decision(threshold, 1.0 if temperature is None else temperature)


def _ship(options: argparse.Namespace) -> str:
    from flipdetect.export.shipping import read_figures, ship

    shipment = ship(
        options.checkpoint_path,
        options.name,
        average=options.average,
        figures=read_figures(options.figures) if options.figures else None,
        decision=_decision(options.threshold, options.temperature),
        render_version=options.render_version,
        folder=options.output,
    )
    lines = [str(shipment.weights), str(shipment.card)]
    lines += [f"{name:>14} {size:>12,} bytes" for name, size in shipment.sizes.items()]
    total = sum(shipment.sizes.values())
    return "\n".join([*lines, f"{'together':>14} {total:>12,} bytes of {SIZE_LIMIT:,} allowed"])


if __name__ == "__main__":
    sys.exit(main())
