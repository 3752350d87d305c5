"""Options that several commands share, typed and described once.

A command takes one with its own default, and adds nothing: `def predict(model: Model = None, ...)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

IS_FILE: dict[str, Any] = {"exists": True, "dir_okay": False}
IS_FOLDER: dict[str, Any] = {"exists": True, "file_okay": False}
"""Of an option that names what is read: it is refused if it is not there."""


def check_models(names: str | Iterable[str] | None) -> Any:
    """Refuse the name or path of a model that is not there."""
    from flipdetect.errors import ModelError
    from flipdetect.inference.resolve import resolve_model

    for name in [names] if isinstance(names, str) else names or ():
        try:
            resolve_model(name)
        except ModelError as error:
            raise typer.BadParameter(str(error)) from error
    return names


class DeviceName(StrEnum):
    """Where a model runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class EngineName(StrEnum):
    """What runs a model."""

    AUTO = "auto"
    TORCH = "torch"
    ONNX = "onnx"


Model = Annotated[
    str | None,
    Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        callback=check_models,
        help="A pretrained model's name, a .ckpt, .onnx or .safetensors file, a run's folder, or `last` for the newest "
        "run. Default: the pretrained ensemble.",
    ),
]
Models = Annotated[
    list[str] | None,
    Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        callback=check_models,
        help="As --model of predict; may be given several times.",
    ),
]
Data = Annotated[
    Path,
    Option(
        "--data",
        "-d",
        metavar="FOLDER",
        **IS_FOLDER,
        help="Labelled frames: flip/ and notflip/, training/ and testing/ with these, or a folder with labels.csv.",
    ),
]
Manifest = Annotated[
    Path | None,
    Option(
        "--manifest", metavar="CSV", **IS_FILE, help="Table path,label,video,frame,source that describes the data set."
    ),
]
OptionalOutput = Annotated[
    Path | None, Option("--output", "-o", metavar="PATH", help="File or folder to write. Default: none.")
]
Threshold = Annotated[
    float | None,
    Option(
        "--threshold", min=0, max=1, help="Probability from which a frame counts as a flip. Default: the model's own."
    ),
]
BatchSize = Annotated[
    int | None,
    Option("--batch-size", min=1, max=65536, help="Frames scored at a time. Default: what suits the engine."),
]
Device = Annotated[DeviceName, Option("--device", help="auto: a GPU if there is one and PyTorch runs the model.")]
Engine = Annotated[
    EngineName,
    Option("--engine", help="auto: ONNX Runtime for .onnx files and pretrained models, PyTorch for checkpoints."),
]
Config = Annotated[
    list[str],
    Option(
        "--config",
        "-c",
        metavar="NAME|PATH",
        help="A training configuration: a file, or the name of one that comes with the package, such as mobilenet. "
        "Later ones override earlier ones.",
    ),
]
Override = Annotated[
    list[str] | None,
    Option(
        "--override", metavar="KEY=VALUE", help="A value of the configuration, e.g. trainer.max_epochs=5; repeatable."
    ),
]
Seed = Annotated[int, Option("--seed", min=0, help="Seed of everything random.")]
Json = Annotated[Path | None, Option("--json", metavar="FILE", help="Also write the results as JSON.")]
Resume = Annotated[bool, Option("--resume", help="Continue an interrupted run of the same command.")]
PositiveClass = Annotated[str, Option("--positive", metavar="NAME", help="The positive class and its folder.")]
NamePatternText = Annotated[
    str | None,
    Option(
        "--name-pattern",
        metavar="REGEX",
        help="Regular expression for file names, with the groups video, frame, label, source.",
    ),
]
OneFilm = Annotated[
    bool, Option("--one-film", help="All frames are of one film: contiguous blocks of it count as videos.")
]
NegativeClass = Annotated[str, Option("--negative", metavar="NAME", help="The other class and its folder.")]
