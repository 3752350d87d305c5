"""How a model's logits become a decision, chosen on a validation side: a temperature and a threshold."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields

from numpy.typing import ArrayLike

from flipdetect.errors import ConfigError
from flipdetect.metrics.calibration import calibrated, fit_temperature, logits_of, uncalibrated
from flipdetect.metrics.threshold import ThresholdCosts, choose_threshold
from flipdetect.runs import NO_TEMPERATURE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Decision:
    """What makes a decision of a logit.

    Attributes:
        threshold: a frame is positive if its probability is at least this.
        temperature: that logits are divided by to become probabilities.
    """

    threshold: float
    temperature: float = NO_TEMPERATURE

    @classmethod
    def of_own(cls, threshold: float, temperature: float) -> Decision:
        """From a threshold for the network's own probabilities, at temperature 1."""
        return cls(float(calibrated(threshold, temperature)), temperature)

    @property
    def own_threshold(self) -> float:
        """The same threshold for the network's own probabilities, at temperature 1."""
        return float(uncalibrated(self.threshold, self.temperature))


def choose_decision(
    probabilities: ArrayLike, targets: ArrayLike, costs: ThresholdCosts | None, *, fits_temperature: bool
) -> Decision:
    """Choose on a validation side.

    A temperature changes no order, so that both can be found on the network's own probabilities, and decisions are the
    same with and without.

    Args:
        probabilities: (N,) of the network, at temperature 1.
        targets: (N,) 0 or 1.
        costs: of mistakes, for the cheapest threshold; None for the one with the best F1.
        fits_temperature: whether a temperature is wanted; of a side with one class there is none.

    Raises:
        ValueError: if no threshold can be chosen, as none of the frames is positive.
    """
    own = choose_threshold(probabilities, targets, costs).threshold
    temperature = NO_TEMPERATURE
    if fits_temperature:
        try:
            temperature = fit_temperature(logits_of(probabilities), targets)
        except ValueError as error:
            logger.warning("The temperature is %g: %s", temperature, error)
    return Decision.of_own(own, temperature)


def read_costs(values: Mapping[str, float] | None) -> ThresholdCosts | None:
    """Costs as a configuration gives them; None if it gives none.

    Raises:
        ConfigError: if a name is unknown, or a cost cannot work.
    """
    if values is None:
        return None
    known = [field.name for field in fields(ThresholdCosts)]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"model threshold_costs has {unknown[0]!r}; it takes {' and '.join(known)}")
    return ThresholdCosts(**{name: float(value) for name, value in values.items()})
