"""How turns are found in a model's scores: a YAML file next to the model.

Its keys are those of `KEYS`: `threshold` is the model's when the parameters were learnt; `hmm` and `stills` hold
parameters by name, where what is left out keeps its default. `clip_threshold` decides about short clips as a whole, by
the highest probability of their frames.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from flipdetect.errors import ConfigError
from flipdetect.events.hmm import HmmDetector, detect_events
from flipdetect.events.parameters import EventParameters
from flipdetect.events.score_history import ScoredFrame
from flipdetect.records import FlipEvent
from flipdetect.stills.parameters import StillParameters

SUFFIX = ".events.yaml"
PARTS = ("hmm", "stills")
THRESHOLDS = ("threshold", "clip_threshold")
KEYS = (*THRESHOLDS, *PARTS)
REMOVED = {"detector", "hysteresis"}
"""Keys of versions before 0.3, which every file had; they meant nothing unless `detector` was hysteresis."""
MOST_BYTES = 100_000
PEAK_SHARE = 0.5
"""Share of the threshold that the clearest frame of a turn must reach."""
APART_S = 0.3
"""Seconds that a turn found below the model's own threshold must be away from those found before."""
LONG_TURN = 2.7
"""Standard deviations of the logarithm of durations above the median from which a turn is too long."""
MOST_STEPS = 4
"""Log-odds below the model's own threshold at which turns are still sought: beyond, resting pages count as turning."""
_EDGE = 1e-6


@dataclass(frozen=True)
class EventSettings:
    """All that finding turns and choosing stills needs besides scores.

    Attributes:
        threshold: the frame threshold of the model that the parameters were learnt with; None if unknown.
        clip_threshold: a clip has a turn in it if its highest probability is at least this; None if unknown.
        shift: log-odds by which the threshold that was asked for is higher than that.

    Raises:
        ConfigError: if a value cannot work.
    """

    hmm: EventParameters = field(default_factory=EventParameters)
    stills: StillParameters = field(default_factory=StillParameters)
    threshold: float | None = None
    clip_threshold: float | None = None
    shift: float = 0.0

    def __post_init__(self) -> None:
        for name in THRESHOLDS:
            value = getattr(self, name)
            if value is not None and not isinstance(value, int | float):
                raise ConfigError(f"events.{name} must be a number, got {value!r}")
            if value is not None and not 0 <= value <= 1:
                raise ConfigError(f"events.{name} must lie between 0 and 1, got {value}")

    @property
    def asked_threshold(self) -> float:
        """The frame threshold that was asked for; the model's own if none was."""
        return _probability(_logit(0.5 if self.threshold is None else self.threshold) + self.shift)

    @property
    def least_peak(self) -> float:
        """Probability that the clearest frame of a turn must reach: `PEAK_SHARE` of the threshold, moved with it."""
        base = 0.5 if self.threshold is None else self.threshold
        return _probability(_logit(PEAK_SHARE * base) + self.shift)

    @property
    def longest_turn_s(self) -> float:
        """Seconds that hardly any of the turns that the parameters were learnt from took."""
        return self.hmm.duration_median_s * math.exp(LONG_TURN * self.hmm.duration_spread)

    def find(self, frames: Iterable[ScoredFrame], video: str = "") -> list[FlipEvent]:
        """The turns of a whole file. With a higher threshold there are never more of them.

        Candidates do not depend on the threshold that was asked for; it only decides which of them count. Below the
        model's own, turns are added that are found with evidence moved by whole log-odds and touch none found before.

        Raises:
            DataError: if a time is not finite, or goes back.
        """
        frames = list(frames)
        found = detect_events(frames, self.hmm, video)
        for step in range(1, min(math.floor(-self.shift + _EDGE), MOST_STEPS) + 1):
            between = [(-math.inf, *(event.end_s for event in found)), (*(event.start_s for event in found), math.inf)]
            gaps = list(zip(*between, strict=True))
            moved = replace(self.hmm, odds=tuple(value - step for value in self.hmm.odds))
            found += [
                event
                for event in detect_events(frames, moved, video)
                if any(low + APART_S < event.start_s and event.end_s < high - APART_S for low, high in gaps)
            ]
            found.sort(key=lambda event: event.start_s)
        found = [event for event in found if event.peak_probability >= self.least_peak]
        return [replace(event, number=number) for number, event in enumerate(found, 1)]

    def live(self) -> HmmDetector:
        """The detector for scores that come in one by one."""
        return HmmDetector(self.hmm, self.least_peak)

    def at_threshold(self, threshold: float) -> EventSettings:
        """The same for another frame threshold than the model's own.

        The least peak of a turn and the threshold of clips move by as many log-odds as the threshold does (by those
        from 0.5, if it is unknown what it was); see `find`.

        Raises:
            ConfigError: if `threshold` is not between 0 and 1.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"the threshold must lie between 0 and 1, got {threshold}")
        shift = _logit(threshold) - _logit(0.5 if self.threshold is None else self.threshold)
        clips = None if self.clip_threshold is None else _probability(_logit(self.clip_threshold) + shift)
        return replace(self, shift=shift, clip_threshold=clips)

    def to_dict(self) -> dict[str, Any]:
        """As `from_dict` reads it."""
        thresholds = {name: getattr(self, name) for name in THRESHOLDS}
        return {**thresholds, **{name: getattr(self, name).to_dict() for name in PARTS}}

    @classmethod
    def from_dict(cls, values: Any) -> EventSettings:
        """Settings from YAML or JSON; what is left out keeps its default.

        Raises:
            ConfigError: if a key is unknown, or a value cannot work.
        """
        if isinstance(values, dict):
            if values.get("detector") not in (None, "hmm"):
                raise ConfigError(
                    f"events.detector is {values['detector']!r}, and only the hidden Markov model is left; "
                    "delete the keys detector and hysteresis"
                )
            values = {key: value for key, value in values.items() if key not in REMOVED}
        if not isinstance(values, dict) or not set(values) <= set(KEYS):
            raise ConfigError(f"expected a table with keys among {', '.join(KEYS)}, got {values!r:.200}")
        tables = {name: values.get(name) or {} for name in PARTS}
        wrong = [name for name, table in tables.items() if not isinstance(table, dict)]
        if wrong:
            raise ConfigError(f"expected a table under {wrong[0]}, got {values[wrong[0]]!r:.200}")
        thresholds: dict[str, Any] = {name: values.get(name) for name in THRESHOLDS}
        return cls(
            hmm=EventParameters.from_dict(tables["hmm"]),
            stills=StillParameters.from_dict(tables["stills"]),
            **thresholds,
        )


def read_event_settings(path: Path) -> EventSettings:
    """Settings from a YAML file; raises ConfigError if it cannot be read, or holds something else."""
    import yaml

    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} has more than {MOST_BYTES} bytes; give the .events.yaml of a model")
        return EventSettings.from_dict(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"event settings {path} cannot be read: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def chosen_settings(model: Path, events: Path | None = None, threshold: float | None = None) -> EventSettings:
    """The settings of a model's file, or of a YAML file `events`, moved to a threshold; a `ConfigError` if unusable."""
    found = settings_of(model) if events is None else read_event_settings(events)
    return found if threshold is None else found.at_threshold(threshold)


def settings_of(model: Path) -> EventSettings:
    """The settings next to a model's file (`best.ckpt`, `best.int8.onnx`: `best.events.yaml`), or the defaults."""
    path = model.with_name(model.name.removesuffix(model.suffix).removesuffix(".int8") + SUFFIX)
    return read_event_settings(path) if path.is_file() else EventSettings()


def _logit(probability: float) -> float:
    bounded = min(max(probability, _EDGE), 1 - _EDGE)
    return math.log(bounded / (1 - bounded))


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
