"""Programs are run, timed and weighed in turns; one that fails is an error."""

import sys
from pathlib import Path

import pytest

from flipdetect.benchmark.running import BenchmarkError, Run, Workplace, in_turns, median, spread

REPORT = "import json, sys; json.dump({'n': sys.argv[1]}, open(sys.argv[sys.argv.index('--json') + 1], 'w'))"


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "work", tmp_path)


def test_a_program_is_timed_and_its_report_read(work: Workplace) -> None:
    held = bytearray(200_000_000)  # what this process holds is not the other's
    run = work.run([sys.executable, "-c", f"import time; time.sleep(0.2); {REPORT}"], 7, reports=True)
    assert run.report == {"n": "7"}
    assert 0.2 <= run.wall_s < 30
    assert 3 < run.peak_mb < 100
    assert len(held) == 200_000_000
    assert work.run([sys.executable, "-c", "x = bytearray(150_000_000)"]).peak_mb > 150


def test_a_program_that_fails_is_an_error_with_its_words(work: Workplace) -> None:
    with pytest.raises(BenchmarkError, match=r"status 3:\n.*it broke"):
        work.run([sys.executable, "-c", "import sys; print('it broke'); sys.exit(3)"])


def test_programs_run_where_told_and_import_this_checkout(work: Workplace, tmp_path: Path) -> None:
    (tmp_path / "own_module.py").write_text("")
    code = f"import own_module, os, sys; assert os.getcwd() == {str(tmp_path / 'there')!r}"
    work.run([sys.executable, "-c", code], cwd=tmp_path / "there")


def test_turns_go_forth_and_back() -> None:
    order: list[str] = []

    def program(name: str) -> Run:
        order.append(name)
        return Run(len(order), 0.0)

    found = in_turns({"a": lambda: program("a"), "b": lambda: program("b")}, 3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert [run.wall_s for run in found["a"]] == [1, 4, 5]


def test_medians() -> None:
    assert median([3, 1, 2]) == 2
    assert median([1, 2]) == 1.5
    assert spread([3.0, 1.0, 2.0], 1) == "2.0 (1.0 to 3.0)"
