"""Make the report of what was saved in a folder: figures, pictures, the page, Markdown. No torch, no model."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flipdetect.atomic import write_text
from flipdetect.evaluation.report.findings import as_dict, find, slice_rows
from flipdetect.evaluation.tables import write_json

PAGE, TEXT, FIGURES, SLICES, PICTURES = "index.html", "report.md", "figures.json", "slices.csv", "pictures"


def make_report(folder: Path, seed: int = 0) -> Path:
    """Write `index.html`, `report.md`, `pictures/`, `figures.json` and `slices.csv` beside what was saved.

    The same files and seed make the same report, to the byte, with the same versions of the libraries.

    Args:
        folder: with `predictions.csv` and `judged.json`, as `evaluate.py --report` leaves it; `frames.json`,
            `robustness.json` and `training.csv` add their parts if they are there.
        seed: of the bootstraps.

    Returns:
        The page.

    Raises:
        DataError: if a file is missing or cannot be understood.
        ConfigError: if Jinja2 is not installed.
        OSError: if a file cannot be written.
    """
    from flipdetect.evaluation.report.drawing import drawings
    from flipdetect.evaluation.report.page import render_html, render_markdown
    from flipdetect.outputs.plots.canvas import save_figure
    from flipdetect.outputs.plots.svg import figure_to_svg

    found = find(folder, seed)
    charts: dict[str, str] = {}
    pictures: dict[str, str] = {}
    for each in drawings(found, folder):
        figure = each.draw()
        pictures[each.name] = f"{PICTURES}/{each.name}.png"
        save_figure(figure, folder / pictures[each.name])
        if each.inline:
            charts[each.name] = figure_to_svg(figure, each.name, each.label)
    write_json(folder / FIGURES, as_dict(found))
    write_text(folder / SLICES, _table(slice_rows(found)))
    write_text(folder / TEXT, render_markdown(found, pictures))
    write_text(folder / PAGE, render_html(found, charts, folder))
    return folder / PAGE


def _table(rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer: Any = None
    for row in rows:
        if writer is None:
            writer = csv.DictWriter(text, list(row), lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: f"{value:.6f}" if isinstance(value, float) else value for name, value in row.items()})
    return text.getvalue()
