"""One split for several models: made once, found again, and unseen by what was trained elsewhere."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.split_file import write_split
from flipdetect.data.splits import split_records
from flipdetect.errors import DataError
from flipdetect.evaluation.selection import SPLIT_FILE
from flipdetect.evaluation.study import labelled_index
from flipdetect.sources.folder import name_below

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SharedSplit:
    """A labelled set and its split.

    Attributes:
        root: folder of the set.
        path: the split file.
        manifest: CSV that describes the set; None for its folders.
    """

    root: Path
    path: Path
    manifest: Path | None = None

    def settings(self) -> dict[str, Any]:
        """What makes a training use it: dotted names and values."""
        named = {"data.root": str(self.root), "data.split_file": str(self.path)}
        return named if self.manifest is None else named | {"data.manifest": str(self.manifest)}


def given_split(root: Path, path: Path, manifest: Path | None = None) -> SharedSplit:
    """A split that exists.

    Raises:
        DataError: if it does not.
    """
    if not path.is_file():
        raise DataError(f"there is no split file {path}; name the {SPLIT_FILE} of a training run with --split-file")
    return SharedSplit(root, path, manifest)


def own_split(data: FrameDataModule, folder: Path) -> SharedSplit:
    """The split that a data module would train with, as a file; the same one each time.

    Args:
        data: as configured.
        folder: where the file is written, under a name that follows from the frames and the settings.

    Raises:
        DataError: if the frames cannot be split, or the split has no test side.
    """
    index = labelled_index(data)
    if data.split_file is not None:
        return given_split(data.root, data.split_file, data.manifest)
    settings = {
        "val_fraction": data.val_fraction,
        "test_fraction": data.test_fraction,
        "group_by": data.group_by,
        "seed": data.split_seed,
        "use_supplied_test": data.use_supplied_test,
    }
    content = [
        [name_below(record.path, index.root), record.label, record.video, record.source] for record in index.records
    ]
    digest = hashlib.sha256(json.dumps([settings, content]).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    path = folder / f"splits-{digest}.csv"
    if not path.is_file():
        split = split_records(index.records, classes=data.classes, **settings)  # type: ignore[arg-type]
        if not split.test:
            raise DataError("the split has no test side to compare models on; set data.test_fraction above 0")
        write_split(split, path, index.root)
    return SharedSplit(data.root, path, data.manifest)


def check_unseen(model: Path, shared: SharedSplit) -> None:
    """Make sure that a trained model has not seen the test side, as far as the split beside it tells.

    Raises:
        DataError: if it has.
    """
    beside = model.with_name(SPLIT_FILE)
    if not beside.is_file():
        logger.warning("%s has no %s beside it: whether it has seen the test frames is unknown", model, SPLIT_FILE)
        return
    tested = {path for path, side in _sides(shared.path) if side == "test"}
    seen = [path for path, side in _sides(beside) if side != "test" and path in tested]
    if seen:
        raise DataError(
            f"{model} was trained or chosen on {len(seen):,} of the {len(tested):,} test frames (such as {seen[0]}); "
            f"compare on its own split with --split-file {beside}, or train it anew with --configs"
        )


def _sides(path: Path) -> list[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return [(row["path"], row["split"]) for row in csv.DictReader(file)]
    except (OSError, KeyError, csv.Error) as error:
        raise DataError(f"the split file {path} cannot be read: {error!r}") from error
