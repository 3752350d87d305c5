"""What the weights that training starts from say about themselves."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from flipdetect.errors import ModelError
from flipdetect.models.base import FrameModel
from flipdetect.models.safetensors import read_facts
from flipdetect.models.weights import FLIPDETECT, IMAGENET, NO_WEIGHTS, TORCH_SUFFIXES, load_without_code
from flipdetect.runs import CHECKPOINT_KEY, stored_temperature
from flipdetect.tasks.decision import Decision
from flipdetect.zoo import SHIPPED, SUFFIX, shipped_path

STATISTICS_TOLERANCE = 0.05
"""By how much mean or standard deviation may differ from those of the pretraining, in units of full scale."""

logger = logging.getLogger(__name__)


def starting_decision(weights: str, model: nn.Module) -> Decision | None:
    """The decision threshold and temperature that initial weights carry; None if they carry no threshold.

    Args:
        weights: "none", "imagenet", "flipdetect" (what ships for the architecture of `model`), or the path of a file.
        model: that the weights are for.

    Raises:
        ModelError: if the file cannot be read, or the temperature is impossible.
    """
    facts = _facts(weights, model)
    if facts.get("threshold") is None:
        return None
    try:
        return Decision(float(facts["threshold"]), stored_temperature(facts))
    except (TypeError, ValueError) as error:
        raise ModelError(f"the weights {weights} are damaged or were changed: {error}") from error


def warn_of_other_statistics(model: FrameModel, preprocess: Any) -> None:
    """Log a warning if a pretrained backbone was trained on frames normalised in another way.

    Args:
        model: of any kind; without ImageNet weights there is nothing to warn of.
        preprocess: the `PreprocessSpec` in use; None if it is not known.
    """
    if model.trained_statistics is None or preprocess is None:
        return
    trained = np.array(model.trained_statistics)
    if len(preprocess.mean) == 1:  # the first layer's weights are summed over RGB
        trained = trained.mean(axis=1, keepdims=True)
    if np.abs(trained - [preprocess.mean, preprocess.std]).max() > STATISTICS_TOLERANCE:
        mean, std = trained.round(3).tolist()
        logger.warning(
            "the ImageNet weights were trained on frames normalised with mean %s and std %s, data.preprocess has mean "
            "%s and std %s: set data.preprocess.mean: %s and data.preprocess.std: %s",
            *(mean, std, list(preprocess.mean), list(preprocess.std), mean, std),
        )


def _facts(weights: str, model: nn.Module) -> Mapping[str, Any]:
    if weights in (NO_WEIGHTS, IMAGENET):
        return {}
    path = Path(weights)
    if weights == FLIPDETECT:
        architectures = {cls.__name__ for cls in type(model).__mro__}
        path = shipped_path(next(name for name, architecture in SHIPPED.items() if architecture in architectures))
    if path.suffix == SUFFIX:
        return read_facts(path) or {}
    content = load_without_code(path) if path.suffix in TORCH_SUFFIXES else {}
    facts = content.get(CHECKPOINT_KEY) if isinstance(content, Mapping) else None
    return facts if isinstance(facts, Mapping) else {}
