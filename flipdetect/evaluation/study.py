"""Several trainings as one study: each runs once, is found again when repeated, and continues after Ctrl-C.

A training lies under `<study>/<name>-<fingerprint>/version_<N>`. One with `metrics.json` is finished and is not
repeated; an interrupted one continues from its `last.ckpt`. Another configuration has another fingerprint, and starts
from scratch. Another version of the program does not: delete the folder to train again.
"""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from flipdetect.atomic import write_text
from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.grouped_splits import split_records
from flipdetect.data.index import FrameIndex, index_frames
from flipdetect.data.splits import write_split
from flipdetect.errors import ConfigError, DataError, FlipdetectError, ModelError
from flipdetect.runs import LAST, newest_run
from flipdetect.sources.folder import name_below
from flipdetect.tasks.fit import METRICS_FILE

logger = logging.getLogger(__name__)

Config = dict[str, Any]
"""A complete configuration of `train.py`, as `--print_config` shows it."""
Train = Callable[[list[str]], int]
"""`flipdetect.cli.train.main`: arguments to exit status."""

INTERRUPTED = 130


@dataclass(frozen=True)
class Training:
    """One training of a study: its name, as tables show it, and its complete configuration."""

    name: str
    config: Config

    @property
    def fingerprint(self) -> str:
        """Of the configuration: 8 hexadecimal digits."""
        content = json.dumps(self.config, sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()[:8]

    @property
    def folder(self) -> str:
        """The name of its folder in the study."""
        slug = re.sub(r"[^A-Za-z0-9_]+", "_", self.name).strip("_") or "training"
        return f"{slug}-{self.fingerprint}"


def config_keys(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted names of all values of a configuration that are not mappings."""
    keys = []
    for key, value in config.items():
        nested = isinstance(value, Mapping) and value
        keys += config_keys(value, f"{prefix}{key}.") if nested else [f"{prefix}{key}"]
    return keys


def full_key(key: str, config: Config) -> str:
    """The dotted name of a value; `model.lr` is short for `model.init_args.lr`, as on `train.py`'s command line."""
    known = config_keys(config)
    first, _, rest = key.partition(".")
    for candidate in (key, f"{first}.init_args.{rest}"):
        if candidate in known:
            return candidate
    near = difflib.get_close_matches(key, known, n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ConfigError(f"the configuration has no value {key}{hint} `train.py --print_config` shows all values")


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of a configuration with other values, by dotted name."""
    changed = copy.deepcopy(config)
    for name, value in values.items():
        *folders, last = name.split(".")
        place = changed
        for folder in folders:
            place = place[folder]
        place[last] = value
    return changed


def with_loggers(config: Config, save_dir: Path, name: str) -> Config:
    """A copy whose loggers, and with them its checkpoints, write to `<save_dir>/<name>/version_<N>`."""
    changed = copy.deepcopy(config)
    listed = (changed.get("trainer") or {}).get("logger")
    loggers = listed if isinstance(listed, list) else [listed]
    foldered = [log for log in loggers if isinstance(log, dict) and "save_dir" in (log.get("init_args") or {})]
    if not foldered:
        raise ConfigError("the configuration has no trainer.logger with a save_dir, so its runs have no folder")
    for log in foldered:
        log["init_args"] |= {"save_dir": str(save_dir), "name": name, "version": None}
    changed["ckpt_path"] = None
    return changed


def run_training(training: Training, study: Path, train: Train) -> Path:
    """Train, unless that is done; returns the folder of the run, which holds `best.ckpt` and `metrics.json`.

    Raises:
        ModelError: if the training fails.
        KeyboardInterrupt: if it is interrupted.
    """
    folder = study / training.folder
    if (found := newest_run(folder, METRICS_FILE)) is not None:
        return found
    path = folder / "config.yaml"
    config = with_loggers(training.config, study, training.folder)
    write_text(path, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    arguments = ["--config", str(path)]
    if newest_run(folder, LAST) is not None:
        arguments.append("--ckpt_path=last")
    logger.info("Training %s: python train.py %s", training.name, " ".join(arguments))
    with redirect_stdout(sys.stderr):
        status = train(arguments)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    found = newest_run(folder, METRICS_FILE)
    if status or found is None:
        raise ModelError(
            f"training {training.name!r} left no {METRICS_FILE} (exit status {status}); "
            f"run it alone to see why: python train.py {' '.join(arguments)}"
        )
    return found


def run_metrics(run: Path) -> dict[str, Any]:
    """The metrics of a finished run."""
    metrics: dict[str, Any] = json.loads((run / METRICS_FILE).read_text(encoding="utf-8"))
    return metrics


def training_data(config: Config) -> FrameDataModule:
    """The data module of a complete configuration, without augmentation; a `ConfigError` if a value cannot work."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(FrameDataModule, "data")
    try:
        parsed = parser.parse_object({"data": {**config["data"], "augment": None}})
        data: FrameDataModule = parser.instantiate_classes(parsed).data
    except FlipdetectError:
        raise
    except Exception as error:  # jsonargparse's errors have no base class in common with those of the classes it builds
        raise ConfigError(f"the configuration's `data` cannot be used: {error}") from error
    return data


def labelled_index(data: FrameDataModule) -> FrameIndex:
    """The frames of a data module's folder; the embedded data set is rendered if it is configured and absent."""
    if data.embedded is not None:
        data.embedded.ensure(data.root)
    index = index_frames(data.root, classes=data.classes, pattern=data.naming, manifest=data.manifest, check=False)
    logger.info("%s", index.summary())
    return index


class SharedSplit(NamedTuple):
    """A labelled data set and the split that all models are compared on; `manifest` is a CSV that describes it."""

    root: Path
    path: Path
    manifest: Path | None = None

    def values(self) -> dict[str, Any]:
        """Dotted names and values of a configuration that uses it."""
        named = {"data.root": str(self.root), "data.split_file": str(self.path)}
        return named if self.manifest is None else named | {"data.manifest": str(self.manifest)}


def shared_split(data: FrameDataModule, folder: Path) -> SharedSplit:
    """The split that a data module would train with, as a file; the same one each time.

    Raises:
        DataError: if the frames cannot be split, or the split has no test frames.
    """
    index = labelled_index(data)
    if data.split_file is not None:
        return SharedSplit(data.root, data.split_file, data.manifest)
    settings = {
        "val_fraction": data.val_fraction,
        "test_fraction": data.test_fraction,
        "group_by": data.group_by,
        "seed": data.split_seed,
        "use_supplied_test": data.use_supplied_test,
    }
    content = [[name_below(r.path, index.root), r.label, r.video, r.source] for r in index.records]
    digest = hashlib.sha256(json.dumps([settings, content]).encode("utf-8", "surrogateescape")).hexdigest()[:8]
    path = folder / f"splits-{digest}.csv"
    if not path.is_file():
        split = split_records(index.records, classes=data.classes, **settings)  # type: ignore[arg-type]
        if not split.test:
            raise DataError("the split has no test frames to compare models on; set data.test_fraction above 0")
        write_split(split, path, index.root)
    return SharedSplit(data.root, path, data.manifest)
