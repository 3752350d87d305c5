"""Progress in a terminal and in a log."""

import io
import sys

import pytest

from flipdetect import progress
from flipdetect.progress import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


Captured = pytest.CaptureFixture[str]


def count(bar: object, steps: int) -> None:
    with bar:  # type: ignore[attr-defined]
        for _ in range(steps):
            bar.refresh()  # type: ignore[attr-defined]
            bar.update(1)  # type: ignore[attr-defined]


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(progress_bar(range(3), desc="counting")) == [0, 1, 2]
    assert "\r" in stream.getvalue()
    assert "100%|" in stream.getvalue()


def test_a_log_gets_a_line_at_the_start_and_at_the_end_however_often_it_moves(capsys: Captured) -> None:
    count(progress_bar(total=500, desc="rendering", unit="frame"), 500)
    text = capsys.readouterr().err
    lines = text.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("rendering:   0% 0/500 [")
    assert lines[1].startswith("rendering: 100% 500/500 [")
    assert "frame/s" in lines[1]
    assert "\r" not in capsys.readouterr().err


def test_a_log_gets_a_line_every_so_often(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    with progress_bar(total=10, desc="scoring") as bar:
        for _ in range(10):
            now[0] += 4.0
            bar.update(1)
            bar.refresh()
    done = [line.split("/10")[0].split()[-1] for line in capsys.readouterr().err.splitlines()]
    assert done == ["0", "3", "6", "9", "10"]


def test_what_is_interrupted_says_how_far_it_came(capsys: Captured) -> None:
    count(progress_bar(total=10, desc="scoring"), 4)
    assert [line[:17] for line in capsys.readouterr().err.splitlines()] == ["scoring:   0% 0/1", "scoring:  40% 4/1"]


@pytest.mark.parametrize("settings", [{"delay": 60}, {"disable": True}, {"delay": 60, "leave": False}])
def test_what_is_soon_done_or_switched_off_says_nothing(capsys: Captured, settings: dict) -> None:
    count(progress_bar(total=10, **settings), 10)
    assert list(progress_bar([1, 2], **settings)) == [1, 2]
    assert capsys.readouterr().err == ""


def test_without_a_total_it_counts(capsys: Captured) -> None:
    count(progress_bar(desc="frames"), 7)
    assert [line.split(" [")[0] for line in capsys.readouterr().err.splitlines()] == ["frames: 1it", "frames: 7it"]
