"""How turns are found in a model's scores: which detector, with which parameters. A YAML file next to the model.

Its keys are those of `KEYS`: `threshold` is the model's when the parameters were learnt, `detector` is hmm or
hysteresis, and `hmm`, `hysteresis` and `stills` hold parameters by name, where what is left out keeps its default.
`clip_threshold` decides about short clips as a whole, by the highest probability of their frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from flipdetect.errors import ConfigError
from flipdetect.events.detectors import EventDetector, detect_events
from flipdetect.events.hmm import HmmDetector
from flipdetect.events.hysteresis import HysteresisDetector
from flipdetect.events.parameters import EventParameters, HysteresisParameters
from flipdetect.events.score_history import ScoredFrame
from flipdetect.records import FlipEvent
from flipdetect.stills.parameters import StillParameters

Detector = Literal["hmm", "hysteresis"]

SUFFIX = ".events.yaml"
PARTS = ("hmm", "hysteresis", "stills")
KEYS = ("threshold", "clip_threshold", "detector", *PARTS)
THRESHOLDS = ("threshold", "clip_threshold")
MOST_BYTES = 100_000
_EDGE = 1e-6


@dataclass(frozen=True)
class EventSettings:
    """All that finding turns and choosing stills needs besides scores.

    Attributes:
        detector: "hmm" or "hysteresis".
        hmm, hysteresis: parameters of the two.
        stills: what makes a good still.
        threshold: the frame threshold of the model that the parameters were learnt with; None if unknown.
        clip_threshold: a clip has a turn in it if its highest probability is at least this; None if unknown.

    Raises:
        ConfigError: if a value cannot work.
    """

    detector: Detector = "hmm"
    hmm: EventParameters = field(default_factory=EventParameters)
    hysteresis: HysteresisParameters = field(default_factory=HysteresisParameters)
    stills: StillParameters = field(default_factory=StillParameters)
    threshold: float | None = None
    clip_threshold: float | None = None

    def __post_init__(self) -> None:
        if self.detector not in get_args(Detector):
            raise ConfigError(f"events.detector must be hmm or hysteresis, got {self.detector!r}")
        for name in THRESHOLDS:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"events.{name} must lie between 0 and 1, got {value}")

    def find(self, frames: Iterable[ScoredFrame], video: str = "") -> list[FlipEvent]:
        """The turns of a whole file, by the chosen detector.

        Raises:
            DataError: if a time is not finite, or goes back.
        """
        return detect_events(frames, self.hmm if self.detector == "hmm" else self.hysteresis, video)

    def live(self, video: str = "") -> EventDetector:
        """The chosen detector for scores that come in one by one."""
        if self.detector == "hmm":
            return HmmDetector(self.hmm, video)
        return HysteresisDetector(self.hysteresis, video)

    def at_threshold(self, threshold: float) -> EventSettings:
        """The same for another frame threshold: with a higher one, a turn needs higher probabilities.

        The hysteresis takes it as its upper threshold and keeps the ratio to the lower one; the evidence of the hidden
        Markov model and the threshold of clips move by as many log-odds as the threshold did (by those from 0.5, if it
        is unknown what it was).

        Raises:
            ConfigError: if `threshold` is not between 0 and 1.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"the threshold must lie between 0 and 1, got {threshold}")
        shift = _logit(threshold) - _logit(0.5 if self.threshold is None else self.threshold)
        upper = max(threshold, _EDGE)
        ratio = self.hysteresis.lower / self.hysteresis.upper
        return replace(
            self,
            threshold=threshold,
            clip_threshold=None if self.clip_threshold is None else _probability(_logit(self.clip_threshold) + shift),
            hmm=replace(self.hmm, odds=tuple(value + shift for value in self.hmm.odds)),
            hysteresis=replace(self.hysteresis, upper=upper, lower=upper * ratio),
        )

    def to_dict(self) -> dict[str, Any]:
        """As `from_dict` reads it."""
        nested = {name: getattr(self, name).to_dict() for name in PARTS}
        return {**{name: getattr(self, name) for name in THRESHOLDS}, "detector": self.detector, **nested}

    @classmethod
    def from_dict(cls, values: Any) -> EventSettings:
        """Settings from YAML or JSON; what is left out keeps its default.

        Raises:
            ConfigError: if a key is unknown, or a value cannot work.
        """
        if not isinstance(values, dict) or not set(values) <= set(KEYS):
            raise ConfigError(f"expected a table with keys among {', '.join(KEYS)}, got {values!r:.200}")
        tables = {name: values.get(name) or {} for name in PARTS}
        wrong = [name for name, table in tables.items() if not isinstance(table, dict)]
        if wrong:
            raise ConfigError(f"expected a table under {wrong[0]}, got {values[wrong[0]]!r:.200}")
        thresholds = {name: values.get(name) for name in THRESHOLDS}
        for name, threshold in thresholds.items():
            if threshold is not None and not isinstance(threshold, (int, float)):
                raise ConfigError(f"events.{name} must be a number, got {threshold!r}")
        return cls(
            detector=values.get("detector") or "hmm",
            hmm=EventParameters.from_dict(tables["hmm"]),
            hysteresis=HysteresisParameters.from_dict(tables["hysteresis"]),
            stills=StillParameters.from_dict(tables["stills"]),
            **thresholds,
        )


def read_event_settings(path: Path) -> EventSettings:
    """Settings from a YAML file.

    Raises:
        ConfigError: if the file cannot be read, or holds something else.
    """
    import yaml

    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} has more than {MOST_BYTES} bytes; give the .events.yaml of a model")
        return EventSettings.from_dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"event settings {path} cannot be read: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def settings_of(model: Path) -> EventSettings:
    """The settings next to a model's file (`best.ckpt`: `best.events.yaml`), or the defaults.

    Raises:
        ConfigError: if the file there cannot be used.
    """
    path = model.with_suffix(SUFFIX)
    return read_event_settings(path) if path.is_file() else EventSettings()


def _logit(probability: float) -> float:
    bounded = min(max(probability, _EDGE), 1 - _EDGE)
    return math.log(bounded / (1 - bounded))


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
