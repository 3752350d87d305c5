"""Findings as a page of the documentation, and as JSON from which the page can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tabulate import tabulate

from flipdetect.atomic import write_text
from flipdetect.benchmark.figure import Figure, Findings, Table
from flipdetect.errors import DataError

VERSION = 1
LOAD = "load when it began"
KEPT = ("<!-- kept: written by hand, not by the benchmark -->", "<!-- end of what is kept -->")
"""What stands between these lines stays as it is when the page is written anew."""

TITLES = {
    "training": "Training",
    "prediction": "Prediction",
    "size": "Size",
    "startup": "Start-up",
    "scale": "Scale",
}
"""Of the parts, in the order in which they are shown."""

HEAD = """# Benchmarks

This page is written by `make benchmark` (`python scripts/benchmark.py`), but for the section at its end. Figures are
ratios of what was measured side by side in one run, in turns, as medians. The yardstick is `scripts/plain_baseline.py`:
ImageFolder, PIL, torchvision transforms, a plain PyTorch loop, prediction of one image at a time, all at default
settings. The limit is the same network on frames that lie in memory, with the fastest settings known.
"""

KEPT_AT_FIRST = f"""{KEPT[0]}

## What did not pay

Nothing has been noted yet.

{KEPT[1]}
"""


@dataclass(frozen=True)
class Measured:
    """One part as it was measured.

    Attributes:
        findings: of the part.
        machine: on which, as `describe_machine` tells.
        seconds: that measuring took.
        quick: whether the work was too small for the figures to mean anything.
    """

    findings: Findings
    machine: Mapping[str, str]
    seconds: float
    quick: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return {
            "machine": dict(self.machine),
            "seconds": round(self.seconds, 1),
            "quick": self.quick,
            **self.findings.to_dict(),
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Measured:
        """The inverse of `to_dict`."""
        return cls(Findings.from_dict(plain), plain["machine"], plain["seconds"], plain["quick"])


@dataclass
class Results:
    """All parts that have been measured, by name."""

    parts: dict[str, Measured] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Results:
        """What an earlier run wrote; empty if there is none.

        Raises:
            DataError: if the file is no such thing.
        """
        if not path.is_file():
            return cls()
        try:
            content = json.loads(path.read_text("utf-8"))
            if content["version"] != VERSION:
                raise ValueError(f"version {content['version']}")
            return cls({name: Measured.from_dict(plain) for name, plain in content["parts"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} holds no benchmark of this program ({error}); remove it, or name another"
            ) from error

    def write(self, path: Path) -> None:
        """Write all parts as JSON, atomically."""
        plain = {"version": VERSION, "parts": {name: part.to_dict() for name, part in self.parts.items()}}
        write_text(path, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def write_page(results: Results, path: Path) -> None:
    """Write the page, keeping the section that is written by hand."""
    write_text(path, page(results, path.read_text("utf-8") if path.is_file() else ""))


def page(results: Results, before: str = "") -> str:
    """The page as Markdown.

    Args:
        results: the parts.
        before: the page as it was, whose kept section is taken over.
    """
    parts = {name: results.parts[name] for name in TITLES if name in results.parts}
    figures = [figure for part in parts.values() for figure in part.findings.figures]
    sections = [HEAD]
    if any(part.quick for part in parts.values()):
        sections.append("**Made with `--quick`: it shows that the benchmark runs, its figures mean nothing.**\n")
    if parts:
        sections.append(f"## Figures and aims\n\n{_figure_table(figures)}\n")
        sections.append(_machines(parts))
    for name, part in parts.items():
        tables = "\n\n".join(_table(table) for table in part.findings.tables)
        sections.append(f"## {TITLES[name]}\n\n{tables}\n")
    sections.append(_kept(before))
    return "\n".join(sections)


def figure_text(figures: Sequence[Figure]) -> str:
    """The figures for a terminal."""
    return tabulate([_cells(figure)[:-1] for figure in figures], headers=("figure", "aim", "measured", "met"))


def _figure_table(figures: Sequence[Figure]) -> str:
    headers = ("figure", "aim", "measured", "met", "how")
    return tabulate([_cells(figure) for figure in figures], headers=headers, tablefmt="github", disable_numparse=True)


def _cells(figure: Figure) -> tuple[str, ...]:
    aim = f"{figure.aim} {_number(figure.goal, figure.unit)}" if figure.aim else ""
    met = {True: "yes", False: "**no**", None: ""}[figure.met]
    return (figure.name, aim, _number(figure.value, figure.unit), met, figure.note)


def _number(value: float, unit: str) -> str:
    """Three significant digits, or so."""
    size = abs(value)
    text = f"{value:.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else ""
    text = text or (f"{value:.3f}" if size >= 0.0005 or value == 0 else f"{value:.1e}")
    return f"{text} {unit}".rstrip()


def _table(table: Table) -> str:
    body = tabulate(table.rows, headers=list(table.headers), tablefmt="github", disable_numparse=True)
    return "\n\n".join(text for text in (f"### {table.title}", body, table.note) if text)


def _machines(parts: Mapping[str, Measured]) -> str:
    """The machine of each part; those measured on the same one share a column."""
    columns: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, part in parts.items():
        same = tuple((key, value) for key, value in part.machine.items() if key not in ("date", LOAD))
        columns.setdefault(same, []).append(name)
    lines = [
        f"| {name} | {part.machine.get('date', '')} | {part.machine.get(LOAD, '')} | {part.seconds:.0f} |"
        for name, part in parts.items()
    ]
    when = "\n".join([f"| part | begun | {LOAD} | seconds |", "|---|---|---|---|", *lines])
    machines = [
        "\n".join([f"| {', '.join(names)} | |", "|---|---|", *(f"| {key} | {value} |" for key, value in same)])
        for same, names in columns.items()
    ]
    return "\n\n".join(("## The machine", when, *machines)) + "\n"


def _kept(before: str) -> str:
    first, last = KEPT
    start, end = before.find(first), before.find(last)
    return f"{before[start : end + len(last)]}\n" if 0 <= start < end else KEPT_AT_FIRST
