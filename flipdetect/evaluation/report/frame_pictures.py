"""Pictures of frames for a report: the worst mistakes, and what raises the model's logit."""

from __future__ import annotations

import base64
import io
import logging
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from flipdetect.errors import ConfigError, ModelError
from flipdetect.evaluation.evaluate import Evaluation, ScoredRecord
from flipdetect.evaluation.spot_check import worst_mistakes
from flipdetect.inference.model import Model
from flipdetect.outputs.plots.frames import heat_over, maps_over
from flipdetect.sources.image import decode_frame
from flipdetect.zoo import SUFFIX

if TYPE_CHECKING:
    from flipdetect.inference.torch_model import TorchModel

SIZE = (300, 400)
"""Width and height in pixels that pictures fit into."""
QUALITY = 82
PER_KIND = 3
MISTAKES_PER_VIDEO = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FramePicture:
    """A frame in the report.

    Attributes:
        kind: "mistake", or "true positive" and so on.
        pair: the frame and its score.
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
    except (ConfigError, ModelError) as error:
        logger.warning("The report has no Grad-CAM pictures: %s", error)
        return []
    pictures = []
    for (kind, pair), each in zip(chosen, found, strict=True):
        images = [each.frame, heat_over(each.frame, each.heat)]
        images += [] if each.maps is None else [maps_over(each.frame, each.maps)]
        pictures.append(FramePicture(kind, pair, tuple(map(_address, images))))
    return pictures


def examples(evaluation: Evaluation, count: int = PER_KIND) -> list[tuple[str, ScoredRecord]]:
    """Frames of each kind of decision: the most confident errors, and correct ones with typical probabilities.

    No two are of one video, as far as there are enough.

    Args:
        evaluation: the scored frames.
        count: of each kind, at most.
    """
    positive = evaluation.classes.positive
    kinds: dict[str, list[ScoredRecord]] = {
        "true positive": [], "false negative": [], "false positive": [], "true negative": [],
    }  # fmt: skip
    for pair in evaluation.scored:
        correct, called = pair.score.label == pair.record.label, pair.score.label == positive
        kinds[f"{'true' if correct else 'false'} {'positive' if called else 'negative'}"].append(pair)
    chosen = []
    for kind, pairs in kinds.items():
        middle = float(np.median([pair.probability for pair in pairs])) if pairs else 0.0
        target = {"false negative": 0.0, "false positive": 1.0}.get(kind, middle)
        ordered = sorted(pairs, key=lambda pair: abs(pair.probability - target))
        first: dict[str, ScoredRecord] = {}
        for pair in ordered:
            first.setdefault(pair.record.video, pair)
        others = [pair for pair in ordered if first[pair.record.video] is not pair]
        chosen += [(kind, pair) for pair in [*first.values(), *others][:count]]
    return chosen


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
