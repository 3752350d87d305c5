"""Save what a report is made of, while the model is at hand: scores, what was judged, pictures of some frames."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from flipdetect.atomic import replacing
from flipdetect.errors import ConfigError, DataError, ModelError
from flipdetect.evaluation.appearance import measure_files, texts
from flipdetect.evaluation.evaluate import Evaluation, Judged
from flipdetect.evaluation.explain import explain
from flipdetect.evaluation.mistakes import DEFAULT_COUNT, worst_mistakes
from flipdetect.evaluation.report import saved
from flipdetect.evaluation.report.drawing import MISTAKE
from flipdetect.evaluation.strengths import measure_strengths, some_videos
from flipdetect.evaluation.tables import write_json
from flipdetect.inference.load import load_model
from flipdetect.inference.model import Model
from flipdetect.inference.torch_model import TorchModel, read_model
from flipdetect.outputs.plots.overlay import heat_over, maps_over
from flipdetect.sources.folder import name_below
from flipdetect.sources.image import decode_frame
from flipdetect.zoo import SUFFIX

logger = logging.getLogger(__name__)

LEFT_OUT = ("mask", "twin")
"""Columns of a rendered set's table that say nothing of how hard a frame is."""
THUMBNAIL = (300, 400)
"""Width and height in pixels that pictures of frames fit into."""
QUALITY = 82
EXPLAINED = 3
"""Frames of each kind: found, missed, false alarm, rightly left alone."""
MISTAKES_PER_VIDEO = 2
METRICS_CSV = "metrics.csv"
SET_DESCRIPTION = "dataset.json"
HASH_DIGITS = 16


@dataclass(frozen=True)
class Extras:
    """What a report may have besides scores.

    Attributes:
        mistakes: how many of the most confident mistakes are shown.
        explain: whether Grad-CAM pictures are made, if the library is there.
        robustness_frames: frames that are also scored changed; 0 for none.
        slices: further columns of the manifest to cut the set by.
        clip_thresholds: by aggregation, a threshold of videos and where it comes from.
    """

    mistakes: int = DEFAULT_COUNT
    explain: bool = True
    robustness_frames: int = 0
    slices: tuple[str, ...] = ()
    clip_thresholds: Mapping[str, tuple[float, str]] | None = None


def collect(
    folder: Path,
    model: str,
    set_name: str,
    evaluation: Evaluation,
    bundle: TorchModel | None,
    *,
    side: str | None = None,
    extras: Extras | None = None,
) -> None:
    """Write everything that `make_report` needs into a folder; what an earlier report had saved there is replaced.

    Args:
        folder: of the report; made if need be.
        model, set_name: names, as readers know them.
        evaluation: the judged frames.
        bundle: the model; None for a committee of several, which has no file and cannot be explained.
        side: of a split, if only that was judged.
        extras: what else to save.

    Raises:
        DataError: if the folder holds other things than a report, or a frame can no longer be read.
        OSError: if a file cannot be written.
    """
    extras = extras or Extras()
    _clear(folder)
    records = [record for record, _ in evaluation.all_frames()]
    measured = [texts(each) for each in measure_files([record.path for record in records])]
    scored = _scored(evaluation, measured)
    judged = _judged(model, set_name, evaluation, bundle, side, extras)
    saved.write_scored(folder / saved.PREDICTIONS, scored, judged)
    pictured = [
        saved.PicturedFrame(MISTAKE, *_facts(pair, _thumbnail(folder, f"mistake-{number:02d}", pair)))
        for number, pair in enumerate(worst_mistakes(evaluation, extras.mistakes, MISTAKES_PER_VIDEO), start=1)
    ]
    if bundle is not None:
        pictured += _explained(folder, evaluation, bundle) if extras.explain else []
        history = bundle.path.with_name(METRICS_CSV)
        if history.is_file():
            with replacing(folder / saved.TRAINING) as part:
                shutil.copyfile(history, part)
        if extras.robustness_frames:
            chosen = some_videos(evaluation.index, extras.robustness_frames)
            write_json(folder / saved.ROBUSTNESS, measure_strengths(_quickest(bundle), chosen, evaluation.threshold))
    saved.write_pictured(folder, pictured)
    # Last: a folder with this file is whole.
    saved.write_judged(folder, judged)


def _clear(folder: Path) -> None:
    """Remove what an earlier report saved, so that none of it stands beside other scores."""
    ours = (folder / saved.JUDGED).is_file()
    if folder.is_dir() and not ours and any(folder.iterdir()):
        known = {saved.PREDICTIONS, saved.PICTURED, saved.ROBUSTNESS, saved.TRAINING, saved.FRAMES_FOLDER}
        other = sorted(path.name for path in folder.iterdir() if path.name not in known)
        if other:
            raise DataError(
                f"{folder} holds other things ({', '.join(other[:3])}) and no report; name a new folder with --report"
            )
    for name in (saved.JUDGED, saved.PREDICTIONS, saved.PICTURED, saved.ROBUSTNESS, saved.TRAINING):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / saved.FRAMES_FOLDER, ignore_errors=True)


def _quickest(bundle: TorchModel) -> Model:
    """The same model as ONNX Runtime runs it, several times as fast on a CPU, if it is one that ships exported."""
    if bundle.path.suffix != SUFFIX or bundle.task.device.type != "cpu":
        return bundle
    return load_model(bundle.path, device="cpu")


def _scored(evaluation: Evaluation, measured: Sequence[tuple[str, ...]]) -> saved.Scored:
    pairs = list(evaluation.all_frames())
    names = list(dict.fromkeys(name for record, _ in pairs for name in record.extra if name not in LEFT_OUT))
    columns = {name: tuple(record.extra.get(name, "") for record, _ in pairs) for name in names}
    columns |= dict(zip(saved.MEASURED, zip(*measured, strict=True), strict=True))
    return saved.Scored(
        paths=tuple(score.path for _, score in pairs),
        videos=tuple(record.video for record, _ in pairs),
        frames=tuple("" if record.frame is None else str(record.frame) for record, _ in pairs),
        sources=tuple(record.source or "" for record, _ in pairs),
        targets=np.array([evaluation.classes.target(record.label) for record, _ in pairs], np.int64),
        probabilities=np.array([np.nan if s.probability is None else s.probability for _, s in pairs], np.float64),
        errors=tuple(score.error for _, score in pairs),
        columns=columns,
    )


def _judged(
    model: str, set_name: str, evaluation: Evaluation, bundle: TorchModel | None, side: str | None, extras: Extras
) -> saved.Judged:
    facts: dict[str, str] = {}
    origin, file, digest = "the mean of the models' own, as logits", "", ""
    if bundle is not None:
        stored, _ = read_model(bundle.path)
        file, digest = bundle.path.name, _hash_file(bundle.path)
        own = abs(evaluation.threshold - bundle.threshold) < 1e-9
        origin = threshold_origin(stored) if own else "chosen for this evaluation, not the model's own"
        facts = model_facts(bundle, stored)
    return saved.Judged(
        model=model,
        set_name=set_name,
        threshold=evaluation.threshold,
        threshold_origin=origin,
        classes=evaluation.classes,
        side=side,
        folder=evaluation.index.root.as_posix(),
        model_file=file,
        model_hash=digest,
        set_hash=_hash_set(evaluation),
        data_version=data_version(evaluation.index.root),
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        facts=facts,
        clip_thresholds=dict(extras.clip_thresholds or {}),
        slices=extras.slices,
    )


def threshold_origin(stored: Mapping[str, Any]) -> str:
    """Where a model's threshold comes from, in words."""
    card = stored.get("card")
    if isinstance(card, Mapping) and card.get("threshold_origin"):
        return f"stored in the model: {card['threshold_origin']}"
    return "stored in the model: the best F1 on the validation side of its training, or kept from the starting weights"


def model_facts(bundle: TorchModel, stored: Mapping[str, Any]) -> dict[str, str]:
    """What a reader wants to know of a model, in order.

    Args:
        bundle: the model.
        stored: what its file says of it.
    """
    card = stored.get("card") if isinstance(stored.get("card"), Mapping) else {}
    assert isinstance(card, Mapping)
    spec = bundle.preprocess
    parameters = sum(each.numel() for each in bundle.task.model.parameters())
    evidence = "; the logit is made of maps" if bundle.task.model.has_maps and bundle.task.model.head is None else ""
    temperature = float(stored.get("temperature", 1.0))
    facts = {
        "Architecture": f"{type(bundle.task.model).__name__}, {parameters:,} parameters{evidence}",
        "Input": f"{spec.height}x{spec.width} pixels, {'RGB' if spec.channels == 3 else 'grey'}, fit: {spec.fit}",
        "Trained from commit": str(card.get("git") or stored.get("git") or ""),
        "Temperature": "" if temperature == 1.0 else f"{temperature:.3f}, which its logits are divided by",
        "Run by": bundle.runs_on,
    }
    return {name: text for name, text in facts.items() if text}


def data_version(root: Path) -> str:
    """What a rendered set says of how it was made; empty for other sets."""
    try:
        made = json.loads((root / SET_DESCRIPTION).read_text(encoding="utf-8"))
        settings = ", ".join(f"{name} {value}" for name, value in made["config"].items() if value not in ("", None))
        return f"rendered by {made['maker']}, version {made['version']} ({settings})"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_DIGITS]


def _hash_set(evaluation: Evaluation) -> str:
    """Of names, labels and videos: equal for equal sets, wherever they lie; the pixels do not count."""
    digest = hashlib.sha256()
    for record in sorted(evaluation.index.records, key=lambda each: each.path):
        name = name_below(record.path, evaluation.index.root)
        digest.update(f"{name}\0{record.label}\0{record.video}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:HASH_DIGITS]


def _explained(folder: Path, evaluation: Evaluation, bundle: TorchModel) -> list[saved.PicturedFrame]:
    chosen = examples(evaluation)
    try:
        found = explain(bundle, [pair.record.path for _, pair in chosen])
    except (ConfigError, ModelError) as error:
        logger.warning("The report has no pictures of what the model looks at: %s", error)
        return []
    pictured = []
    for number, ((role, pair), each) in enumerate(zip(chosen, found, strict=True), start=1):
        stem = f"look-{number:02d}"
        frame = _save(folder, f"{stem}-frame", each.frame)
        heat = _save(folder, f"{stem}-heat", heat_over(each.frame, each.heat))
        maps = "" if each.maps is None else _save(folder, f"{stem}-maps", maps_over(each.frame, each.maps))
        pictured.append(saved.PicturedFrame(role, *_facts(pair, frame), heat=heat, maps=maps))
    return pictured


def examples(evaluation: Evaluation, count: int = EXPLAINED) -> list[tuple[str, Judged]]:
    """Frames of each kind of decision, with the kind: of wrong ones the most confident, of right ones typical ones.

    No two are of one video, as far as there are enough.

    Args:
        evaluation: the judged frames.
        count: of each kind, at most.
    """
    positive = evaluation.classes.positive
    kinds: dict[str, list[Judged]] = {"hit": [], "miss": [], "alarm": [], "rest": []}
    for pair in evaluation.judged:
        is_positive, called = pair.record.label == positive, pair.score.label == positive
        kinds[("hit" if called else "miss") if is_positive else ("alarm" if called else "rest")].append(pair)
    chosen = []
    for role, pairs in kinds.items():
        if role in ("miss", "alarm"):
            ordered = sorted(pairs, key=lambda pair: pair.probability, reverse=role == "alarm")
        else:
            middle = float(np.median([pair.probability for pair in pairs])) if pairs else 0.0
            ordered = sorted(pairs, key=lambda pair: abs(pair.probability - middle))
        first: dict[str, Judged] = {}
        for pair in ordered:
            first.setdefault(pair.record.video, pair)
        others = [pair for pair in ordered if first[pair.record.video] is not pair]
        chosen += [(role, pair) for pair in [*first.values(), *others][:count]]
    return chosen


def _facts(pair: Judged, file: str) -> tuple[str, str, float, str]:
    return pair.score.path, pair.record.label, round(pair.probability, 6), file


def _thumbnail(folder: Path, stem: str, pair: Judged) -> str:
    width, height = THUMBNAIL
    return _save(folder, stem, decode_frame(pair.record.path, min_size=(height, width)))


def _save(folder: Path, stem: str, frame: npt.NDArray[np.uint8]) -> str:
    name = f"{saved.FRAMES_FOLDER}/{stem}.jpg"
    image = Image.fromarray(frame)
    image.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
    with replacing(folder / name) as part:
        image.save(part, format="JPEG", quality=QUALITY, optimize=True)
    return name
