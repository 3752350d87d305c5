"""Make an exported model smaller: 8-bit integers (a quarter of the size, half the time) or float16 (half the size).

Integers need frames to calibrate on, such as the model was trained on: their activations say which numbers the integers
stand for. Other frames of the same folder are then scored before and after; a file that differs too much is not kept.
inference.py takes the file as any exported model. How good it still is on labelled frames: scripts/model_table.py.

Examples:
    python scripts/quantize_onnx.py --model mobilenet_v2 --calibration-path data/embedded --output small.int8.onnx
    python scripts/quantize_onnx.py --checkpoint-path logs/tiny_cnn/version_0/best.ckpt --precision float16 \
        --output half.onnx
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from flipdetect.cli.messages import hush_libraries, set_up_logging
from flipdetect.errors import FlipdetectError
from flipdetect.zoo import SHIPPED

FRAMES, COMPARED = 128, 32

logger = logging.getLogger("flipdetect.export")


def main(args: Sequence[str] | None = None) -> int:
    """Quantise as the command line says; returns the exit status."""
    set_up_logging()
    hush_libraries()
    parser = _parser()
    options = parser.parse_args(args)
    if options.precision == "int8" and options.calibration_path is None:
        parser.error("int8 needs frames to calibrate on: --calibration-path FOLDER")
    try:
        print(_quantize(options))
    except (FlipdetectError, OSError) as error:
        logger.error("%s", error)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--checkpoint-path", type=Path, help="an exported .onnx, a best.ckpt, or a .safetensors file")
    which.add_argument("--model", choices=tuple(SHIPPED), help="a trained model that ships with flipdetect")
    parser.add_argument("--calibration-path", type=Path, metavar="FOLDER", help="frames such as it was trained on")
    parser.add_argument("--output", type=Path, required=True, metavar="ONNX", help="file to write, as model.int8.onnx")
    parser.add_argument("--precision", choices=("int8", "float16"), default="int8", help="default: %(default)s")
    parser.add_argument(
        "--frames", type=int, default=FRAMES, help="to calibrate on, spread over the folder (default: %(default)s)"
    )
    parser.add_argument(
        "--method",
        choices=("minmax", "percentile", "entropy"),
        default="minmax",
        help="how an activation's range is found; the last two take minutes (default: %(default)s)",
    )
    parser.add_argument(
        "--reduced-range",
        choices=("auto", "yes", "no"),
        default="auto",
        help="weights of 7 bits, for x86 processors without VNNI (most before 2019); default: if this one is such",
    )
    return parser


def _quantize(options: argparse.Namespace) -> str:
    from flipdetect.export.onnx_writing import write_float16
    from flipdetect.export.quantize import Quantisation, quantize_checked
    from flipdetect.export.sample import sample_frames
    from flipdetect.inference.onnx_model import load_onnx

    with tempfile.TemporaryDirectory() as folder:
        source = _exported(options, Path(folder))
        spec = load_onnx(source, 1).preprocess
        before = source.stat().st_size
        if options.precision == "float16":
            after = write_float16(source, options.output).stat().st_size
            return f"{options.output}: {after:,} bytes, {after / before:.2f} of the float32 file"
        how = Quantisation(options.method, options.reduced_range)
        frames = sample_frames(options.calibration_path, spec, options.frames + COMPARED)
        calibration, others = frames.divided(COMPARED)
        logger.info("Calibrating on %d frames of %s", len(calibration), options.calibration_path)
        change = quantize_checked(source, calibration, others, options.output, how)
    after = options.output.stat().st_size
    return "\n".join(
        (
            f"{options.output}: {after:,} bytes, {after / before:.2f} of the float32 file",
            f"difference of probability on {change.frames} other frames: {change.mean:.2g} on average, "
            f"{change.largest:.2g} at most; frames that change class: {change.flipped}",
            f"weights of {7 if how.reduces else 8} bits",
        )
    )


def _exported(options: argparse.Namespace, folder: Path) -> Path:
    """The model as a float32 ONNX file: the one there is, or one made in a folder."""
    from flipdetect.inference.onnx_model import SUFFIX
    from flipdetect.zoo import shipped_path

    if options.model is not None:
        return shipped_path(options.model).with_suffix(SUFFIX)
    given: Path = options.checkpoint_path
    if given.suffix == SUFFIX:
        return given

    from flipdetect.export.onnx import export_onnx
    from flipdetect.inference.torch_model import load_torch_model

    return export_onnx(load_torch_model(given, "cpu"), folder / f"{given.stem}{SUFFIX}")


if __name__ == "__main__":
    sys.exit(main())
