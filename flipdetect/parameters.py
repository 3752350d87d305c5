"""Parameters as plain numbers, for YAML: what all classes of them share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, ClassVar, Self

from flipdetect.errors import ConfigError


class PlainParameters:
    """To and from dictionaries of plain numbers; a base of frozen dataclasses.

    Attributes:
        SECTION: where the parameters stand in YAML, for messages.
    """

    SECTION: ClassVar[str] = ""

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists of numbers by name, as `from_dict` reads them."""
        values = asdict(self)  # type: ignore[call-overload]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Parameters from `to_dict`, from YAML or JSON; names left out keep their defaults.

        Raises:
            ConfigError: if a name is unknown, or a value cannot work.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})  # type: ignore[arg-type]
        require(not unknown, cls.SECTION, ", ".join(map(str, unknown)), "not known", "remove it, or correct its name")
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{cls.SECTION} parameters {dict(values)} cannot be used: {error}; give numbers"
            ) from error


def require(valid: bool, section: str, name: str, value: object, remedy: str) -> None:
    """Refuse a value.

    Raises:
        ConfigError: if it is not `valid`.
    """
    if not valid:
        raise ConfigError(f"{section}.{name} is {value}; {remedy}")
