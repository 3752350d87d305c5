"""Export a trained model to ONNX, which predicts without PyTorch, and check that it says the same.

Both look at a few rendered frames of books that are in no training set, or at frames of your own. The file is kept
only if the largest difference of probability is at most 1e-4 (0.01 with --precision float16).

Example: python scripts/export_onnx.py --model tiny_cnn --output tiny_cnn.onnx
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.cli.messages import hush_libraries, set_up_logging
from flipdetect.errors import FlipdetectError
from flipdetect.zoo import SHIPPED, shipped_path

if TYPE_CHECKING:
    import numpy as np

    from flipdetect.data.preprocess import PreprocessSpec

UNSEEN_SEED = 1000
SOURCES, TIMES = 2, (0.2, 0.4, 0.6, 0.8)
"""Rendered books, each with a clip of a turn and one without, and the shares of a clip at which frames are taken."""
MOST_FRAMES = 64

logger = logging.getLogger("flipdetect.export")


def main(args: Sequence[str] | None = None) -> int:
    """Export as the command line says; returns the exit status."""
    set_up_logging()
    hush_libraries()
    options = _parser().parse_args(args)
    try:
        print(_export(options))
    except (FlipdetectError, OSError) as error:
        logger.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--checkpoint-path", type=Path, help="a best.ckpt of train.py, or a .safetensors file")
    which.add_argument("--model", choices=tuple(SHIPPED), help="a trained model that ships with flipdetect")
    parser.add_argument("--output", type=Path, required=True, metavar="ONNX", help="file to write, such as model.onnx")
    parser.add_argument(
        "--precision",
        choices=("float32", "float16"),
        default="float32",
        help="of the stored weights; float16 halves the file (default: %(default)s)",
    )
    parser.add_argument(
        "--folder-path",
        type=Path,
        help=f"frames to compare on, {MOST_FRAMES} at most; default: rendered ones",
    )
    return parser


def _export(options: argparse.Namespace) -> str:
    from flipdetect.export.parity import LIMITS, export_checked
    from flipdetect.export.sample import sample_frames
    from flipdetect.inference.torch_model import load_torch_model

    bundle = load_torch_model(options.checkpoint_path or shipped_path(options.model), "cpu")
    if options.folder_path:
        frames = sample_frames(options.folder_path, bundle.preprocess, MOST_FRAMES).frames
    else:
        frames = _rendered(bundle.preprocess)
    parity = export_checked(bundle, options.output, frames, precision=options.precision)
    lines = [
        f"{options.output}: {options.output.stat().st_size:,} bytes",
        f"largest difference of probability on {parity.frames} frames: {parity.probability:.2g} "
        f"({LIMITS[options.precision]:g} is allowed); frames that change class: {parity.flipped}",
    ]
    if parity.hands is not None:
        lines.append(f"largest difference between maps of hands: {parity.hands:.2g}")
    return "\n".join(lines)


def _rendered(spec: PreprocessSpec) -> np.ndarray:
    """Rendered frames as the model sees them, (N, C, H, W) float32, through the JPEG that a phone would write."""
    import numpy as np

    from flipdetect.synth import SynthConfig, encode_frame, render_clip

    config = SynthConfig(seed=UNSEEN_SEED, sources=SOURCES, clips_per_source=2)
    clips = (render_clip(config, clip, TIMES) for clip in range(config.clips))
    return np.stack([spec.load(encode_frame(frame)) for clip in clips for frame in clip])


if __name__ == "__main__":
    sys.exit(main())
