"""Make the pictures in docs/images, and the tables of README and docs, from docs/results and the pretrained models.

A table is placed between the lines <!-- figures:NAME --> and <!-- /figures -->; other text is left as it is. The same
results make the same files. Some pictures are rendered and scored, which takes a minute.

Examples:
    python scripts/make_figures.py            # or: make figures
    python scripts/make_figures.py --check    # change nothing; status 1 if a table is not up to date
"""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from tabulate import tabulate

from flipdetect.atomic import replacing, write_text
from flipdetect.outputs.plots.canvas import (
    FAINT,
    INK,
    NEGATIVE_COLOUR,
    POSITIVE_COLOUR,
    SERIES_COLOURS,
    clean,
    new_figure,
    save_figure,
)
from flipdetect.outputs.plots.curves import plot_matrices
from flipdetect.records import ClassNames
from flipdetect.zoo import DEFAULT

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS, IMAGES = REPOSITORY / "docs" / "results", REPOSITORY / "docs" / "images"
PAGES = ("README.md", "docs/research/evaluation.md")
MARKED = re.compile(r"(<!-- figures:([\w-]+) -->\n)(.*?)(<!-- /figures -->)", re.DOTALL)
MODELS = {
    "**ensemble**, the default": "ensemble",
    "EfficientNet-Lite0": "efficientnet_lite0",
    "TinyCNN": "tiny_cnn",
    "MobileNetV2": "mobilenet_v2",
}
DATA_SETS = {
    "rendered books, unseen": "rendered",
    "any scene, unseen": "any",
    "photographs of four sources": "photographs",
}
UNSEEN_SEED = 1000
"""Books of this seed are in no training set."""


def flip_strip() -> Figure:
    """Ten frames of a rendered turn, as JPEGs, with the probability that the default model gives each."""
    from flipdetect.inference.load import load_model
    from flipdetect.synth import SynthConfig, encode_frame, render_clip

    model = load_model(DEFAULT)
    frames = render_clip(SynthConfig(seed=UNSEEN_SEED), 16, np.linspace(0.1, 0.9, 10).tolist())
    scores = model.probabilities(np.stack([model.preprocess.load(encode_frame(frame)) for frame in frames]))
    figure = new_figure(11.7, 3.7)
    panels = figure.subplots(
        2,
        len(frames),
        height_ratios=(1.87, 0.95),
        gridspec_kw={"wspace": 0.09, "hspace": 0.2, "left": 0.03, "right": 0.99},
    )
    for frame, score, (above, below) in zip(frames, scores, panels.T, strict=True):
        colour = POSITIVE_COLOUR if score >= model.threshold else NEGATIVE_COLOUR
        above.imshow(frame.image)
        above.set(xticks=[], yticks=[])
        above.spines[:].set(color=colour, linewidth=2.5)
        below.bar([0], [score], width=0.6, color=colour)
        below.axhline(model.threshold, color=INK, linewidth=0.9, linestyle=(0, (5, 4)))
        label = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        below.text(0, score + 0.05, f"{score:.2f}", ha="center", color=colour, weight="bold", bbox=label)
        below.set(xlim=(-0.5, 0.5), ylim=(0, 1.28), xticks=[0], yticks=[])
        below.set_xticklabels([frame.truth.label])
        below.spines[["top", "right", "left"]].set_visible(False)
        below.spines["bottom"].set_color(FAINT)
    return figure


def timeline(path: Path) -> None:
    """The timeline of a rendered recording, as `flipdetect predict` draws it."""
    render = ("--index", "1", "--seconds", "40", "--turns", "8", "--fps", "10", "--height", "384")
    with tempfile.TemporaryDirectory() as folder:
        _python("-m", "flipdetect.cli.main", "render", "--recording", f"{folder}/film", *render)
        frames = ("--folder-path", f"{folder}/film/frames", "--events", "--fps", "10")
        _python(str(REPOSITORY / "inference.py"), *frames, "--output", f"{folder}/predictions.csv")
        with replacing(path) as part:
            part.write_bytes((Path(folder) / "timeline.png").read_bytes())


def _python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def training() -> Figure:
    """Losses, metrics and learning rates of the last stage of the TinyCNN's training; a star marks the best F1."""
    rows = _rows("training_tiny_cnn.csv")
    columns = sorted({name for row in rows for name in row})
    losses = [name for name in columns if name.endswith("_loss")]
    metrics = [name for name in columns if name.startswith("val_") and name not in losses]
    rates = [name for name in columns if name.startswith("lr")]
    figure = new_figure(12.5, 3.6)
    panels = figure.subplots(1, 3, gridspec_kw={"left": 0.05, "right": 0.985, "bottom": 0.14, "top": 0.9})
    what = ((losses, "loss", "epoch"), (metrics, "validation", "epoch"), (rates, "learning rate", "step"))
    for axes, (names, title, x) in zip(panels, what, strict=True):
        for name, colour in zip(names, SERIES_COLOURS, strict=False):
            points: dict[int, list[float]] = {}
            for row in rows:
                if row[name] and row[x]:
                    points.setdefault(int(float(row[x])), []).append(float(row[name]))
            places = sorted(points)
            values = [float(np.mean(points[place])) for place in places]
            marker = "o" if len(places) < 30 else ""
            axes.plot(places, values, color=colour, linewidth=1.6, marker=marker, ms=3.5, label=name)
            if name == "val_f1":
                best = int(np.nanargmax(values))
                star = {"color": colour, "markersize": 13, "label": f"best: {values[best]:.3f}"}
                axes.plot(places[best], values[best], "*", **star)
        clean(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.set_title(title, fontsize=11, color=INK)
        axes.set_xlabel(x, fontsize=9.5)
        axes.legend(fontsize=8.5, frameon=False)
    return figure


def confusion() -> Figure:
    """Decisions of the TinyCNN on rendered books that no model was trained on: frames, and videos by their highest."""
    found = _json("rendered_tiny_cnn.json")
    titles = [f"frames, F1 {found['ci']['f1']['value']:.3f}", f"videos, F1 {found['clips']['f1']:.3f}"]
    return plot_matrices([found["confusion"], found["clips"]["confusion"]], titles, ClassNames("notflip", "flip"))


def comparison() -> Figure:
    """F1 (95% CI) of the configurations that start from scratch, against the latency of a frame; area: parameters."""
    rows = _rows("comparison.csv")
    figure = new_figure(8.4, 3.9)
    axes = figure.add_axes((0.08, 0.14, 0.89, 0.82))
    latencies, bounds = [float(row["latency_ms"]) for row in rows], []
    largest = max(int(row["parameters"]) for row in rows)
    for row, x, colour in zip(rows, latencies, SERIES_COLOURS, strict=False):
        f1, parameters = float(row["f1"]), int(row["parameters"])
        low, high = float(row["f1_low"] or f1), float(row["f1_high"] or f1)
        bounds += [low, high]
        axes.plot([x, x], [low, high], color=colour, linewidth=2.2, solid_capstyle="round")
        size = 60 + 500 * math.sqrt(parameters / largest)
        axes.scatter([x], [f1], s=size, color=colour, edgecolor="white", linewidth=1.2, zorder=4)
        text = f"{row['model']}\n{parameters / 1e6:.2f} M parameters"
        axes.annotate(text, (x, f1), xytext=(math.sqrt(size) / 2 + 6, 0), fontsize=9.5, color=INK,
                      textcoords="offset points", va="center", linespacing=1.35, parse_math=False)  # fmt: skip
    axes.set_xscale("log")
    axes.set(
        xlim=(min(latencies) / 1.5, max(latencies) * 2.6), ylim=(min(bounds) - 0.05, min(1.02, max(bounds) + 0.05))
    )
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("milliseconds for a frame", fontsize=10)
    axes.set_ylabel("F1, 95% CI over videos", fontsize=10)
    clean(axes)
    return figure


def pretrained_table() -> str:
    """F1 and AUROC of the pretrained models on both data sets; a dash where there is no `metrics.json`."""
    cells = [[model] for model in MODELS]
    headers = ["model"]
    for title, name in DATA_SETS.items():
        paths = [f"{name}_{model}.json" for model in MODELS.values()]
        found = [_json(path) if (RESULTS / path).is_file() else None for path in paths]
        sizes = {(each["frames"], each["videos"]) for each in found if each is not None}
        if len(sizes) != 1:
            raise ValueError(f"the models were not evaluated on the same frames of {title!r}: {sorted(sizes)}")
        frames, videos = sizes.pop()
        headers += [f"{title} ({frames:,} frames, {videos:,} videos): F1", "AUROC"]
        for row, each in zip(cells, found, strict=True):
            row += ["-", "-"] if each is None else [_bounds(each["ci"][metric]) for metric in ("f1", "auroc")]
    return tabulate(cells, headers, tablefmt="github", disable_numparse=True)


def comparison_table() -> str:
    """What the configurations that start from scratch cost, and what they are worth."""
    cells = []
    for row in _rows("comparison.csv"):
        bounds = [
            _bounds({"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]})
            for name in ("f1", "auroc")
        ]
        cells.append([
            row["model"], *bounds, f"{int(row['parameters']) / 1e6:.2f} M", f"{int(row['file_bytes']) / 1e6:.1f} MB",
            f"{int(row['memory_bytes']) / 1e6:.0f} MB", f"{float(row['latency_ms']):.1f} ms",
            f"{float(row['training_seconds']) / 60:.0f} min",
        ])  # fmt: skip
    headers = ["model", "F1", "AUROC", "parameters", "file", "memory", "one frame", "training"]
    return tabulate(cells, headers, tablefmt="github", disable_numparse=True)


TABLES = {"pretrained": pretrained_table, "comparison": comparison_table}


def _json(name: str) -> Any:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def _rows(name: str) -> list[dict[str, str]]:
    with (RESULTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _bounds(estimate: Mapping[str, Any]) -> str:
    value, low, high = (float(estimate[name]) for name in ("value", "low", "high"))
    return f"{value:.3f} ({low:.2f} to {high:.2f})"


CHECK = typer.Option("--check", help="Change nothing; status 1 if a table is not up to date.")


def scenes(path: Path) -> None:
    """Three rows of frames of `scenes: any`, each of another book: every second one is a turn."""
    from PIL import Image

    from flipdetect.synth import SynthConfig, render_frame

    config = SynthConfig(seed=UNSEEN_SEED, sources=24, clips_per_source=2, frames_per_clip=1, scenes="any")
    frames = [Image.fromarray(render_frame(config, 2 * source + source % 2, 0).image) for source in range(24)]
    rows = []
    for row in (frames[:8], frames[8:16], frames[16:]):
        tall = round(1200 / sum(frame.width / frame.height for frame in row))
        rows.append([frame.resize((round(frame.width * tall / frame.height), tall)) for frame in row])
    picture = Image.new("RGB", (1200, sum(row[0].height for row in rows)))
    top = 0
    for row in rows:
        left = 0
        for frame in row:
            picture.paste(frame, (left, top))
            left += frame.width
        top += row[0].height
    with replacing(path) as part:
        picture.save(part, "JPEG", quality=85)


def main(check: Annotated[bool, CHECK] = False) -> None:
    """Make the pictures in docs/images, and the tables of README and docs, from docs/results."""
    stale = []
    for page in PAGES:
        old = (REPOSITORY / page).read_text(encoding="utf-8")
        new = MARKED.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[4]}", old)
        if new != old:
            stale.append(page)
            if not check:
                write_text(REPOSITORY / page, new)
    if check:
        print(f"Not up to date: {', '.join(stale)}; run make figures" if stale else "All tables are up to date")
        raise typer.Exit(bool(stale))
    for draw in (training, confusion, comparison, flip_strip):
        save_figure(draw(), IMAGES / f"{draw.__name__}.png")
    timeline(IMAGES / "timeline.png")
    scenes(IMAGES / "scenes.jpg")


if __name__ == "__main__":
    typer.run(main)
