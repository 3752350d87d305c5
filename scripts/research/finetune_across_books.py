"""Fine-tuning across books, the tables of docs/research/synthetic-data.md and the sentence in README.

For each ordered pair of books, each model and each seed, three models are tested on the second book: the pretrained
one, the pretrained one fine-tuned on the first book, and one trained from scratch on it. Validation videos are taken
from the first book. Results are kept in a CSV file; a finished run is not repeated.

    python scripts/research/finetune_across_books.py A D --data frames/ --models efficientnet_lite0 --seeds 3
"""

import csv
import statistics
import tempfile
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Annotated

import typer
from tabulate import tabulate
from typer import Option

from flipdetect.cli.lightning_cli import TrainCLI
from flipdetect.cli.messages import hush_libraries, set_up_logging
from flipdetect.cli.train_arguments import read_arguments
from flipdetect.data.grouped_splits import split_records
from flipdetect.data.index import index_frames
from flipdetect.data.splits import write_split
from flipdetect.records import ClassNames
from flipdetect.tasks.fit import fit_and_test

CONFIGS = {
    "efficientnet_lite0": ("finetune.yaml", "efficientnet.yaml"),
    "tiny_cnn": ("finetune_tiny.yaml", "tiny_cnn.yaml"),
}
"""Of fine-tuning, and of training from scratch."""
STARTS = ("pretrained", "fine-tuned", "scratch")
METRICS = ("auroc", "f1", "f1_at_0.5", "threshold")
KEYS = ("model", "start", "train", "test", "seed")


def run(key: tuple[str, ...], data: Path, override: list[str]) -> list[str]:
    """Train and test once; returns the metrics."""
    model, start, train, test, seed = key
    frames = index_frames(data, classes=ClassNames(), check=False).records
    book = [record for record in frames if record.source == train]
    held_out = [record for record in frames if record.source == test]
    with tempfile.TemporaryDirectory() as folder:
        share = 0.15 if start == "scratch" else 0.2
        split = split_records(book, classes=ClassNames(), val_fraction=share, test_fraction=0, seed=int(seed))
        sides = (*split.assigned, *["test"] * len(held_out))
        split = replace(split, records=(*split.records, *held_out), assigned=sides)
        write_split(split, Path(folder) / "splits.csv", data)
        config = Path("configs") / CONFIGS[model][start == "scratch"]
        cli = TrainCLI(read_arguments([
            "--config", str(config), f"--seed_everything={seed}", f"--data.root={data}",
            f"--data.split_file={folder}/splits.csv", "--trainer.enable_model_summary=false",
            '--trainer.logger=[{"class_path": "flipdetect.callbacks.ResumableCSVLogger", '
            f'"init_args": {{"save_dir": "{folder}", "name": "run"}}}}]',
            *([f"--{pair}" for pair in override] if start == "fine-tuned" else []),
            *(["--data.mix_in=null"] if start == "pretrained" else []),
        ]))  # fmt: skip
        if start == "pretrained":
            found = cli.trainer.test(cli.model, datamodule=cli.datamodule, verbose=False)[0]
        else:
            found = fit_and_test(cli.trainer, cli.model, cli.datamodule)
    return [f"{found[f'test_{name}']:.6f}" for name in METRICS]


def main(
    books: list[str],
    data: Annotated[Path, Option(help="Frames with a labels.csv that names sources, the books.")],
    models: Annotated[list[str], Option()] = list(CONFIGS),  # noqa: B006
    starts: Annotated[list[str], Option()] = list(STARTS),  # noqa: B006
    seeds: Annotated[int, Option(help="Seeds from 0.")] = 3,
    override: Annotated[list[str], Option(metavar="KEY=VALUE", help="For fine-tuning.")] = [],  # noqa: B006
    results: Path = Path("logs/finetune_across_books.csv"),
) -> None:
    """Make all runs that have no result yet, and print means and standard deviations over the seeds."""
    set_up_logging()
    hush_libraries()
    found: dict[tuple[str, ...], list[str]] = {}
    if results.is_file():
        with results.open(newline="") as file:
            found = {tuple(row[: len(KEYS)]): row[len(KEYS) :] for row in list(csv.reader(file))[1:]}
    groups: dict[tuple[str, ...], list[list[str]]] = {}
    for model, start, (train, test), seed in product(models, starts, permutations(books, 2), map(str, range(seeds))):
        key = (model, start, train, test, seed)
        if key not in found:
            found[key] = run(key, data, override)
            results.parent.mkdir(parents=True, exist_ok=True)
            with results.open("w", newline="") as file:
                csv.writer(file).writerows([(*KEYS, *METRICS), *((*k, *values) for k, values in found.items())])
        groups.setdefault((model, start, f"{train} -> {test}"), []).append(found[key])
    rows = []
    for key, runs in groups.items():
        columns = [[float(value) for value in column] for column in zip(*runs, strict=True)]
        deviations = [statistics.stdev(column) if len(column) > 1 else 0.0 for column in columns]
        rows.append((*key, *(f"{statistics.mean(c):.3f} ± {d:.3f}" for c, d in zip(columns, deviations, strict=True))))
    print(tabulate(rows, headers=("model", "start", "books", *METRICS)))


if __name__ == "__main__":
    typer.run(main)
