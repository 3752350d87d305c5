"""Several trainings as one study: each run once, found again when the study is repeated, and its figures collected.

The runs of a variation lie under `<study>/<name>-<fingerprint>/seed_<N>/version_<M>`. A run with `metrics.json` is
finished and is not repeated; an interrupted one goes on from its `last.ckpt`. A changed configuration has another
fingerprint and starts anew; a changed program does not: move the folder away to train again.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from flipdetect.atomic import write_text
from flipdetect.errors import ConfigError, ModelError
from flipdetect.evaluation.config_overrides import Config, Variation
from flipdetect.evaluation.evaluate import evaluate_folder
from flipdetect.evaluation.figures import ORACLE
from flipdetect.inference.torch_model import load_torch_model
from flipdetect.runs import BEST, LAST, newest_run
from flipdetect.tasks.fit import METRICS_FILE

logger = logging.getLogger(__name__)

Train = Callable[[list[str]], int]

INTERRUPTED = 130
RENDERED = ("val_f1", "test_f1", "val_auroc", "test_auroc")
"""Figures on the training set's own sides: of rendered books, if that is what is trained on."""
EXTERNAL = ("auroc", "f1", ORACLE)


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        variation: its name.
        seed: of weights, shuffling and augmentation; the split has its own.
        folder: where its checkpoint lies.
        figures: `val_f1` and its kin, and `<set>: auroc`, `f1`, `best_f1_oracle` for each further set.
    """

    variation: str
    seed: int
    folder: str
    figures: dict[str, float]


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds; `spread` is the highest less the lowest."""

    mean: float
    min: float
    max: float
    spread: float


def spread(values: Sequence[float]) -> Spread:
    """Mean, range and spread of at least one value; all NaN if a value is."""
    if any(math.isnan(value) for value in values):
        return Spread(math.nan, math.nan, math.nan, math.nan)
    low, high = min(values), max(values)
    return Spread(sum(values) / len(values), low, high, high - low)


def run_study(
    variations: Sequence[Variation],
    seeds: Sequence[int],
    study: Path,
    train: Train,
    sets: Sequence[Path] = (),
    device: str = "auto",
) -> Iterator[Run]:
    """Train every variation with every seed, unless that is done, and judge each; yields runs as they are finished.

    Args:
        variations: what to train.
        seeds: at least one.
        study: where the runs lie.
        train: `flipdetect.cli.train.main`: arguments to exit status.
        sets: further labelled folders to judge each best checkpoint on, at its own threshold.
        device: that they are judged on.

    Raises:
        ModelError: if a training fails.
        KeyboardInterrupt: if one is interrupted.
        FlipdetectError: if a further set cannot be used.
    """
    names = _set_names(sets)
    for variation in variations:
        for seed in seeds:
            folder = finished_run(variation, seed, study) or _train(variation, seed, study, train)
            values = json.loads((folder / METRICS_FILE).read_text(encoding="utf-8"))
            figures = {name: float(values.get(name, math.nan)) for name in RENDERED}
            bundle = load_torch_model(folder / BEST, device) if sets else None
            for name, path in zip(names, sets, strict=True):
                assert bundle is not None
                metrics = evaluate_folder(bundle, path).metrics
                figures |= {f"{name}: {figure}": metrics[figure] for figure in EXTERNAL}
            yield Run(variation.name, seed, str(folder), figures)


def finished_run(variation: Variation, seed: int, study: Path) -> Path | None:
    """The folder of a run that reached its figures; None if there is none."""
    return newest_run(_folder(variation, study) / f"seed_{seed}", METRICS_FILE)


def runs_as_dict(runs: Sequence[Run]) -> dict[str, Any]:
    """All runs, and mean, range and spread of each figure by variation, as JSON types."""
    names = list(dict.fromkeys(run.variation for run in runs))
    return {
        "runs": [asdict(run) for run in runs],
        "summary": {
            name: {figure: asdict(found) for figure, found in summary(runs, name).items()} for name in names
        },
    }  # fmt: skip


def summary(runs: Sequence[Run], variation: str) -> dict[str, Spread]:
    """Spread of each figure over a variation's seeds."""
    own = [run for run in runs if run.variation == variation]
    return {figure: spread([run.figures[figure] for run in own]) for figure in own[0].figures}


def _train(variation: Variation, seed: int, study: Path, train: Train) -> Path:
    folder = _folder(variation, study)
    name = f"seed_{seed}"
    path = folder / f"{name}.yaml"
    config = _into_folder(variation.config, folder, name)
    write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    arguments = ["--config", str(path), f"--seed_everything={seed}", *variation.arguments()]
    if newest_run(folder / name, LAST) is not None:
        arguments.append("--ckpt_path=last")
    logger.info("Training %s with seed %d: %s", variation.name, seed, " ".join(arguments))
    with redirect_stdout(sys.stderr):
        status = train(arguments)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    found = finished_run(variation, seed, study)
    if status or found is None:
        raise ModelError(
            f"training {variation.name!r} with seed {seed} left no {METRICS_FILE} (exit status {status}); "
            f"run it alone to see why: python train.py {' '.join(arguments)}"
        )
    return found


def _folder(variation: Variation, study: Path) -> Path:
    return study / variation.folder


def _into_folder(config: Config, folder: Path, name: str) -> Config:
    """A copy whose loggers, and with them its checkpoints, write below the study's folder.

    Raises:
        ConfigError: if no logger has a folder.
    """
    changed = copy.deepcopy(config)
    listed = (changed.get("trainer") or {}).get("logger")
    loggers = listed if isinstance(listed, list) else [listed]
    foldered = [log for log in loggers if isinstance(log, dict) and "save_dir" in (log.get("init_args") or {})]
    if not foldered:
        raise ConfigError("the configuration has no trainer.logger with a save_dir, so that its runs have no folder")
    for log in foldered:
        log["init_args"] |= {"save_dir": str(folder), "name": name, "version": None}
    return changed


def _set_names(sets: Sequence[Path]) -> list[str]:
    """The folders' own names, or the whole paths where those are not distinct."""
    names = [path.resolve().name for path in sets]
    return names if len(set(names)) == len(names) else [str(path) for path in sets]
