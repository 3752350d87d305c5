"""Which values of a configuration a sweep varies, and how each is drawn: read from YAML and checked."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from flipdetect.errors import ConfigError
from flipdetect.evaluation.config_overrides import Config

_FIELDS = {
    "float": ({"low", "high"}, {"step"}),
    "log": ({"low", "high"}, set()),
    "int": ({"low", "high"}, {"step"}),
    "categorical": ({"choices"}, set()),
}
"""Kind -> what must and what may be said of it."""
Value = float | int | str | bool | None


class Trial(Protocol):
    """What is needed of Optuna's trial."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None = ..., log: bool = ...) -> float:
        """A number."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = ...) -> int:
        """A whole number."""

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of several."""


@dataclass(frozen=True)
class Range:
    """How one value is drawn.

    Attributes:
        name: dotted, of the value in the configuration.
        kind: "float", "log", "int" or "categorical".
        low, high: both ends included; None for choices.
        step: between neighbouring values; None for any.
        choices: of which one is drawn; empty for numbers.
    """

    name: str
    kind: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[Value, ...] = ()

    def draw(self, trial: Trial) -> Value:
        """A value, as the sweep's sampler suggests it."""
        if self.kind == "categorical":
            value: Value = trial.suggest_categorical(self.name, list(self.choices))
            return value
        assert self.low is not None
        assert self.high is not None
        if self.kind == "int":
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=int(self.step or 1))
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.kind == "log")


def load_space(path: Path, config: Config) -> tuple[Range, ...]:
    """Read a search space: dotted names mapped to kinds and their limits.

    Args:
        path: the YAML file; `configs/tune/tiny_cnn.yaml` explains its format.
        config: the complete configuration whose values are varied. `model.lr` may be written for
            `model.init_args.lr`, as on the command line of `train.py`.

    Raises:
        ConfigError: if the file cannot be read, a name is not in the configuration, or a range makes no sense.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(content, Mapping) or not content:
        raise ConfigError(f"{path} must map names of values, such as model.init_args.lr, to how they are drawn")
    ranges = tuple(_range(_full_name(str(name), config, path), said, path) for name, said in content.items())
    names = [each.name for each in ranges]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{path} names {name} twice")
    return ranges


def with_values(config: Config, values: Mapping[str, Value]) -> Config:
    """A copy of a configuration with other values, by dotted name."""
    changed = {**config}
    for name, value in values.items():
        *folders, last = name.split(".")
        place = changed
        for folder in folders:
            place[folder] = dict(place[folder])
            place = place[folder]
        place[last] = value
    return changed


def _full_name(name: str, config: Config, path: Path) -> str:
    first, _, rest = name.partition(".")
    known = _names(config)
    for candidate in (name, f"{first}.init_args.{rest}"):
        if candidate in known:
            return candidate
    near = difflib.get_close_matches(name, known, n=3)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ConfigError(
        f"{path} varies {name}, which the configuration does not have{meant} All there is: train.py with the same "
        "--config and --print_config"
    )


def _names(config: Mapping[str, Any], before: str = "") -> list[str]:
    """Dotted names of all values that are no mappings."""
    found = []
    for key, value in config.items():
        name = f"{before}{key}"
        found += _names(value, f"{name}.") if isinstance(value, Mapping) else [name]
    return found


def _range(name: str, said: Any, path: Path) -> Range:
    where = f"{path}, {name}: "
    kind = said.get("kind") if isinstance(said, Mapping) else None
    if kind not in _FIELDS:
        raise ConfigError(f"{where}needs a kind out of {', '.join(_FIELDS)}, got {said!r}")
    needed, allowed = _FIELDS[kind]
    given = set(said) - {"kind"}
    if unknown := given - needed - allowed:
        raise ConfigError(
            f"{where}kind {kind} has no {', '.join(sorted(unknown))}; it takes {_words(needed | allowed)}"
        )
    if missing := needed - given:
        raise ConfigError(f"{where}kind {kind} needs {_words(missing)}")
    if kind == "categorical":
        return Range(name, kind, choices=_choices(said["choices"], where))
    low, high, step = (_number(said.get(field), field, kind, where) for field in ("low", "high", "step"))
    assert low is not None
    assert high is not None
    if not low < high:
        raise ConfigError(f"{where}low must be below high, got {low} and {high}")
    if kind == "log" and low <= 0:
        raise ConfigError(f"{where}kind log needs a low above 0, got {low}")
    if step is not None and not 0 < step <= high - low:
        raise ConfigError(f"{where}step must lie above 0 and fit between low and high, got {step}")
    return Range(name, kind, low, high, step)


def _choices(said: Any, where: str) -> tuple[Value, ...]:
    if not isinstance(said, list) or len(said) < 2:
        raise ConfigError(f"{where}choices must be a list of at least two, got {said!r}")
    for choice in said:
        if choice is not None and not isinstance(choice, bool | int | float | str):
            raise ConfigError(f"{where}a choice is a number, a text, true, false or null, got {choice!r}")
    return tuple(said)


def _number(value: Any, field: str, kind: str, where: str) -> float | None:
    if value is None and field == "step":
        return None
    # YAML reads 1e-4 as a text: a number needs a point there.
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ConfigError(f"{where}{field} must be a number, got {value!r}")
    if kind == "int" and value != int(value):
        raise ConfigError(f"{where}{field} must be a whole number for kind int, got {value!r}")
    return value


def _words(names: set[str]) -> str:
    return ", ".join(sorted(names))
