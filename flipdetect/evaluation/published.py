"""Pictures and tables of the README from small results files: what is published can be made again. No torch.

A list, `published.yaml`, names what is made of what:

    pictures:
      images/training.png: {chart: training, from: training_tiny_cnn.csv}
      images/confusion.png: {chart: confusion, from: rendered_tiny_cnn.json}
      images/comparison.png: {chart: comparison, from: comparison.csv}
    tables:
      comparison: {table: comparison, from: comparison.csv}
      shipped:
        table: figures
        rows: {"rendered books, unseen": {TinyCNN: rendered_tiny_cnn.json, MobileNetV2: rendered_mobilenet_v2.json}}

Files lie beside the list: `metrics.csv` of a run, `figures.json` of a report, `comparison.csv` of `compare.py`. A table
stands in the README between `<!-- figures:NAME -->` and `<!-- /figures -->`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.figure import Figure
from tabulate import tabulate

from flipdetect.errors import DataError
from flipdetect.evaluation.report.drawing import training_rows
from flipdetect.evaluation.report.saved import read_json
from flipdetect.outputs.plots.comparison import ComparedModel, plot_comparison
from flipdetect.outputs.plots.curves import plot_matrices, plot_training_curves
from flipdetect.records import ClassNames

LIST = "published.yaml"
MARKED = re.compile(r"(<!-- figures:([\w-]+) -->\n)(.*?)(<!-- /figures -->)", re.DOTALL)
AGGREGATION = "mean"
"""Of a video's frames, in the second confusion matrix."""
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Published:
    """What is to be made.

    Attributes:
        folder: of the results files.
        pictures: file, relative to the repository -> what it is made of.
        tables: name -> what it is made of.
    """

    folder: Path
    pictures: Mapping[str, Mapping[str, Any]]
    tables: Mapping[str, Mapping[str, Any]]


def read_list(path: Path) -> Published:
    """Read `published.yaml`.

    Raises:
        DataError: if it cannot be read, or has other entries.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict) or set(content) - {"pictures", "tables"}:
            raise ValueError("it has to have the entries pictures and tables, and no others")
        return Published(path.parent, content.get("pictures") or {}, content.get("tables") or {})
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise DataError(f"the list {path} cannot be used: {error}") from error


def draw(published: Published, name: str) -> Figure:
    """A picture.

    Raises:
        DataError: if its chart is unknown, or its results file cannot be used.
    """
    entry = published.pictures[name]
    path = published.folder / str(entry.get("from"))
    try:
        if entry.get("chart") == "training":
            return plot_training_curves(training_rows(path))
        if entry.get("chart") == "confusion":
            return _confusion(read_json(path))
        if entry.get("chart") == "comparison":
            return plot_comparison([_compared(row) for row in _rows(path)])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} cannot be used for {name}: {error!r}; write it anew") from error
    raise DataError(f"{name} has the chart {entry.get('chart')!r}; there are training, confusion and comparison")


def make_table(published: Published, name: str) -> str:
    """A table as Markdown.

    Raises:
        DataError: if it is of no known kind, or a results file cannot be used.
    """
    entry = published.tables[name]
    try:
        if entry.get("table") == "comparison":
            return _comparison_table(_rows(published.folder / str(entry["from"])))
        if entry.get("table") == "figures":
            return _figures_table(entry["rows"], published.folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"the table {name} cannot be made: {error!r}; correct its entry or its results") from error
    raise DataError(f"{name} is of the kind {entry.get('table')!r}; there are comparison and figures")


def fill(text: str, published: Published) -> tuple[str, set[str]]:
    """A README with its tables made anew.

    Args:
        text: of the README.
        published: the list.

    Returns:
        The new text, and the names of the tables that stand in it.

    Raises:
        DataError: if it has a marker without a table, or a marker is not closed.
    """
    names = {found[2] for found in MARKED.finditer(text)}
    if len(re.findall(r"<!-- figures:", text)) != len(MARKED.findall(text)):
        raise DataError("a marker <!-- figures:NAME --> is not closed by <!-- /figures -->, or its name is impossible")
    unknown = sorted(names - set(published.tables))
    if unknown:
        raise DataError(f"no table is called {unknown[0]!r}; the list has {', '.join(published.tables) or 'none'}")
    return MARKED.sub(lambda found: f"{found[1]}{make_table(published, found[2])}\n{found[4]}", text), names


def _confusion(figures: Any) -> Figure:
    clips = next(each for each in figures["clips"] if each["how"] == AGGREGATION)
    classes = ClassNames(**figures["judged"]["classes"])
    titles = (
        f"frames, F1 {figures['figures']['f1']['value']:.3f}",
        f"videos ({AGGREGATION} of frames), F1 {clips['figures']['f1']['value']:.3f}",
    )
    return plot_matrices([_matrix(figures["frames_decided"]), _matrix(clips["decided"])], titles, classes)


def _matrix(counts: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.int64]]:
    names = (("true_negatives", "false_positives"), ("false_negatives", "true_positives"))
    return np.array([[int(counts[name]) for name in row] for row in names], np.int64)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {error}; compare.py writes it") from error


def _compared(row: Mapping[str, str]) -> ComparedModel:
    return ComparedModel(
        row["model"], _float(row["f1"]), _float(row["f1_low"]), _float(row["f1_high"]), int(row["parameters"]),
        float(row["latency_ms"]),
    )  # fmt: skip


def _comparison_table(rows: list[dict[str, str]]) -> str:
    cells = [
        [
            row["model"], _interval(row, "f1"), _interval(row, "auroc"), f"{int(row['parameters']) / 1e6:.2f} M",
            f"{int(row['file_bytes']) / MEGABYTE:.1f} MB", f"{int(row['memory_bytes']) / MEGABYTE:.0f} MB",
            f"{float(row['latency_ms']):.1f} ms", _minutes(row["training_seconds"]),
        ]
        for row in rows
    ]  # fmt: skip
    headers = ["model", "F1", "AUROC", "parameters", "file", "memory", "one frame", "training"]
    return _markdown(headers, cells)


def _figures_table(rows: Mapping[str, Mapping[str, str]], folder: Path) -> str:
    models = list(dict.fromkeys(model for files in rows.values() for model in files))
    cells = []
    for title, files in rows.items():
        found = {model: read_json(folder / file) for model, file in files.items()}
        first = next(iter(found.values()))
        for model, each in found.items():
            if (each["frames"], each["judged"]["set_hash"]) != (first["frames"], first["judged"]["set_hash"]):
                raise ValueError(f"{model} was judged on other frames than the others of {title!r}")
        row = [title, f"{first['frames']:,}", f"{first['videos']:,}"]
        for model in models:
            row += [_bounds(found[model]["figures"][name]) if model in found else "" for name in ("f1", "auroc")]
        cells.append(row)
    headers = ["tested on", "frames", "videos", *(f"{model}: {name}" for model in models for name in ("F1", "AUROC"))]
    return _markdown(headers, cells)


def _markdown(headers: list[str], cells: list[list[str]]) -> str:
    return tabulate(cells, headers=headers, tablefmt="github", disable_numparse=True)


def _interval(row: Mapping[str, str], name: str) -> str:
    return _bounds({at: row[f"{name}{end}"] for at, end in (("value", ""), ("low", "_low"), ("high", "_high"))})


def _bounds(each: Mapping[str, Any]) -> str:
    value, low, high = (_float(each[name]) for name in ("value", "low", "high"))
    if np.isnan(value):
        return "-"
    return f"{value:.3f}" if np.isnan(low) else f"{value:.3f} ({low:.2f} to {high:.2f})"


def _float(cell: Any) -> float:
    return float("nan") if cell in ("", None) else float(cell)


def _minutes(cell: str) -> str:
    seconds = _float(cell)
    if np.isnan(seconds):
        return "-"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
