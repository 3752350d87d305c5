"""Compare models on the same frames: how good, how large, how fast, and which one to take."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor, nn

from flipdetect.atomic import write_csv, write_json, write_text
from flipdetect.errors import ModelError
from flipdetect.evaluation.evaluate import (
    Evaluation,
    difference,
    estimates_as_dict,
    evaluate_folder,
    evaluation_ci,
    write_predictions,
)
from flipdetect.evaluation.study import SharedSplit, run_metrics
from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import file_digest, load_onnx
from flipdetect.inference.torch_model import TorchModel, load_torch_model
from flipdetect.metrics.bootstrap import RESAMPLES, Estimate
from flipdetect.tasks.fit import METRICS_FILE

MARGIN = 0.02
"""F1 that a smaller model may lack and still be as good as the best one for most purposes."""
MEGABYTE = 1_000_000
COMPARED = ("f1", "auroc")
ENDS = {"": "value", "_low": "low", "_high": "high"}

REPEATS, WARM_UP = 50, 5
"""Frames that are timed, and those before them."""
FOOTPRINTS = "footprints.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Footprint:
    """Costs of a model, for one frame at a time on the CPU.

    Attributes:
        file_bytes: of the exported file, or, without one, of all tensors.
        memory_bytes: estimated: all tensors, and input and output of the layer where they are largest.
        latency_ms, latency_p95_ms: median and 95th percentile of scoring a preprocessed frame.
    """

    parameters: int
    file_bytes: int
    memory_bytes: int
    latency_ms: float
    latency_p95_ms: float
    engine: str


@dataclass(frozen=True)
class Candidate:
    """A model to compare; `training_seconds` are those of the fit, None if unknown."""

    name: str
    evaluation: Evaluation
    footprint: Footprint
    training_seconds: float | None = None

    @property
    def size(self) -> str:
        """Of its file, for readers."""
        return f"{self.footprint.file_bytes / MEGABYTE:.2f} MB"


@dataclass(frozen=True)
class Comparison:
    """Models compared on the same frames; `recommended` is None if none is small enough."""

    models: tuple[Candidate, ...]
    ci: dict[str, dict[str, Estimate]]
    best: str
    differences: dict[str, dict[str, Estimate]]
    recommended: str | None
    why: str

    def table(self, style: str = "simple") -> str:
        """A line per model, in a style of tabulate, such as "github"."""
        rows = []
        for each in self.models:
            cost, minus, seconds = each.footprint, self.differences.get(each.name), each.training_seconds
            rows.append([
                each.name, *(self.ci[each.name][name].text() for name in COMPARED),
                "best" if minus is None else minus["f1"].text(signed=True),
                f"{cost.parameters / 1e6:.2f} M", f"{cost.file_bytes / MEGABYTE:.2f}",
                f"{cost.memory_bytes / MEGABYTE:.1f}", f"{cost.latency_ms:.1f}",
                "-" if seconds is None else timedelta(seconds=round(seconds)),
            ])  # fmt: skip
        headers = [
            "model", "F1", "AUROC", "F1 minus the best's", "parameters", "file, MB", "memory, MB", "ms per frame",
            "training",
        ]  # fmt: skip
        align = ["left", "left", "left", "left", *["right"] * 5]
        return tabulate(rows, headers=headers, tablefmt=style, colalign=align, disable_numparse=True)

    def rows(self) -> list[dict[str, object]]:
        """A row per model for a CSV file; unknown values are empty."""
        found = []
        for model in self.as_dict()["models"]:
            row = {name: model.pop(name) for name in ("model", "frames", "videos", "threshold")}
            del model["metrics"]
            for suffix, estimates in (("", model.pop("ci")), ("_less_best", model.pop("less_best"))):
                for name in COMPARED:
                    own = estimates.get(name, {})
                    row |= {f"{name}{suffix}{end}": own.get(key) for end, key in ENDS.items()}
            row |= model
            for name, value in row.items():
                if isinstance(value, float):
                    row[name] = f"{value:.6g}" if math.isfinite(value) else None
            found.append(row)
        return found

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON types."""
        models = [
            {
                "model": each.name,
                "frames": len(each.evaluation.scored),
                "videos": each.evaluation.videos,
                "threshold": each.evaluation.threshold,
                "metrics": each.evaluation.metrics,
                "ci": estimates_as_dict(self.ci[each.name]),
                "less_best": estimates_as_dict(self.differences.get(each.name, {})),
                **asdict(each.footprint),
                "training_seconds": each.training_seconds,
            }
            for each in self.models
        ]
        return {"best": self.best, "recommended": self.recommended, "why": self.why, "models": models}

    def write(self, shared: SharedSplit, folder: Path) -> None:
        """Write comparison.md, .csv and .json, and the scores of all models as predictions.csv."""
        evaluation = self.models[0].evaluation
        text = (
            f"# Models compared\n\nOn {shared.root}, test split of {shared.path.name}: {len(evaluation.scored):,} "
            f"frames of {evaluation.videos:,} videos. In brackets: 95% CI over videos; the difference from the best "
            f"model ({self.best}) is paired by video. Times are per frame, by {self.models[0].footprint.engine}.\n\n"
            f"{self.table('github')}\n\n{self.why}\n"
        )
        rows = self.rows()
        write_text(folder / "comparison.md", text)
        write_csv(folder / "comparison.csv", list(rows[0]), (list(row.values()) for row in rows))
        write_json(folder / "comparison.json", {"root": str(shared.root), "split": str(shared.path), **self.as_dict()})
        write_predictions(folder / "predictions.csv", [(m.name, str(shared.root), m.evaluation) for m in self.models])


def compare(
    models: Sequence[Candidate],
    *,
    max_megabytes: float | None = None,
    margin: float = MARGIN,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare models, and recommend one.

    It is the smallest file, of `max_megabytes` at most, whose F1 is no more than `margin` below that of the best such
    model, by the lower bound of the paired difference. If no difference is significant, the best one is recommended.
    """
    best = max(models, key=_f1)
    ci = {each.name: evaluation_ci(each.evaluation, resamples=resamples) for each in models}
    differences = {
        each.name: difference(best.evaluation, each.evaluation, metrics=COMPARED, resamples=resamples)
        for each in models
        if each is not best
    }
    found = partial(Comparison, tuple(models), ci, best.name, differences)
    by_size = sorted(models, key=lambda each: each.footprint.file_bytes)
    allowed = [e for e in by_size if max_megabytes is None or e.footprint.file_bytes <= max_megabytes * MEGABYTE]
    if not allowed:
        smallest = f"the smallest is {by_size[0].name} with {by_size[0].size}"
        return found(None, f"None has {max_megabytes:g} MB or less; {smallest}.")
    best = max(allowed, key=_f1)
    limit = "" if max_megabytes is None else f" among those of {max_megabytes:g} MB or less"
    unsure = ""
    for other in allowed:
        if other.footprint.file_bytes >= best.footprint.file_bytes:
            break
        minus = difference(best.evaluation, other.evaluation, metrics=["f1"], resamples=resamples)["f1"]
        if minus.is_bounded and minus.low >= -margin:
            why = (
                f"Take {other.name} ({other.size}): it is the smallest{limit} whose F1 is no more than {margin:g} "
                f"below that of {best.name} ({best.size}): {minus.text(signed=True)} on {minus.videos} videos."
            )
            return found(other.name, why)
        if minus.is_bounded and minus.high >= -margin:
            unsure = f"; {minus.videos} videos do not show whether {other.name} is as good ({minus.text(signed=True)})"
    why = f"Take {best.name} ({best.size}): it has the best F1{limit}, {_f1(best):.3f}{unsure}."
    return found(best.name, why)


def _f1(model: Candidate) -> float:
    return model.evaluation.metrics["f1"]


def measure_footprint(model: TorchModel, exported: Path | None = None, repeats: int = REPEATS) -> Footprint:
    """Measure a model on the CPU; its exported ONNX file, if given, is what is timed and weighed."""
    network = model.task.model
    tensors = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    runner: Model = model if exported is None else load_onnx(exported)
    shape, own = ((1, each.channels, each.height, each.width) for each in (runner.preprocess, model.preprocess))
    frame = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    times = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        runner.probabilities(frame)
        times.append(1000 * (time.perf_counter() - start))
    return Footprint(
        sum(parameter.numel() for parameter in network.parameters()),
        tensors if exported is None else exported.stat().st_size,
        tensors + largest_layer(network, torch.zeros(own)),
        float(np.median(times[WARM_UP:])),
        float(np.quantile(times[WARM_UP:], 0.95)),
        runner.runs_on,
    )


def evaluate_candidate(
    name: str, path: Path, shared: SharedSplit, device: str, folder: Path, export: Callable[[TorchModel, Path], Path]
) -> Candidate:
    """Evaluate a trained model on the test split, and measure it; a model file is measured once."""
    evaluation = evaluate_folder(
        load_torch_model(path, device), shared.root, split="test", split_file=shared.path, manifest=shared.manifest
    )
    metrics = run_metrics(path.parent) if path.with_name(METRICS_FILE).is_file() else {}
    table, digest = folder / FOOTPRINTS, file_digest(path)
    known = json.loads(table.read_text(encoding="utf-8")) if table.is_file() else {}
    if digest not in known:
        model, exported = load_torch_model(path, "cpu"), None
        try:
            exported = export(model, folder / "exported" / f"{name.replace('/', '-')}.onnx")
        except ModelError as error:
            logger.warning("%s is timed with PyTorch, and its file is estimated: %s", name, error)
        known[digest] = asdict(measure_footprint(model, exported))
        write_json(table, known)
    return Candidate(name, evaluation, Footprint(**known[digest]), metrics.get("fit_seconds"))


def largest_layer(model: nn.Module, frame: Tensor) -> int:
    """Bytes of input and output of the layer where they are largest."""
    most = 0

    def measure(_: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal most
        held = [each for each in (*inputs, output) if isinstance(each, Tensor)]
        most = max(most, sum(each.numel() * each.element_size() for each in held))

    leaves = [module for module in model.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(measure) for module in leaves]
    try:
        with torch.inference_mode():
            model(frame)
    finally:
        for hook in hooks:
            hook.remove()
    return most
