"""Tables of turns as people and their programs write them."""

from pathlib import Path

import pytest

from flipdetect.errors import DataError
from flipdetect.pipeline.corrected_pages import TurnRow, read_flips_csv

ROWS = [
    TurnRow(2, "bücher", "turn", 2.5, 3.25, 3.0, 4.0, 0, False),
    TurnRow(4, "bücher", "taken back", 72.0, 72.0, None, None, 90, True),
]
COMMAS = """video,kind,start_s,peak_s,end_s,still_time_s,rotate,still_doubt,my notes
bücher,turn,2.5,3.0,3.25,4,,,"a, b"
,,,,,,,,
bücher,taken back,1:12,7,,,90,"two, of them",
"""
SEMICOLONS = """"rotate";"video";"start_s";"peak_s";"KIND";"end_s";"still_time_s";"still_doubt"
;"bücher";2,500000;"3,0";;"3,250000";0:04,0;
;;;;;;;
90°;bücher;"1:12";;Taken back;;;x;;
"""


@pytest.mark.parametrize("text", [COMMAS, SEMICOLONS, SEMICOLONS.replace(";", "\t"), COMMAS.replace("\n", "\r\n")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_what_programs_write_is_read(tmp_path: Path, text: str, encoding: str) -> None:
    path = tmp_path / "flips.csv"
    path.write_text(text, encoding, newline="")
    assert read_flips_csv(path) == ROWS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "row 1: there is no column 'start_s'"),
        (b"time\n1\n", "row 1: there is no column 'start_s'; keep the first row"),
        (b"PK\3\4\0\0", "save the table as CSV (text), not as a workbook"),
        (b"start_s,end_s\n2,5,3,5\n", "row 2: 4 cells, but 2 columns; put cells with a ',' in them into quotes"),
        (b"start_s,kind\n,turn\n", "row 2, column start_s: it is empty; give the time of the turn"),
        (b"start_s,still_time_s\n1,x\n", "row 2, column still_time_s: 'x' is no time"),
    ],
)
def test_what_is_no_table_of_turns_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "flips.csv").write_bytes(content)
    with pytest.raises(DataError) as error:
        read_flips_csv(tmp_path / "flips.csv")
    assert "flips.csv" in str(error.value)
    assert said in str(error.value)
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        read_flips_csv(tmp_path / "none.csv")
