"""The report of an evaluation: an HTML page that needs nothing else, metrics as JSON, predictions as CSV.

No torch, but for Grad-CAM pictures.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from flipdetect.atomic import write_json, write_text
from flipdetect.errors import MissingExtraError, ModelError
from flipdetect.evaluation.evaluate import (
    Evaluation,
    ScoredRecord,
    arrays,
    evaluation_ci,
    set_name,
    short_model_name,
    write_predictions,
)
from flipdetect.evaluation.results import Result
from flipdetect.evaluation.slices import Slice, slice_keys, slice_metrics, slices_as_dicts, with_appearance
from flipdetect.evaluation.spot_check import examples, worst_mistakes
from flipdetect.evaluation.videos import evaluate_clips
from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import file_digest
from flipdetect.metrics.bootstrap import Estimate, bootstrap_ci
from flipdetect.metrics.calibration import reliability
from flipdetect.metrics.threshold import confusion_matrix, threshold_curve
from flipdetect.outputs.html_report import embed_jpeg, page_template
from flipdetect.outputs.plots.curves import (
    plot_pr_curve,
    plot_reliability,
    plot_roc_curve,
    plot_score_histogram,
    plot_threshold_curve,
)
from flipdetect.outputs.plots.frames import heat_over, maps_over
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import decode_frame
from flipdetect.zoo import SUFFIX

PAGE, METRICS, PREDICTIONS = "index.html", "metrics.json", "predictions.csv"
TEMPLATE = "report.html.j2"
TILES = {
    "f1": "F1",
    "precision": "Precision",
    "recall": "Recall",
    "auroc": "AUROC",
    "average_precision": "Average precision",
    "accuracy": "Accuracy",
    "f1_at_0.5": "F1 at threshold 0.5",
}
MOST_ROWS = 12
"""Slices of one key that are shown: those with the lowest accuracy."""
SLICE_RESAMPLES = 500
HASH_DIGITS = 16
SIZE = (300, 400)
"""Width and height in pixels that pictures fit into."""
QUALITY = 82
MISTAKES_PER_VIDEO = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SliceRow:
    """A slice as the page shows it: recall and share of false positives with their CIs, None without such frames."""

    name: str
    metrics: Mapping[str, float]
    recall: Estimate | None
    false_alarms: Estimate | None
    accuracy: float


def write_reports(
    folder: Path, results: Sequence[Result], models: Mapping[str, Model], split: str | None, *,
    columns: Sequence[str] = (), mistakes: int = 24,
) -> None:  # fmt: skip
    """Write the report of each result, several in a folder each; see `write_report`."""
    for each in results:
        titled = replace(
            each, model=short_model_name(each.model), data_set=set_name(Path(each.data_set), split)
        )  # fmt: skip
        name = re.sub(r"[^\w.]+", "-", f"{titled.model}-{titled.data_set}").strip("-.")
        own = folder / name if len(results) > 1 else folder
        page = write_report(own, titled, models.get(each.model), columns=columns, mistakes=mistakes)
        logger.info("The report is %s", page)


def write_report(
    folder: Path, result: Result, model: Model | None = None, *, columns: Sequence[str] = (), mistakes: int = 24,
    explain: bool = True,
) -> Path:  # fmt: skip
    """Write `index.html`, `metrics.json` and `predictions.csv` into a folder; returns the page.

    Args:
        result: what was measured. Where files are missing, there are no pictures of frames; without `clips`, videos are
            decided at the threshold for frames.
        model: for Grad-CAM and facts.
        columns: of the manifest, by which the data set is sliced too.
        mistakes: how many of the most confident ones are shown.
        explain: whether there are Grad-CAM pictures, if the library is installed.
    """
    evaluation = result.evaluation
    has_files = all(pair.record.path.is_file() for pair in evaluation.scored[:1])
    evaluation = with_appearance(evaluation) if has_files else evaluation
    result = replace(
        result,
        evaluation=evaluation,
        clips=result.clips or evaluate_clips(evaluation),
        ci=result.ci or evaluation_ci(evaluation),
    )
    wrong = [
        FramePicture("mistake", pair, (_address(decode_frame(pair.record.path, min_size=SIZE[::-1])),))
        for pair in worst_mistakes(evaluation, mistakes if has_files else 0, MISTAKES_PER_VIDEO)
    ]
    p, targets, _ = evaluation.arrays()
    slices = {key: slice_metrics(evaluation, [key]) for key in slice_keys(evaluation, columns)}
    share = float(targets.mean())
    confusion = confusion_matrix(p, targets, evaluation.threshold).tolist()
    assert result.clips is not None
    filters = {
        "number": lambda value: "–" if math.isnan(value) else f"{value:.3f}",
        "percent": lambda value: "–" if math.isnan(value) else f"{value:.0%}",
        "bounds": lambda each: f"{each.low:.3f} – {each.high:.3f}" if each.is_bounded else "no CI",
        "place": lambda share: f"{100 * min(max(share, 0.0), 1.0):.2f}%",
    }
    page = page_template("flipdetect.evaluation", [TEMPLATE], filters).render(
        title=result.title,
        classes=evaluation.classes,
        evaluation=evaluation,
        tiles=[(title, result.ci[name]) for name, title in TILES.items()],
        calibration_error=result.facts["calibration"]["ece"],
        always=2 * share / (1 + share),
        matrices=[("Frames", confusion), ("Videos, by their highest frame", result.clips.matrix.tolist())],
        clips=result.clips,
        charts=list(_charts(evaluation)),
        slices=[(key, len(found), _rows(found, evaluation)) for key, found in slices.items()],
        overall=result.ci["recall"],
        robustness=result.robustness,
        mistakes=wrong,
        evidence=picture_evidence(evaluation, model) if has_files and explain and model is not None else [],
        facts=_provenance(result, model),
    )  # fmt: skip
    write_predictions(folder / PREDICTIONS, [(result.model, result.data_set, evaluation)])
    of_slices = [row for key, found in slices.items() for row in slices_as_dicts(found, [key])]
    content = {"robustness": None, **result.as_dict(), "confusion": confusion, "slices": of_slices}
    write_json(folder / METRICS, content)
    write_text(folder / PAGE, page)
    return folder / PAGE


def _charts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Title and address (data:) of each chart."""
    p, targets, _ = evaluation.arrays()
    threshold = evaluation.threshold
    yield "Precision and recall", _svg(plot_pr_curve(p, targets, threshold))
    yield "ROC", _svg(plot_roc_curve(p, targets, threshold, evaluation.metrics["auroc"]))
    if targets.any():
        curve = threshold_curve(p, targets, 201)
        metrics = {
            "F1": curve.f1,
            "precision": np.where(curve.recall > 0, curve.precision, np.nan),
            "recall": curve.recall,
        }
        yield "Threshold", _svg(plot_threshold_curve(curve.thresholds, metrics, threshold))
    yield "Probabilities", _svg(plot_score_histogram(p, targets, threshold, evaluation.classes))
    bins = reliability(p, targets)
    yield "Calibration", _svg(plot_reliability(bins.low, bins.high, bins.confidence, bins.frequency, bins.count))


def _rows(slices: Sequence[Slice], evaluation: Evaluation) -> list[SliceRow]:
    """The slices with CIs; of many only those with the lowest accuracy."""
    rows = []
    for each in slices:
        shares: dict[bool, Estimate | None] = {}
        for positive in (True, False):
            pairs = [p for p in each.members if (p.record.label == evaluation.classes.positive) == positive]
            videos = [pair.record.video for pair in pairs]
            p, _ = arrays(pairs, evaluation.classes)
            # The share of frames that are predicted positive: a recall, as if all were positive.
            shares[positive] = bootstrap_ci(
                p, np.ones(len(p)), videos, evaluation.threshold, metrics=("recall",), resamples=SLICE_RESAMPLES
            )["recall"] if pairs else None  # fmt: skip
        accuracy = float(np.mean([pair.score.label == pair.record.label for pair in each.members]))
        rows.append(SliceRow(" ".join(each.values), each.metrics, shares[True], shares[False], accuracy))
    return rows if len(rows) <= MOST_ROWS else sorted(rows, key=lambda row: row.accuracy)[:MOST_ROWS]


def _provenance(result: Result, model: Model | None) -> list[tuple[str, str]]:
    """What was evaluated on what, in order."""
    evaluation, digest = result.evaluation, hashlib.sha256()
    for record in sorted(evaluation.index.records, key=lambda each: each.path):
        name = name_below(record.path, evaluation.index.root)
        digest.update(f"{name}\0{record.label}\0{record.video}\n".encode("utf-8", "surrogateescape"))
    sources = len({record.source for record in evaluation.index.records} - {None})
    facts = [
        ("Data set", f"{result.data_set} ({evaluation.index.root.as_posix()})"),
        (
            "Frames",
            f"{len(evaluation.scored):,} of {evaluation.videos:,} videos" + f", {sources} sources" * bool(sources),
        ),
        ("Hash of names and labels", digest.hexdigest()[:HASH_DIGITS]),
        ("Model", result.model),
        ("Threshold", f"{evaluation.threshold:.4f}"),
    ]
    if model is not None:
        spec = model.preprocess
        size = f"{spec.height}x{spec.width} pixels, {'RGB' if spec.channels == 3 else 'grey'}, fit: {spec.fit}"
        own = abs(evaluation.threshold - model.threshold) < 1e-9
        facts[-1] = ("Threshold", f"{evaluation.threshold:.4f}, {'of the model' if own else 'not of the model'}")
        model_hash = file_digest(model.path)[:HASH_DIGITS]
        facts += [("Model file", model.path.name), ("SHA-256 of the model", model_hash), ("Input", size)]
        facts += [("Engine", model.runs_on)]
    return [*facts, ("Evaluated", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))]


def _svg(figure: Figure) -> str:
    """A figure as an image's address; text is drawn as paths, so that it looks alike everywhere."""
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "flipdetect"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii")


@dataclass(frozen=True)
class FramePicture:
    """A frame in the report, of a kind ("mistake", "true positive", ...), and what raises its logit, as addresses."""

    kind: str
    pair: ScoredRecord
    images: tuple[str, ...]


def picture_evidence(evaluation: Evaluation, model: Model) -> list[FramePicture]:
    """Grad-CAM, and the model's maps if it has them, for some frames of each kind of decision.

    Nothing if PyTorch, the library pytorch-grad-cam or the model's weights for PyTorch are missing, which is logged.
    """
    if find_spec("torch") is None:
        return []
    from flipdetect.evaluation.explain import explain
    from flipdetect.inference.torch_model import TorchModel, load_torch_model

    if isinstance(model, TorchModel):
        from_torch = model
    else:  # an exported model, which the weights lie next to
        weights = [path for suffix in (SUFFIX, ".ckpt") if (path := model.path.with_suffix(suffix)).is_file()]
        if not weights:
            return []
        from_torch = load_torch_model(weights[0], "cpu")

    chosen = examples(evaluation)
    try:
        found = explain(from_torch, [pair.record.path for _, pair in chosen])
    except (MissingExtraError, ModelError) as error:
        logger.warning("The report has no Grad-CAM pictures: %s", error)
        return []
    pictures = []
    for (kind, pair), each in zip(chosen, found, strict=True):
        images = [each.frame, heat_over(each.frame, each.heat)]
        images += [] if each.maps is None else [maps_over(each.frame, each.maps)]
        pictures.append(FramePicture(kind, pair, tuple(map(_address, images))))
    return pictures


def _address(frame: npt.NDArray[np.uint8]) -> str:
    address: str = embed_jpeg(frame, *SIZE, QUALITY)["address"]
    return address
