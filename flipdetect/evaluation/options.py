"""The arguments that all commands share which judge models: which models, which labelled frames, where."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flipdetect.runs import BEST, LAST
from flipdetect.zoo import SHIPPED, shipped_path

if TYPE_CHECKING:
    from flipdetect.inference.torch_model import TorchModel

SIDES = ("train", "val", "test")


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--checkpoint-path`, `--model` and `--device`; `named_models` reads them."""
    parser.add_argument("--checkpoint-path", type=Path, nargs="+", default=[], help="one or more best.ckpt")
    parser.add_argument(
        "--model", nargs="+", default=[], choices=tuple(SHIPPED), help="models that ship with flipdetect, by name"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def add_set_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """Add `--folder-path` and what describes or narrows the set; `selection` reads all but the folders."""
    parser.add_argument(
        "--folder-path", type=Path, nargs="+", required=required, default=[], help="labelled sets, each judged apart"
    )
    parser.add_argument("--manifest", type=Path, help="CSV path,label,video,frame,source that describes the set")
    parser.add_argument("--split", choices=SIDES, help="judge only this side of a split")
    parser.add_argument(
        "--split-file", type=Path, help="the split's splits.csv; default: the one beside the checkpoint"
    )


def parse(parser: argparse.ArgumentParser, args: Any) -> argparse.Namespace:
    """Parse, and leave with status 2 if no model is named."""
    options = parser.parse_args(args)
    if not (options.checkpoint_path or options.model):
        parser.error("name a model: --checkpoint-path best.ckpt, or --model with the name of a shipped one")
    return options


def named_models(options: argparse.Namespace) -> dict[str, Path]:
    """File of each model that was asked for, by the name that tables give it.

    Raises:
        ModelError: if a shipped model is not known.
    """
    return {str(path): path for path in options.checkpoint_path} | {name: shipped_path(name) for name in options.model}


def load_models(options: argparse.Namespace) -> dict[str, TorchModel]:
    """The models that were asked for, by name.

    Raises:
        ModelError: if one cannot be loaded.
    """
    from flipdetect.inference.torch_model import load_torch_model

    return {name: load_torch_model(path, options.device) for name, path in named_models(options).items()}


def selection(options: argparse.Namespace, model: Path) -> dict[str, Any]:
    """Manifest, side and split file as keyword arguments of `select_frames` and `evaluate_folder`."""
    split_file = options.split_file
    if options.split is not None and split_file is None:
        from flipdetect.evaluation.selection import SPLIT_FILE

        split_file = model.with_name(SPLIT_FILE)
    return {"manifest": options.manifest, "side": options.split, "split_file": split_file}


def add_validation_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--validation-path` and `--validation-split-file`; `validation_choice` reads them."""
    parser.add_argument(
        "--validation-path",
        type=Path,
        metavar="FOLDER",
        help="labelled clips to choose thresholds on; with --split they are the val side of the judged folder instead",
    )
    parser.add_argument(
        "--validation-split-file",
        type=Path,
        metavar="CSV",
        help="only the val side of --validation-path, by this split",
    )


def validation_choice(options: argparse.Namespace, folder: Path, split_file: Path | None) -> dict[str, Any] | None:
    """Where thresholds are to be chosen, as keyword arguments of `select_frames` and `evaluate_folder`; None: nowhere.

    Args:
        options: as parsed.
        folder: the set that is judged.
        split_file: of the split whose side is judged, if one is.
    """
    if options.validation_path is not None:
        side = None if options.validation_split_file is None else "val"
        return {"root": options.validation_path, "side": side, "split_file": options.validation_split_file}
    if options.split is None:
        return None
    return {"root": folder, "manifest": options.manifest, "side": "val", "split_file": split_file}


def short_model_name(name: str) -> str:
    """A name for a picture's title: `logs/tiny_cnn/version_0/best.ckpt` is `tiny_cnn/version_0`."""
    path = Path(name)
    if path.name in (BEST, LAST):
        return "/".join(path.parts[-3:-1]) or name
    return path.stem if path.suffix else name


def set_name(folder: Path, side: str | None) -> str:
    """A name for a picture's title: the folder's own, and the side of the split."""
    name = folder.resolve().name or str(folder)
    return f"{name}, {side} side" if side else name
