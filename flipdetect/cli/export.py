"""`flipdetect export`: write a trained model as a file that predicts without PyTorch, and check it."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Option

from flipdetect.cli.options import IS_FOLDER, OptionalOutput, check_models
from flipdetect.errors import require_extra
from flipdetect.start.lean_imports import defer_torchmetrics, paused_collection

CHECKED, CALIBRATED = 64, 128
"""Frames of --data on which the exported model is compared with the original, and on which integers are calibrated."""
CHECKED_INT8 = 32
UNSEEN_SEED = 1000
SOURCES, TIMES = 2, (0.2, 0.4, 0.6, 0.8)
"""Rendered books, each with a clip of a turn and one without, and the shares of a clip at which frames are taken."""

Format = Literal["onnx", "onnx-float16", "onnx-int8", "onnx-portable", "executorch", "litert"]
MOBILE = {"executorch": (".pte", ("executorch",)), "litert": (".tflite", ("litert_torch", "ai_edge_litert"))}
"""Of formats for phones: suffix, and packages."""

logger = logging.getLogger(__name__)


def export(
    model: Annotated[
        str,
        Option(
            "--model",
            "-m",
            metavar="NAME|PATH",
            callback=check_models,
            help="A pretrained model's name, a .ckpt or .safetensors file, a run's folder, or `last` for the newest "
            "run; for onnx-int8 also an exported .onnx.",
        ),
    ],
    output: OptionalOutput = None,
    format: Annotated[  # noqa: A002 - the option's name
        Format,
        Option(
            "--format",
            help="onnx: float32. onnx-float16: half the size, same speed. onnx-int8: a quarter of the size and about "
            "half the time on processors with VNNI; needs --data. executorch (.pte), litert (.tflite): for phones, "
            "each with the extra of its name.",
        ),
    ] = "onnx",
    data: Annotated[
        Path | None,
        Option(
            "--data",
            "-d",
            metavar="FOLDER",
            **IS_FOLDER,
            help="Frames to check the file on, labelled or not; for onnx-int8 also to calibrate on, best those that "
            "the model was trained on. Default: rendered ones, for a check.",
        ),
    ] = None,
) -> None:
    """Write a trained model as a file that predicts without PyTorch: ONNX, or for phones ExecuTorch or LiteRT.

    The file is kept only if its probabilities are those of the model: they may differ by 0.0001 (onnx), 0.001
    (executorch, litert), 0.01 (onnx-float16), or 0.05 on average (onnx-int8). Of a detector, whose file selects the
    boxes itself, 99.9% of the detections have to be the same (onnx), 95% (onnx-float16), or 80% nearly the same
    (onnx-int8).

    Without --output, the file is written next to the model, where prediction finds it: best.onnx for best.ckpt.
    """
    if output is None:
        from flipdetect.inference.load import INT8_SUFFIX
        from flipdetect.inference.onnx_model import SUFFIX
        from flipdetect.inference.resolve import resolve_model
        from flipdetect.zoo import FOLDER

        path = resolve_model(model)
        own = {"onnx": SUFFIX, "onnx-int8": INT8_SUFFIX}.get(format)
        if own is None or path.parent == FOLDER or path == path.with_suffix(own):
            what = "name the file to write; only onnx and onnx-int8 files of your own models have a name by default"
            raise typer.BadParameter(what, param_hint="--output")
        output = path.with_suffix(own)
    suffix = MOBILE[format][0] if format in MOBILE else ".onnx"
    if output.suffix.lower() != suffix:
        raise typer.BadParameter(f"the file's name has to end in {suffix}, got {output}", param_hint="--output")
    if format == "onnx-int8" and data is None:
        raise typer.BadParameter("onnx-int8 needs frames to calibrate on: give --data FOLDER", param_hint="--data")
    if format == "onnx-int8" and data is not None:
        _export_int8(model, output, data)
    elif format == "onnx-portable":
        from flipdetect.export.portable import export_portable
        from flipdetect.inference.onnx_model import load_onnx

        with _exported(model) as source:
            export_portable(load_onnx(source, 1), output)
        print(f"{output}: {output.stat().st_size:,} bytes")
    else:
        _export_trained(model, output, data, format)


def _export_trained(model: str, output: Path, data: Path | None, format: Format) -> None:  # noqa: A002
    """Export what PyTorch runs, and print how much it differs."""
    require_extra("train", "torch", "timm", "pytorch_lightning")
    if format in MOBILE:
        require_extra(format, *MOBILE[format][1])
    from flipdetect.inference.resolve import check_contents, resolve_model

    path = resolve_model(model)
    check_contents(path)
    with paused_collection(freeze=True):
        defer_torchmetrics()
        from flipdetect.export.onnx import LIMITS, Precision, export_checked
        from flipdetect.export.onnx_files import sample_frames
        from flipdetect.inference.detector import Detector
        from flipdetect.inference.torch_model import load_checkpoint, load_torch_model

    precision: Precision = "float16" if format == "onnx-float16" else "float32"
    trained = load_torch_model(path, "cpu") if format in MOBILE else load_checkpoint(path, "cpu")
    if data is not None:
        frames = sample_frames(data, trained.preprocess, CHECKED)
    else:
        import numpy as np

        from flipdetect.synth import SynthConfig, encode_frame, render_clip

        config = SynthConfig(seed=UNSEEN_SEED, sources=SOURCES, clips_per_source=2)
        clips = (render_clip(config, clip, TIMES) for clip in range(config.clips))
        frames = np.stack([trained.preprocess.load(encode_frame(frame)) for clip in clips for frame in clip])
    if isinstance(trained, Detector):
        from flipdetect.export.detector_onnx import export_detector_checked

        parity = export_detector_checked(trained, output, frames, precision=precision)
        print(f"{output}: {output.stat().st_size:,} bytes")
        print(f"the same detections on {parity.frames} pictures: {parity.same} of {parity.detections}")
        if not parity.detections:
            logger.warning(
                "nothing was found in them, so little was compared; give pictures with objects: --data FOLDER"
            )
        return
    if format in MOBILE:
        from flipdetect.export.mobile import LIMIT, export_mobile

        difference, limit = export_mobile(trained, output, frames, format), LIMIT
    else:
        difference, limit = export_checked(trained, output, frames, precision=precision), LIMITS[precision]
    print(f"{output}: {output.stat().st_size:,} bytes")
    print(
        f"largest difference of probability on {difference.frames} frames: {difference.largest:.2g} "
        f"({limit:g} is allowed); frames that change class: {difference.flipped}"
    )
    if difference.hands is not None:
        print(f"largest difference between maps of hands: {difference.hands:.2g}")


@contextmanager
def _exported(model: str) -> Iterator[Path]:
    """The model as an ONNX file; one that was not exported yet is, to a temporary file."""
    from flipdetect.inference.onnx_model import SUFFIX
    from flipdetect.inference.resolve import resolve_model
    from flipdetect.zoo import PRETRAINED

    source = resolve_model(model)
    if model in PRETRAINED:
        source = source.with_suffix(SUFFIX)
    with tempfile.TemporaryDirectory() as folder:
        if source.suffix != SUFFIX:
            require_extra("train", "torch", "timm", "pytorch_lightning")
            defer_torchmetrics()
            from flipdetect.inference.detector import Detector
            from flipdetect.inference.torch_model import load_checkpoint

            trained, target = load_checkpoint(source, "cpu"), Path(folder) / f"{source.stem}{SUFFIX}"
            if isinstance(trained, Detector):
                from flipdetect.export.detector_onnx import export_detector

                source = export_detector(trained, target)
            else:
                from flipdetect.export.onnx import export_onnx

                source = export_onnx(trained, target)
        yield source


def _export_int8(model: str, output: Path, data: Path) -> None:
    import numpy as np

    from flipdetect.errors import DataError
    from flipdetect.export.onnx_files import DetectionParity, sample_frames
    from flipdetect.export.quantize import quantize_checked
    from flipdetect.inference.onnx_model import load_exported

    with _exported(model) as source:
        whole = load_exported(source, 1)
        frames = sample_frames(data, whole.preprocess, CALIBRATED + CHECKED_INT8)
        if len(frames) < 2 * CHECKED_INT8:
            raise DataError(
                f"{len(frames)} readable frames in {data} are too few: {2 * CHECKED_INT8} are needed at least; give "
                "more of them"
            )
        checked = np.zeros(len(frames), np.bool_)
        checked[np.linspace(0, len(frames) - 1, CHECKED_INT8).round().astype(int)] = True
        logger.info("Calibrating on %d frames of %s", (~checked).sum(), data)
        found = quantize_checked(source, frames[~checked], frames[checked], output)
        before, after = source.stat().st_size, output.stat().st_size
    print(f"{output}: {after:,} bytes, {after / before:.2f} of the float32 file")
    if isinstance(found, DetectionParity):
        print(f"nearly the same detections on {found.frames} other pictures: {found.same} of {found.detections}")
    else:
        print(
            f"difference of probability on {found.frames} other frames: {found.mean:.2g} on average, "
            f"{found.largest:.2g} at most; frames that change class: {found.flipped}"
        )
