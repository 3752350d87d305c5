"""From logits to decisions: the threshold and the temperature, chosen on validation or taken from initial weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from numpy.typing import ArrayLike
from torch import nn

from flipdetect.errors import ConfigError, ModelError
from flipdetect.metrics.calibration import calibrated, fit_temperature, logits_of
from flipdetect.metrics.threshold import ThresholdCosts, choose_threshold
from flipdetect.models.weights import TORCH_SUFFIXES, load_without_code, read_facts, weights_path
from flipdetect.runs import CHECKPOINT_KEY, NO_TEMPERATURE, stored_temperature
from flipdetect.zoo import SUFFIX

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """How a logit becomes a class.

    Attributes:
        threshold: a frame is positive if its probability is at least this.
        temperature: logits are divided by it to become probabilities.
    """

    threshold: float
    temperature: float = NO_TEMPERATURE

    @property
    def own_threshold(self) -> float:
        """The same threshold for the network's own probabilities, at temperature 1."""
        return float(calibrated(self.threshold, 1 / self.temperature))


def choose_decision(
    probabilities: ArrayLike, targets: ArrayLike, costs: ThresholdCosts | None, *, fits_temperature: bool
) -> Decision:
    """Choose threshold and temperature on a validation split, by probabilities (N,) of the network at temperature 1.

    A temperature does not change the order of frames, so both are chosen on the network's own probabilities, and the
    classes are the same with and without it. With a single class it stays 1.

    Raises:
        ValueError: if no threshold can be chosen because none of the frames is positive.
    """
    own = choose_threshold(probabilities, targets, costs).threshold
    temperature = NO_TEMPERATURE
    if fits_temperature:
        try:
            temperature = fit_temperature(logits_of(probabilities), targets)
        except ValueError as error:
            logger.warning("The temperature is %g: %s", temperature, error)
    return Decision(float(calibrated(own, temperature)), temperature)


def read_costs(values: Mapping[str, float] | None) -> ThresholdCosts | None:
    """Costs from a configuration; None if it has none. A `ConfigError` if a name or cost is impossible."""
    if values is None:
        return None
    known = [field.name for field in fields(ThresholdCosts)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"model threshold_costs has {unknown[0]!r}; it takes {' and '.join(known)}")
    return ThresholdCosts(**{name: float(value) for name, value in values.items()})


def starting_decision(weights: str, model: nn.Module) -> Decision | None:
    """The threshold and temperature stored with initial weights, as the task names them; None without a threshold.

    Raises:
        ModelError: if the file cannot be read, or the temperature is impossible.
    """
    path = weights_path(weights, model)
    facts: Any = None
    if path is not None and path.suffix == SUFFIX:
        facts = read_facts(path)
    elif path is not None and path.suffix in TORCH_SUFFIXES:
        content = load_without_code(path)
        facts = content.get(CHECKPOINT_KEY) if isinstance(content, Mapping) else None
    if not isinstance(facts, Mapping) or facts.get("threshold") is None:
        return None
    try:
        return Decision(float(facts["threshold"]), stored_temperature(facts))
    except (TypeError, ValueError) as error:
        raise ModelError(f"the weights {weights} are damaged or were changed: {error}") from error
