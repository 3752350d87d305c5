"""Options that several commands share, typed and described once.

A command takes one with its own default, and adds nothing: `def predict(model: Model = None, ...)`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


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
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|PATH",
        help="A pretrained model's name, a .ckpt, .onnx or .safetensors file, a run's folder, or `last` for the newest "
        "run. Default: the pretrained ensemble.",
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", metavar="NAME|PATH", help="As --model of predict; may be given several times."),
]
Data = Annotated[
    Path,
    typer.Option(
        "--data",
        "-d",
        metavar="FOLDER",
        help="Labelled frames: flip/ and notflip/, training/ and testing/ with these, or a folder with labels.csv.",
    ),
]
Manifest = Annotated[
    Path | None,
    typer.Option("--manifest", metavar="CSV", help="Table path,label,video,frame,source that describes the data set."),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="PATH", help="File or folder to write.")]
OptionalOutput = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="PATH", help="File or folder to write. Default: none.")
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold", min=0, max=1, help="Probability from which a frame counts as a flip. Default: the model's own."
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, max=65536, help="Frames scored at a time. Default: what suits the engine."),
]
Device = Annotated[DeviceName, typer.Option("--device", help="auto: a GPU if there is one and PyTorch runs the model.")]
Engine = Annotated[
    EngineName,
    typer.Option("--engine", help="auto: ONNX Runtime for .onnx files and pretrained models, PyTorch for checkpoints."),
]
Config = Annotated[
    list[str],
    typer.Option(
        "--config",
        "-c",
        metavar="NAME|PATH",
        help="A training configuration: a file, or the name of one that comes with the package, such as mobilenet. "
        "Later ones override earlier ones.",
    ),
]
Override = Annotated[
    list[str] | None,
    typer.Option(
        "--override", metavar="KEY=VALUE", help="A value of the configuration, e.g. trainer.max_epochs=5; repeatable."
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Also write the results as JSON.")]
Resume = Annotated[bool, typer.Option("--resume", help="Continue an interrupted run of the same command.")]
PositiveClass = Annotated[str, typer.Option("--positive", metavar="NAME", help="The positive class and its folder.")]
NamePatternText = Annotated[
    str | None,
    typer.Option(
        "--name-pattern",
        metavar="REGEX",
        help="Regular expression for file names, with the groups video, frame, label, source.",
    ),
]
OneFilm = Annotated[
    bool, typer.Option("--one-film", help="All frames are of one film: contiguous blocks of it count as videos.")
]
NegativeClass = Annotated[str, typer.Option("--negative", metavar="NAME", help="The other class and its folder.")]
