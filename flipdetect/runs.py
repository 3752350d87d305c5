"""What a training run leaves on disk: `<logs>/<name>/version_<N>/best.ckpt`, and how the newest is found."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from flipdetect.errors import DataError, ModelError

CHECKPOINT_KEY = "flipdetect"
"""Under this key a checkpoint holds what prediction needs besides weights."""
CHECKPOINT_VERSION = 2
"""Raised when the meaning of what is stored under the key changes."""
KIND_KEY, DETECTION = "kind", "detection"
"""What is stored says `kind: detection` if the model is a detector; classifiers, which are older, say nothing."""
NO_TEMPERATURE = 1.0
"""Of models that were not calibrated, and of those made before any were: their logits are taken as they are."""

BEST = "best.ckpt"
LAST = "last.ckpt"
FILES = ("config.yaml", "metrics.json", "metrics.csv", "splits.csv", "provenance.json", "unusable.csv")
"""What a run leaves besides checkpoints, pictures and reports."""

_VERSION = re.compile(r"version_(\d+)$")


def stored_temperature(facts: Mapping[str, Any]) -> float:
    """The temperature that the logits of a stored model are divided by.

    Raises:
        ValueError: if it is not a finite number above 0.
    """
    temperature = float(facts.get("temperature", NO_TEMPERATURE))
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"its temperature is {temperature}, and must be a finite number above 0")
    return temperature


def newest_run(folder: Path, file: str) -> Path | None:
    """The run under `<logs>/<name>` with the highest number that holds a file of that name; None if none does."""
    return max(((n, run) for n, run in _versions(folder) if (run / file).is_file()), default=(0, None))[1]


def version_of(run: Path) -> int | None:
    """The number of a run's folder; None if it is not named like one."""
    match = _VERSION.match(run.name)
    return int(match[1]) if match else None


def best_checkpoints(logs: Path) -> list[Path]:
    """The best checkpoint of each run under a folder, the one that was written last first."""
    found = [(path.stat().st_mtime_ns, path) for path in logs.glob(f"**/{BEST}") if path.is_file()]
    return [path for _, path in sorted(found, reverse=True)]


def run_files(run: Path) -> list[tuple[Path, str]]:
    """The files of a run that describe it, each with the folder for it where runs are tracked: not the checkpoints."""
    pages = [path.parent for path in sorted(run.glob("*/index.html"))]
    return [
        *((run / name, "run") for name in FILES if (run / name).is_file()),
        *((path, "pictures") for path in sorted(run.glob("*.png"))),
        *(
            (path, path.parent.relative_to(run).as_posix())
            for page in pages
            for path in sorted(page.rglob("*"))
            if path.is_file()
        ),
    ]


def _versions(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    return [(n, run) for run in folder.iterdir() if run.is_dir() and (n := version_of(run)) is not None]


def run_to_resume(folder: Path, ckpt_path: str | None) -> str | None:
    """The checkpoint that `--ckpt_path` means; "last" is the newest `last.ckpt` under `<logs>/<name>`.

    Raises:
        ModelError: if there is no such checkpoint.
    """
    if ckpt_path is None:
        return None
    if ckpt_path == "last":
        run = newest_run(folder, LAST)
        if run is None:
            raise ModelError(f"nothing to resume: no {LAST} lies under {folder}/; start without --ckpt_path")
        return str(run / LAST)
    if not Path(ckpt_path).is_file():
        raise ModelError(f"--ckpt_path is no file: {ckpt_path}; give a checkpoint's path, or last")
    return ckpt_path


def version_for(folder: Path, ckpt_path: str | None) -> int:
    """The number of the run's folder: that of the run being resumed, else one above the highest, 0 for the first."""
    if ckpt_path is not None:
        run = Path(ckpt_path).resolve().parent
        number = version_of(run)
        if number is not None and run.parent == folder.resolve():
            return number
    return max((number for number, _ in _versions(folder)), default=-1) + 1


class ClaimedRun:
    """The folder of a run while this process trains in it: no other process gets it.

    Args:
        ckpt_path: of the run to resume, whose folder is used again if it lies under `folder`.
        version: number or name of the run, if it is given; its folder may exist.

    Attributes:
        path: `<logs>/<name>/version_<N>`, or of the name that is given.

    Raises:
        DataError: if another process trains in the folder.
        OSError: if it cannot be created.
    """

    def __init__(self, folder: Path, ckpt_path: str | None = None, version: object = None) -> None:
        from filelock import FileLock, Timeout  # installed for training alone

        number = version_for(folder, ckpt_path) if version is None else version
        self.path = folder / (number if isinstance(number, str) else f"version_{number}")  # as the loggers name it
        existing = version is not None or (ckpt_path is not None and self.path.is_dir())
        self._made = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        while not existing:
            try:
                self.path.mkdir()
                self._made.insert(0, self.path)
                break
            except FileExistsError:  # another process was faster
                number = int(str(number)) + 1
                self.path = folder / f"version_{number}"
        self.path.mkdir(exist_ok=True)
        self._lock = FileLock(self.path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise DataError(
                f"another process is training in {self.path}: wait until it has ended, or start a run of its own "
                "without --ckpt_path"
            ) from error
        for part in self.path.glob(".*.part"):  # of a process that was killed
            part.unlink(missing_ok=True)

    def release(self, *, discard: bool = False) -> None:
        """Let others use the folder; discard: remove it, if it was created here."""
        self._lock.release()
        if discard and self.path in self._made:
            shutil.rmtree(self.path, ignore_errors=True)
            for parent in self._made[1:]:
                with suppress(OSError):  # it holds other runs
                    parent.rmdir()
