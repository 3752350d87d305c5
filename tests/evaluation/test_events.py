"""Found page turns against known ones."""

from pathlib import Path

import pytest

from flipdetect.errors import DataError
from flipdetect.evaluation.videos import POOLED, evaluate_turns, read_turns, turn_table

FOUND = "video,event,start_s,peak_s,end_s\na,1,1.0,1.5,2.0\na,2,5.0,5.5,6.0\n"
TRUE = "number,start_s,peak_s,end_s\n2,9.0,9.5,10.0\n1,1.1,1.5,2.6\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "book").mkdir()
    paths = tmp_path / "flips.csv", tmp_path / "book" / "events.csv"
    for path, text in zip(paths, (FOUND, TRUE), strict=True):
        path.write_text(text)
    return paths


def test_turns_are_matched_within_the_tolerance(files: tuple[Path, Path]) -> None:
    assert [turn.start_s for turn in read_turns(files[1])] == [1.1, 9.0]
    one, again, all_of_them = evaluate_turns([files, files])
    assert (one.name, one.metrics.matched, one.metrics.f1, one.strict.f1) == ("book", 1, 0.5, 0.0)
    assert again == one
    assert (all_of_them.name, all_of_them.metrics.found, all_of_them.metrics.f1) == (POOLED, 4, 0.5)
    assert evaluate_turns([files], tolerance_s=1.0)[0].strict.f1 == 0.5
    assert len(turn_table([one, all_of_them]).splitlines()) == 4
    assert one.as_dict()["absolute_end_error_s"] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video,start_s,peak_s,end_s\na,1,1,1\nb,2,2,2\n", "several videos"),
        ("start_s,peak_s\n1,1\n", "line 2"),
        ("start_s,peak_s,end_s\n1,x,2\n", "line 2"),
    ],
)
def test_unusable_files_are_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "flips.csv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_turns(tmp_path / "flips.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_turns(tmp_path / "absent.csv")
