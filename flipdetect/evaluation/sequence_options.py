"""Where commands that judge clips choose their thresholds: on a validation side, apart from what is judged."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


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
