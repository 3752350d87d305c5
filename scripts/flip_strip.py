"""Draw a page turn as a strip of frames with the model's probability under each: the README's first picture.

The clip is rendered, of a book that is in no training set (another seed than the embedded data's).

Example: python scripts/flip_strip.py --checkpoint-path best.ckpt --output docs/images/flip_strip.png
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from flipdetect.atomic import replacing
from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import FlipdetectError
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.outputs.plots import figure_to_array, plot_flip_strip
from flipdetect.synth import SynthConfig, encode_frame, render_clip

UNSEEN_SEED = 1000


def main(args: Sequence[str] | None = None) -> int:
    """Draw as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint-path", type=Path, required=True, help="trained model")
    parser.add_argument("--output", type=Path, default=Path("docs/images/flip_strip.png"), help="PNG file to write")
    parser.add_argument("--seed", type=int, default=UNSEEN_SEED, help="another seed, other books")
    parser.add_argument("--clip", type=int, default=0, help="number of the clip; even ones show a turn")
    parser.add_argument("--frames", type=int, default=10, help="frames of the strip")
    options = parser.parse_args(args)
    try:
        picture = _draw(options)
    except FlipdetectError as error:
        logging.getLogger("flipdetect").error("%s", error)
        return 1
    with replacing(options.output) as part:
        Image.fromarray(picture).save(part, format="png", optimize=True)
    print(options.output)
    return 0


def _draw(options: argparse.Namespace) -> np.ndarray:
    bundle = load_torch_model(options.checkpoint_path, "cpu")
    config = SynthConfig(seed=options.seed)
    frames = render_clip(config, options.clip, np.linspace(0.1, 0.9, options.frames).tolist())
    # Through the JPEG that a phone would write, and the very path that inference.py takes.
    scores = bundle.probabilities(np.stack([bundle.preprocess.load(encode_frame(frame)) for frame in frames]))
    truths = [bundle.classes.target(frame.truth.label) for frame in frames]
    images = [frame.image for frame in frames]
    return figure_to_array(plot_flip_strip(images, scores, bundle.threshold, truths, bundle.classes))


if __name__ == "__main__":
    sys.exit(main())
