"""Measure fine-tuning across books: train on the frames of one book, test on those of another, in every direction.

For each ordered pair of sources, each model and each seed, three models meet the same test frames: as shipped
("zero-shot"), fine-tuned (configs/finetune*.yaml), and trained from nothing on the same frames ("scratch", the model's
own configuration). Validation videos are split off within the training book. Each run is an ordinary training run;
its figures go to results.csv in the output folder as soon as it ends, and it is not repeated there.

Example: python scripts/finetune_across_books.py --data-root ../shared/realdev --models efficientnet_lite0 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import yaml

from flipdetect.atomic import write_text
from flipdetect.cli.messages import hush_libraries, set_up_logging
from flipdetect.errors import DataError, FlipdetectError
from flipdetect.records import ClassNames

logger = logging.getLogger("flipdetect.finetune_across_books")

CLASSES = ClassNames()
CONFIGS = Path(__file__).resolve().parents[1] / "configs"
# Configuration of fine-tuning, and of training from nothing, by model.
MODELS = {
    "efficientnet_lite0": ("finetune.yaml", "efficientnet.yaml"),
    "tiny_cnn": ("finetune_tiny.yaml", "tiny_cnn.yaml"),
}
ZERO_SHOT, FINETUNE, SCRATCH = STARTS = ("zero-shot", "finetune", "scratch")
FIGURES = ("auroc", "f1", "f1_at_0.5", "threshold")
COLUMNS = ("model", "start", "train", "test", "seed", "settings", *FIGURES, "seconds")
RESULTS = "results.csv"
INTERRUPTED = 130

Row = dict[str, str]


@dataclass(frozen=True)
class Run:
    """One training run (or, for zero-shot, a test alone): what it is called in the table of results.

    Attributes:
        settings: hash of the configuration, the overrides and the weights: with others, it is another run.
    """

    model: str
    start: str
    train: str
    test: str
    seed: int
    settings: str

    @property
    def key(self) -> tuple[str, ...]:
        """Its first columns."""
        return (self.model, self.start, self.train, self.test, str(self.seed), self.settings)

    @property
    def config(self) -> Path:
        """The shipped configuration that it runs."""
        return CONFIGS / MODELS[self.model][self.start == SCRATCH]


def main(args: Sequence[str] | None = None) -> int:
    """Measure as the command line says; returns the exit status."""
    options = _parse(args)
    set_up_logging()
    hush_libraries()
    from flipdetect.tasks.fit import TrainingInterrupted

    try:
        print(measure(options))
    except TrainingInterrupted:
        return INTERRUPTED
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    return 0


def _parse(args: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="frames with a labels.csv that names sources")
    parser.add_argument("--sources", nargs="+", help="the books to use; default: all")
    parser.add_argument("--models", nargs="+", choices=tuple(MODELS), default=list(MODELS))
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--weights", type=Path, help="a checkpoint to start from instead of the shipped weights")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="overrides for fine-tuning, as data.mix_in.share=0"
    )
    parser.add_argument("--output", type=Path, default=Path("logs/finetune_across_books"), help="folder of results.csv")
    options = parser.parse_args(args)
    if options.weights is not None and len(options.models) > 1:
        parser.error("--weights fits one architecture: name it with --models")
    return options


def measure(options: argparse.Namespace) -> str:
    """Make all runs that have no result yet.

    Returns:
        The table of means and spreads.

    Raises:
        DataError: if the frames do not suffice.
        TrainingInterrupted: after Ctrl-C; what is finished is kept.
    """
    path = options.output / RESULTS
    rows = _read(path)
    runs = list(_plan(options))
    for number, run in enumerate(runs, start=1):
        if run.key in rows:
            continue
        logger.info(
            "Run %d of %d: %s, %s, %s -> %s, seed %d",
            number, len(runs), run.model, run.start, run.train, run.test, run.seed,
        )  # fmt: skip
        rows[run.key] = _execute(run, options)
        write_text(path, _as_csv(list(rows.values())))
    logger.info("Every run's figures are in %s", path)
    return _table([rows[run.key] for run in runs])


def _plan(options: argparse.Namespace) -> Iterator[Run]:
    """All runs; without training, the seed and the training book make no difference, and one run stands for all."""
    from flipdetect.data.index import index_frames

    found = {record.source for record in index_frames(options.data_root, classes=CLASSES, check=False).records}
    sources = options.sources or sorted(source for source in found if source)
    missing = sorted(set(sources) - found)
    if missing or len(sources) < 2:
        raise DataError(
            f"two sources are needed to measure across books; {options.data_root} has "
            f"{', '.join(sorted(source for source in found if source)) or 'none'}"
            f"{f', not {missing[0]}' if missing else ''}. Name them in the column source of its labels.csv"
        )
    for model in options.models:
        for start in options.starts:
            seen = set()
            for train, test in permutations(sources, 2):
                if start == ZERO_SHOT and test in seen:
                    continue
                seen.add(test)
                for seed in options.seeds[:1] if start == ZERO_SHOT else options.seeds:
                    yield Run(model, start, train, test, seed, _settings(model, start, options))


def _settings(model: str, start: str, options: argparse.Namespace) -> str:
    from flipdetect.zoo import shipped_path

    digest = hashlib.sha256((CONFIGS / MODELS[model][start == SCRATCH]).read_bytes())
    if start != SCRATCH:
        digest.update((options.weights or shipped_path(model)).read_bytes())
    if start == FINETUNE:
        digest.update(repr(options.set).encode())
    return digest.hexdigest()[:12]


def _execute(run: Run, options: argparse.Namespace) -> Row:
    """Train and test as `train.py` does; checkpoints are dropped, for the figures alone are wanted."""
    from flipdetect.cli.lightning_cli import TrainCLI
    from flipdetect.tasks.fit import fit_and_test

    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        overlay = _overlay(run, options, Path(temporary))
        overrides = [f"--{setting}" for setting in options.set] if run.start == FINETUNE else []
        cli = TrainCLI(["--config", str(run.config), "--config", str(overlay), *overrides])
        if run.start == ZERO_SHOT:
            results = dict(cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)[0])
        else:
            results = fit_and_test(cli.trainer, cli.model, cli.datamodule)
    figures = [f"{results[f'test_{name}']:.6f}" for name in FIGURES]
    return dict(zip(COLUMNS, (*run.key, *figures, f"{time.monotonic() - started:.1f}"), strict=True))


def _overlay(run: Run, options: argparse.Namespace, folder: Path) -> Path:
    """What differs from the shipped configuration: seed, frames, split, and where the run is logged."""
    split_file = folder / "splits.csv"
    _write_split(run, options.data_root, split_file)
    log = {"save_dir": str(folder), "name": "run"}
    loggers = [{"class_path": "flipdetect.callbacks.ResumableCSVLogger", "init_args": log}]
    content: dict[str, Any] = {
        "seed_everything": run.seed,
        "trainer": {"logger": loggers, "enable_model_summary": False},
        "data": {"root": str(options.data_root), "split_file": str(split_file)},
    }
    if run.start == ZERO_SHOT:
        content["data"]["mix_in"] = None  # nothing is trained
    if run.start != SCRATCH and options.weights is not None:
        content["model"] = {"init_args": {"weights": str(options.weights)}}
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def _write_split(run: Run, root: Path, path: Path) -> None:
    """The training book's videos to training and validation, by seed; the other book's frames to the test."""
    from flipdetect.data.index import index_frames
    from flipdetect.data.split_file import write_split
    from flipdetect.data.splits import split_records

    with run.config.open(encoding="utf-8") as file:
        val_fraction = yaml.safe_load(file)["data"]["val_fraction"]
    records = index_frames(root, classes=CLASSES, check=False).records
    book = [record for record in records if record.source == run.train]
    held_out = [record for record in records if record.source == run.test]
    split = split_records(book, classes=CLASSES, val_fraction=val_fraction, test_fraction=0, seed=run.seed)
    sides = (*split.sides, *["test"] * len(held_out))
    write_split(replace(split, records=(*split.records, *held_out), sides=sides), path, root)


def _read(path: Path) -> dict[tuple[str, ...], Row]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if set(row) == set(COLUMNS)]
    return {tuple(row[column] for column in COLUMNS[:6]): row for row in rows}


def _as_csv(rows: list[Row]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue()


def _table(rows: list[Row]) -> str:
    """Mean and standard deviation over the seeds, a line for each model, start and direction."""
    from tabulate import tabulate

    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        direction = f"-> {row['test']}" if row["start"] == ZERO_SHOT else f"{row['train']} -> {row['test']}"
        groups.setdefault((row["model"], row["start"], direction), []).append(row)
    lines = [(*key, len(found), *(_spread(found, name) for name in FIGURES)) for key, found in groups.items()]
    return tabulate(lines, headers=("model", "start", "books", "runs", *FIGURES), disable_numparse=True)


def _spread(rows: list[Row], name: str) -> str:
    values = [float(row[name]) for row in rows]
    return f"{statistics.mean(values):.3f}" + (f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    sys.exit(main())
