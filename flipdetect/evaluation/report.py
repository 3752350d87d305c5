"""The report of an evaluation: an HTML page that needs nothing else, metrics as JSON, predictions as CSV.

No torch, but for Grad-CAM pictures.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from flipdetect.atomic import write_json, write_text
from flipdetect.errors import MissingExtraError, ModelError
from flipdetect.evaluation.evaluate import Evaluation, ScoredRecord, arrays, write_predictions
from flipdetect.evaluation.robustness import Robustness
from flipdetect.evaluation.slices import slice_keys, slice_metrics, slices_as_dicts, with_appearance
from flipdetect.evaluation.spot_check import examples, worst_mistakes
from flipdetect.evaluation.uncertainty import decision_facts, estimates_as_dict, evaluation_ci
from flipdetect.evaluation.videos import ClipEvaluation, evaluate_clips
from flipdetect.inference.model import Model
from flipdetect.metrics.bootstrap import Estimate, bootstrap_ci
from flipdetect.metrics.calibration import reliability
from flipdetect.metrics.threshold import confusion_matrix, threshold_curve
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

if TYPE_CHECKING:
    from flipdetect.inference.torch_model import TorchModel

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


def write_report(
    folder: Path,
    model_name: str,
    set_name: str,
    evaluation: Evaluation,
    model: Model | None = None,
    *,
    clips: ClipEvaluation | None = None,
    robustness: Robustness | None = None,
    columns: Sequence[str] = (),
    mistakes: int = 24,
    explain: bool = True,
) -> Path:
    """Write `index.html`, `metrics.json` and `predictions.csv` into a folder.

    Args:
        folder: made if need be; files of an earlier report are replaced.
        evaluation: the scored frames. Where files are missing (saved predictions), there are no pictures of frames.
        model: for Grad-CAM and facts; None for an ensemble or saved predictions.
        clips: decisions about whole videos; None: at the threshold for frames.
        columns: of the manifest, by which the data set is sliced too.

    Raises:
        OSError: if a file cannot be written.
    """
    has_files = all(pair.record.path.is_file() for pair in evaluation.scored[:1])
    evaluation = with_appearance(evaluation) if has_files else evaluation
    clips = clips or evaluate_clips(evaluation)
    ci = evaluation_ci(evaluation, metrics=list(TILES))
    p, targets, _ = evaluation.arrays()
    keys = slice_keys(evaluation, columns)
    slices = {key: slice_metrics(evaluation, [key]) for key in keys}
    facts = decision_facts(evaluation)
    share = float(targets.mean())
    confusion = confusion_matrix(p, targets, evaluation.threshold).tolist()
    page = _environment().get_template(TEMPLATE).render(
        title=f"{model_name} on {set_name}",
        classes=evaluation.classes,
        evaluation=evaluation,
        tiles=[(title, ci[name]) for name, title in TILES.items()],
        calibration_error=facts["calibration"]["ece"],
        always=2 * share / (1 + share),
        matrices=[("Frames", confusion), ("Videos, by their highest frame", clips.matrix.tolist())],
        clips=clips,
        charts=list(_charts(evaluation)),
        slices=[(key, len(found), _rows(found, evaluation)) for key, found in slices.items()],
        overall=ci["recall"],
        robustness=robustness,
        mistakes=picture_mistakes(evaluation, mistakes) if has_files else [],
        evidence=picture_evidence(evaluation, model) if has_files and explain and model is not None else [],
        facts=_provenance(set_name, evaluation, model_name, model),
    )  # fmt: skip
    write_predictions(folder / PREDICTIONS, [(model_name, set_name, evaluation)])
    write_json(
        folder / METRICS,
        {
            **evaluation.as_dict(model_name, set_name),
            "confusion": confusion,
            "ci": estimates_as_dict(ci),
            **facts,
            "clips": clips.as_dict(),
            "slices": [row for key, found in slices.items() for row in slices_as_dicts(found, [key])],
            "robustness": None if robustness is None else robustness.as_dict(),
        },
    )
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


def _rows(slices: Sequence[Any], evaluation: Evaluation) -> list[SliceRow]:
    """The slices with CIs; of many only those with the lowest accuracy."""
    rows = []
    for each in slices:
        correct = [pair.score.label == pair.record.label for pair in each.members]
        of_class: dict[bool, list[ScoredRecord]] = {True: [], False: []}
        for pair in each.members:
            of_class[pair.record.label == evaluation.classes.positive].append(pair)
        recall, alarms = (_share_called(of_class[kind], evaluation) for kind in (True, False))
        rows.append(SliceRow(" ".join(each.values), each.metrics, recall, alarms, float(np.mean(correct))))
    return rows if len(rows) <= MOST_ROWS else sorted(rows, key=lambda row: row.accuracy)[:MOST_ROWS]


def _share_called(pairs: Sequence[ScoredRecord], evaluation: Evaluation) -> Estimate | None:
    """The share of frames of one class that are predicted positive, with its CI: a recall, as if all were positive."""
    if not pairs:
        return None
    p, _ = arrays(pairs, evaluation.classes)
    videos = [pair.record.video for pair in pairs]
    return bootstrap_ci(
        p, np.ones(len(p)), videos, evaluation.threshold, metrics=("recall",), resamples=SLICE_RESAMPLES
    )["recall"]  # fmt: skip


def _provenance(set_name: str, evaluation: Evaluation, model_name: str, model: Model | None) -> list[tuple[str, str]]:
    """What was evaluated on what, in order."""
    digest = hashlib.sha256()
    for record in sorted(evaluation.index.records, key=lambda each: each.path):
        name = name_below(record.path, evaluation.index.root)
        digest.update(f"{name}\0{record.label}\0{record.video}\n".encode("utf-8", "surrogateescape"))
    sources = len({record.source for record in evaluation.index.records} - {None})
    facts = [
        ("Data set", f"{set_name} ({evaluation.index.root.as_posix()})"),
        (
            "Frames",
            f"{len(evaluation.scored):,} of {evaluation.videos:,} videos" + f", {sources} sources" * bool(sources),
        ),
        ("Hash of names and labels", digest.hexdigest()[:HASH_DIGITS]),
        ("Model", model_name),
        ("Threshold", f"{evaluation.threshold:.4f}"),
    ]
    if model is not None:
        spec = model.preprocess
        size = f"{spec.height}x{spec.width} pixels, {'RGB' if spec.channels == 3 else 'grey'}, fit: {spec.fit}"
        own = abs(evaluation.threshold - model.threshold) < 1e-9
        facts[-1] = ("Threshold", f"{evaluation.threshold:.4f}, {'of the model' if own else 'not of the model'}")
        with model.path.open("rb") as file:
            model_hash = hashlib.file_digest(file, "sha256").hexdigest()[:HASH_DIGITS]
        facts += [("Model file", model.path.name), ("SHA-256 of the model", model_hash), ("Input", size)]
        facts += [("Engine", model.runs_on)]
    return [*facts, ("Evaluated", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))]


def _svg(figure: Figure) -> str:
    """A figure as an image's address; text is drawn as paths, so that it looks alike everywhere."""
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "flipdetect"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _environment() -> Any:
    import jinja2

    text = resources.files("flipdetect.evaluation").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({TEMPLATE: text}), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        number=lambda value: "–" if math.isnan(value) else f"{value:.3f}",
        percent=lambda value: "–" if math.isnan(value) else f"{value:.0%}",
        bounds=lambda each: f"{each.low:.3f} – {each.high:.3f}" if each.is_bounded else "no CI",
        place=lambda share: f"{100 * min(max(share, 0.0), 1.0):.2f}%",
    )
    return environment


@dataclass(frozen=True)
class FramePicture:
    """A frame in the report.

    Attributes:
        kind: "mistake", or "true positive" and so on.
        images: addresses (data:) of the frame, and of what raises its logit.
    """

    kind: str
    pair: ScoredRecord
    images: tuple[str, ...]


def picture_mistakes(evaluation: Evaluation, count: int) -> list[FramePicture]:
    """The worst mistakes, the most confident first.

    Raises:
        FrameError: if a file that was scored can no longer be read.
    """
    pairs = worst_mistakes(evaluation, count, MISTAKES_PER_VIDEO)
    return [
        FramePicture("mistake", pair, (_address(decode_frame(pair.record.path, min_size=SIZE[::-1])),))
        for pair in pairs
    ]  # fmt: skip


def picture_evidence(evaluation: Evaluation, model: Model) -> list[FramePicture]:
    """Grad-CAM, and the model's maps if it has them, for some frames of each kind of decision.

    Nothing if PyTorch, the library pytorch-grad-cam or the model's weights for PyTorch are missing, which is logged.
    """
    from_torch = _torch_model(model)
    if from_torch is None:
        return []
    from flipdetect.evaluation.explain import explain

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


def _torch_model(model: Model) -> TorchModel | None:
    """The model as PyTorch runs it: itself, or that of the weights that an exported one lies next to."""
    if find_spec("torch") is None:
        return None
    from flipdetect.inference.torch_model import TorchModel, load_torch_model

    if isinstance(model, TorchModel):
        return model
    weights = (model.path.with_suffix(suffix) for suffix in (SUFFIX, ".ckpt"))
    found = next((path for path in weights if path.is_file()), None)
    return None if found is None else load_torch_model(found, "cpu")


def _address(frame: npt.NDArray[np.uint8]) -> str:
    image = Image.fromarray(frame)
    image.thumbnail(SIZE, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
