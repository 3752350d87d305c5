"""Cross-validation: every video is judged by a model that has seen neither it nor, by source, its book.

Everything lies in one folder: `plan.json` and the folds' `splits/fold_00.csv`, made once and never changed; each fold's
training, and of each finished fold `fold_00.json` with its figures and `fold_00.csv` with its frames' scores. Folds
share no file that is written, so that they can run side by side; whoever trains a fold holds a lock on it, which the
system lets go of when that process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flipdetect.atomic import write_text
from flipdetect.data.index import FrameIndex
from flipdetect.data.split_file import write_split
from flipdetect.data.splits import GroupBy, Split, kfold_records, leave_one_out_records
from flipdetect.errors import ConfigError, DataError
from flipdetect.evaluation.config_overrides import Variation
from flipdetect.evaluation.evaluate import evaluate_folder
from flipdetect.evaluation.tables import write_json, write_predictions
from flipdetect.evaluation.trainings import run_study
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.records import ClassNames
from flipdetect.runs import BEST
from flipdetect.sources.folder import name_below
from flipdetect.tasks.fit import METRICS_FILE

logger = logging.getLogger(__name__)

PLAN = "plan.json"
SPLITS = "splits"


@dataclass(frozen=True)
class Plan:
    """What a cross-validation consists of.

    Attributes:
        name: of the model.
        root: folder of the labelled set.
        classes: names of the two classes.
        names: of the folds, in order: "fold 1" and so on, or the source that is left out.
        group_by: what stays together.
        split_seed: of the folds.
        seed: of each training.
        training: fingerprint of configuration and overrides.
        frames: fingerprint of the set's frames, their labels and their folds.
    """

    name: str
    root: str
    classes: ClassNames
    names: tuple[str, ...]
    group_by: GroupBy
    split_seed: int
    seed: int
    training: str
    frames: str


def make_splits(
    index: FrameIndex,
    classes: ClassNames,
    *,
    folds: int | None,
    group_by: GroupBy | None,
    val_fraction: float = 0.15,
    seed: int = 0,
) -> tuple[GroupBy, list[tuple[str, Split]]]:
    """The folds' names and splits, and what stays together.

    Args:
        index: the labelled set.
        classes: names of the two classes.
        folds: how many; None leaves one source out at a time.
        group_by: what stays together; None takes the source if every frame has one, else the video.
        val_fraction: share of a fold's remaining frames that its epoch, threshold and temperature are chosen on.
        seed: of the folds.

    Raises:
        ConfigError, DataError: if there cannot be such folds.
    """
    if folds is None:
        splits = leave_one_out_records(index.records, classes=classes, val_fraction=val_fraction, seed=seed)
        return "source", list(splits.items())
    if group_by is None:
        group_by = "source" if all(record.source for record in index.records) else "video"
        logger.info("Folds by %s; --group-by decides otherwise.", group_by)
    made = kfold_records(index.records, folds, classes=classes, val_fraction=val_fraction, group_by=group_by, seed=seed)
    return group_by, [(f"fold {number}", split) for number, split in enumerate(made, start=1)]


def settle_plan(
    folder: Path, variation: Variation, index: FrameIndex, group_by: GroupBy, splits: Sequence[tuple[str, Split]],
    *, split_seed: int, seed: int,
) -> Plan:  # fmt: skip
    """Write the plan and its splits, or find them as they are.

    Args:
        folder: of the cross-validation.
        variation: what is trained.
        index: the labelled set.
        group_by: what stays together.
        splits: by name of the fold.
        split_seed: of the folds.
        seed: of the trainings.

    Raises:
        ConfigError: if the folder holds another plan.
        OSError: if a file cannot be written.
    """
    frames = [
        [name_below(record.path, index.root), record.label, *(split.sides[place] for _, split in splits)]
        for place, record in enumerate(index.records)
    ]
    plan = Plan(
        variation.name, str(index.root), splits[0][1].classes, tuple(name for name, _ in splits), group_by, split_seed,
        seed, variation.folder.rpartition("-")[2], hashlib.sha256(json.dumps(frames).encode()).hexdigest()[:16],
    )  # fmt: skip
    path = folder / PLAN
    if path.is_file():
        found = read_plan(folder)
        if found != plan:
            own, other = asdict(plan), asdict(found)
            changed = ", ".join(key for key in own if own[key] != other[key])
            raise ConfigError(
                f"{folder} holds another cross-validation ({changed} changed); give another --output, or move it away"
            )
        return found
    for fold, (_, split) in enumerate(splits):
        write_split(split, split_path(folder, fold), index.root)
    write_text(path, json.dumps(asdict(plan), indent=2, ensure_ascii=False) + "\n")  # last: it says that all is there
    return plan


def read_plan(folder: Path) -> Plan:
    """The plan of a folder.

    Raises:
        DataError: if there is none, or it cannot be read.
    """
    path = folder / PLAN
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        classes, names = ClassNames(**values.pop("classes")), tuple(values.pop("names"))
        return Plan(classes=classes, names=names, **values)
    except OSError as error:
        raise DataError(f"{folder} holds no cross-validation ({error}); start one without --gather") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def split_path(folder: Path, fold: int) -> Path:
    """Where a fold's split lies."""
    return folder / SPLITS / f"fold_{fold:02d}.csv"


def result_path(folder: Path, fold: int) -> Path:
    """Where the figures of a finished fold lie; its frames' scores have the suffix `.csv`."""
    return folder / f"fold_{fold:02d}.json"


def run_folds(
    folder: Path,
    plan: Plan,
    variation: Variation,
    chosen: Sequence[int],
    train: Callable[[list[str]], int],
    device: str = "auto",
) -> Iterator[int]:
    """Train and judge folds, unless that is done or another process is at it; yields the number of each finished one.

    Args:
        folder: of the cross-validation.
        plan: as settled.
        variation: what is trained.
        chosen: numbers of the folds, from 0.
        train: `flipdetect.cli.train.main`: arguments to exit status.
        device: that folds are judged on.

    Raises:
        ModelError: if a training fails.
        KeyboardInterrupt: if one is interrupted.
    """
    for fold in chosen:
        with _held(folder / f".fold_{fold:02d}.lock") as is_ours:
            if not is_ours:
                logger.info("Fold %d (%s) is being trained by another process", fold, plan.names[fold])
                continue
            if not result_path(folder, fold).is_file():
                _run_fold(folder, plan, variation, fold, train, device)
        yield fold


def _run_fold(
    folder: Path, plan: Plan, variation: Variation, fold: int, train: Callable[[list[str]], int], device: str
) -> None:
    split_file = split_path(folder, fold)
    own = Variation(f"fold_{fold:02d}", variation.config, {**variation.overrides, "data.split_file": str(split_file)})
    (run,) = run_study([own], [plan.seed], folder, train)
    bundle = load_torch_model(Path(run.folder) / BEST, device)
    evaluation = evaluate_folder(bundle, Path(plan.root), side="test", split_file=split_file, manifest=_manifest(own))
    write_predictions(result_path(folder, fold).with_suffix(".csv"), [(plan.name, plan.root, evaluation)])
    metrics = json.loads((Path(run.folder) / METRICS_FILE).read_text(encoding="utf-8"))
    result: dict[str, Any] = {
        "fold": fold,
        "name": plan.names[fold],
        "frames": len(evaluation.judged),
        "videos": evaluation.videos,
        "sources": len({pair.record.source for pair in evaluation.judged}),
        "threshold": evaluation.threshold,
        "temperature": bundle.temperature,
        "figures": evaluation.metrics,
        "epochs": metrics.get("epochs"),
        "fit_seconds": metrics.get("fit_seconds"),
        "run": run.folder,
    }
    write_json(result_path(folder, fold), result)  # last: it says that the fold is finished


def _manifest(variation: Variation) -> Path | None:
    named = variation.overrides.get("data.manifest", (variation.config.get("data") or {}).get("manifest"))
    return Path(named).expanduser() if named else None


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether this process has the lock; it is let go at the end, and if the process dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
