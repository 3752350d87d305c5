"""What a benchmark finds: figures with their aims, and tables beside them; plain JSON and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Aim = Literal["at least", "below", ""]


@dataclass(frozen=True)
class Figure:
    """One number.

    Attributes:
        name: what was measured, for the reader.
        value: the number.
        unit: "x" for a ratio, "s", "ms", "MB", ...; empty for a plain number.
        aim: which side of `goal` the value is to lie on; empty if there is no aim.
        goal: in the same unit.
        note: how it was found.
    """

    name: str
    value: float
    unit: str = ""
    aim: Aim = ""
    goal: float = 0.0
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value lies where it should; None without an aim."""
        if not self.aim:
            return None
        return self.value >= self.goal if self.aim == "at least" else self.value < self.goal


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers under a title."""

    title: str
    headers: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


@dataclass(frozen=True)
class Findings:
    """What one part found.

    Attributes:
        figures: the part's numbers, those with aims first.
        tables: what they were made of.
        raw: every single measurement, as JSON types.
    """

    figures: Sequence[Figure]
    tables: Sequence[Table] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "figures": [asdict(each) for each in self.figures],
            "tables": [asdict(each) for each in self.tables],
            "raw": dict(self.raw),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Findings:
        """The inverse of `to_dict`."""
        return cls(
            tuple(Figure(**each) for each in plain["figures"]),
            tuple(Table(**each) for each in plain["tables"]),
            plain["raw"],
        )
