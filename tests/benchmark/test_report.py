"""Findings survive as JSON, and the page says what was measured, where, and whether it suffices."""

from dataclasses import replace
from pathlib import Path

import pytest

from flipdetect.benchmark.figure import Figure, Findings, Table
from flipdetect.benchmark.machine import describe_machine
from flipdetect.benchmark.report import KEPT, Measured, Results, figure_text, page, write_page
from flipdetect.errors import DataError

FINDINGS = Findings(
    (
        Figure("pace", 3.456, "x", "at least", 3.0, "so"),
        Figure("loss", 0.02, "", "below", 0.01),
        Figure("plain", 123.4),
    ),
    (Table("Rows", ("name", "ms"), (("a", "1.5"), ("0001", "2")), "a note"),),
    {"seconds": [1.0, 2.0]},
)
PART = Measured(FINDINGS, {"date": "today", "load when it began": "0.1", "processor": "fast"}, 12.34)


@pytest.mark.parametrize(
    ("aim", "value", "met"), [("at least", 3.0, True), ("at least", 2.9, False), ("below", 3.0, False), ("", 9.0, None)]
)
def test_an_aim_is_met_or_not(aim: str, value: float, met: bool | None) -> None:
    assert Figure("x", value, aim=aim, goal=3.0).met is met  # type: ignore[arg-type]


def test_results_survive_as_json(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "results.json"
    Results({"startup": PART}).write(path)
    found = Results.read(path).parts["startup"]
    assert found.findings.figures == FINDINGS.figures
    assert found.findings.raw == FINDINGS.raw
    assert (found.machine, found.seconds, found.quick) == (PART.machine, 12.3, False)
    assert page(Results({"startup": found})) == page(Results({"startup": PART}))
    assert Results.read(tmp_path / "absent.json").parts == {}


@pytest.mark.parametrize("content", ["no json", "[]", '{"version": 99, "parts": {}}', '{"version": 1}'])
def test_what_is_no_benchmark_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"results\.json holds no benchmark"):
        Results.read(path)


def test_the_page_tells_figures_aims_machines_and_tables() -> None:
    elsewhere = replace(PART, machine={**PART.machine, "processor": "slow"})
    text = page(Results({"startup": elsewhere, "training": PART}))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert ["pace", "at least 3.00 x", "3.46 x", "yes", "so"] in rows
    assert ["loss", "below 0.010", "0.020", "**no**", ""] in rows
    assert ["plain", "", "123", "", ""] in rows
    assert ["0001", "2"] in rows
    assert ["processor", "fast"] in rows
    assert ["processor", "slow"] in rows
    assert ["training", "today", "0.1", "12"] in rows
    assert text.index("## Training") < text.index("## Start-up")
    assert "--quick" not in text
    assert "mean nothing" in page(Results({"startup": replace(PART, quick=True)}))
    assert "at least 3.00 x" in figure_text(FINDINGS.figures)


def test_what_was_written_by_hand_stays(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    results = Results({"startup": PART})
    write_page(results, path)
    first = path.read_text("utf-8")
    assert "## What did not pay" in first
    mine = f"{KEPT[0]}\n\n## What did not pay\n\nMuch | of it.\n\n{KEPT[1]}"
    path.write_text(first[: first.index(KEPT[0])] + mine + "\nlost\n")
    write_page(results, path)
    assert mine in path.read_text("utf-8")
    assert "lost" not in path.read_text("utf-8")


def test_a_machine_is_described() -> None:
    found = describe_machine()
    assert found["onnxruntime"][0].isdigit()
    assert all(found.values())
    assert "usable of" in found["cores"]
