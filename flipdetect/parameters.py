"""Base of the settings that can stand in YAML: numbers and strings by name, checked when they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from flipdetect.errors import ConfigError


@dataclass(frozen=True)
class PlainParameters:
    """Base of frozen dataclasses of plain values, to and from dictionaries.

    Attributes:
        SECTION: where the parameters stand in YAML, for messages.
    """

    SECTION: ClassVar[str] = ""

    def to_dict(self) -> dict[str, Any]:
        """Values by name, tuples as lists, as `from_dict` reads them."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Parameters from `to_dict`, YAML or JSON; names left out keep their defaults.

        Raises:
            ConfigError: if a name is unknown or a value is invalid.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(map(str, values)) - set(known))
        if unknown:
            raise ConfigError(
                f"{cls.SECTION} has no parameter {', '.join(unknown)}; remove it, or choose among {', '.join(known)}"
            )
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{cls.SECTION} parameters {dict(values)} cannot be used: {error}; give numbers"
            ) from error

    def check(self, names: str, valid: Callable[[Any], bool], remedy: str) -> None:
        """Refuse the first of some values, whose names are separated by spaces, that is not `valid`.

        Raises:
            ConfigError: with the value, and `remedy`.
        """
        for name in names.split():
            value = getattr(self, name)
            if not valid(value):
                raise ConfigError(f"{self.SECTION}.{name} is {value}; {remedy}")
