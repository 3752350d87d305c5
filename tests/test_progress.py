"""Progress in a terminal and in a log."""

import io
import sys

import pytest

from flipdetect import progress
from flipdetect.progress import JobProgress, progress_bar


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


def test_a_job_has_one_bar_with_the_time_left_and_the_phase_named(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    now = [100.0]
    for name in ("tqdm.std.time", "flipdetect.progress.time", "flipdetect.progress.monotonic"):
        monkeypatch.setattr(name, lambda: now[0])
    job = JobProgress()
    job.plan("read", 100)
    job.plan("fetch", 300)  # a guess
    for done in range(0, 101, 10):
        job.show("read", "reading book", done)
        now[0] += 1
    job.plan("fetch", 100)
    for done in range(1, 5):
        now[0] += 2.5
        job.show("fetch", f"fetching stills, {done} of 4", 25 * done)
    job.show("pdf", "writing the PDF")
    job.close()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("reading book:   ")
    assert lines[-1].startswith("writing the PDF: 100%")
    assert any(line.startswith("fetching stills, 4 of 4") for line in lines)
    assert all(" so far, " in line and line.endswith(" left") for line in lines)
    seconds = [int(line.rsplit(":", 1)[1].split()[0]) for line in lines]
    assert seconds[0] > 20
    assert seconds[-1] == 0
    assert len(lines) <= 4
