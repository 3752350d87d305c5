"""Stills against the truth of a recording: good, hidden, missing, doubled, taken in a turn."""

import csv
import json
from pathlib import Path

import pytest

from flipdetect.errors import DataError
from flipdetect.evaluation.stills import StillFigures, TrueFrame, read_true_frames, still_figures
from flipdetect.outputs.flips import write_flips_json
from flipdetect.records import Still, VideoResult
from tests.scripts.test_scripts import script

# Four openings of two seconds with a turn of one second between them; 2 is never free of hands, the first halves of
# the others are not.
TRUTH = [
    TrueFrame(
        place / 10,
        None if place % 30 >= 20 else place // 30,
        0.3 if place // 30 == 2 or place % 30 < 10 else 0.0,
    )
    for place in range(120)
]


def still(number: int, time_s: float | None, flaw: str = "", same_as: int | None = None) -> Still:
    return Still(number, "book", 0.0, 0.0, time_s, None, None if time_s is None else 0.9, flaw, same_as)


def test_good_stills_are_counted() -> None:
    found = still_figures([still(1, 1.5), still(2, 4.5), still(3, 7.5, "covered"), still(4, 10.5)], TRUTH)
    assert found == StillFigures(openings=4, hidden=1, good=3, flagged=1)
    assert found.good_share == 1.0


def test_bad_stills_are_told_from_good_ones() -> None:
    found = still_figures([still(1, 0.5), still(2, 2.5), still(3, 4.4), still(4, 4.8), still(5, None)], TRUTH)
    # The first lies under a hand, the second was taken in a turn, two show the second opening, the others are missing.
    assert found == StillFigures(openings=4, hidden=1, good=1, missing=2, doubled=1, turning=1, flagged=0)


def test_a_repeat_that_was_recognised_is_not_doubled() -> None:
    assert still_figures([still(1, 1.5), still(2, 1.6, same_as=1)], TRUTH).doubled == 0
    assert still_figures([still(1, 1.5), still(2, 1.6)], TRUTH).doubled == 1


def write_truth(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("time_s", "spread", "occlusion"))
        table.writerows((f.time_s, "" if f.opening is None else f.opening, f.occlusion) for f in TRUTH)
    return path


def test_the_truth_is_read(tmp_path: Path) -> None:
    assert read_true_frames(write_truth(tmp_path / "truth.csv")) == TRUTH
    for text in ("", "time_s,spread,occlusion\n", "time_s\n1\n", "time_s,spread,occlusion\nx,1,0\n"):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(DataError, match=r"bad\.csv"):
            read_true_frames(tmp_path / "bad.csv")


def test_the_command_pools_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flips, truths = [], []
    for name in ("a", "b"):
        truths.append(str(write_truth(tmp_path / name / "truth.csv")))
        flips.append(str(tmp_path / name / "flips.json"))
        write_flips_json(Path(flips[-1]), [VideoResult("book", "book.mp4", 12.0, 120, (), (still(1, 1.5),))])
    output = tmp_path / "out.json"
    assert script("evaluate_stills")(["--flips", *flips, "--truth", *truths, "--json", str(output)]) == 0
    found = json.loads(output.read_text())
    assert found["all"]["good"] == 2
    assert found["a"]["missing"] == 3
    assert "good share" in capsys.readouterr().out
    assert script("evaluate_stills")(["--flips", str(tmp_path / "no.json"), "--truth", truths[0]]) == 1
