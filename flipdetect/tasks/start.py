"""What the weights that training starts from say about themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from flipdetect.errors import ModelError
from flipdetect.models.packed import read_facts
from flipdetect.models.weights import FLIPDETECT, IMAGENET, NO_WEIGHTS, TORCH_SUFFIXES, load_without_code
from flipdetect.runs import CHECKPOINT_KEY, stored_temperature
from flipdetect.shipped import SHIPPED, SUFFIX, shipped_path
from flipdetect.tasks.decision import Decision


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
