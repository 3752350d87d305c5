"""Predictions are written as they come, survive an interruption, are gone on with, and are read back."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.errors import DataError
from flipdetect.outputs.predictions import COLUMNS, PredictionWriter, read_predictions
from flipdetect.records import FrameQuality, FrameScore

SCORES = [
    FrameScore(
        "a/0001_000000010.jpg", "flip/0001", 10, 0.98765432, "flip", "", 1 / 3,
        FrameQuality(152.3456789, 0.99, 0.25, 0.001, "0f3c"),
    ),
    FrameScore(
        "a/0001_000000011.jpg", "flip/0001", 11, 0.0000004, "notflip", "", 11 / 30,
        FrameQuality(0.0012, 1.0, None, None, "ff00"),
    ),
    FrameScore('two, words/本"x".jpg', "本", None, 1.0, "flip"),
    FrameScore("a/empty.jpg", "flip/0001", 12, error="the file is empty (0 bytes)"),
]  # fmt: skip
GOLDEN = """\
path,video,frame,time_s,probability,label,error,sharpness,exposure,coverage,motion,fingerprint
a/0001_000000010.jpg,flip/0001,10,0.333333,0.987654,flip,,152.346,0.990000,0.250000,0.001000,0f3c
a/0001_000000011.jpg,flip/0001,11,0.366667,0.000000,notflip,,0.0012,1.000000,,,ff00
"two, words/本""x"".jpg",本,,,1.000000,flip,,,,,,
a/empty.jpg,flip/0001,12,,,,the file is empty (0 bytes),,,,,
"""
OLD = """\
path,video,frame,probability,label,error
a/0001_000000010.jpg,flip/0001,10,0.987654,flip,
a/empty.jpg,flip/0001,12,,,the file is empty (0 bytes)
"""
EMPTY = "," * 5


def write(path: Path, scores: list[FrameScore]) -> None:
    with PredictionWriter(path) as writer:
        writer.write(scores)


def test_golden_predictions(tmp_path: Path) -> None:
    write(tmp_path / "predictions.csv", SCORES)
    assert (tmp_path / "predictions.csv").read_bytes() == GOLDEN.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_rows_can_be_read_before_the_end(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path / "new" / "folder" / "out.csv") as writer:
        assert writer.part_path == tmp_path / "new" / "folder" / "out.csv.part"
        for number, score in enumerate(SCORES, start=1):
            writer.write([score])
            assert len(read_predictions(writer.part_path)) == number
        assert not writer.part_path.with_suffix("").exists()


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_keeps_the_rows_and_the_earlier_output(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    output = tmp_path / "out.csv"
    write(output, SCORES[:1])

    def interrupted() -> None:
        with PredictionWriter(output) as writer:
            writer.write(SCORES[:3])
            raise interruption

    with pytest.raises(interruption):
        interrupted()
    assert len(read_predictions(tmp_path / "out.csv.part")) == 3
    assert len(read_predictions(output)) == 1


@pytest.mark.parametrize("output", [None, Path("-")])
def test_a_stream_gets_the_same_text_and_stays_open(output: Path | None) -> None:
    stream = io.StringIO()
    with PredictionWriter(output, stream) as writer:
        assert writer.part_path is None
        writer.write(SCORES)
    assert stream.getvalue() == GOLDEN


def test_a_writer_needs_a_goal_and_its_with_block(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no stream"):
        PredictionWriter(None)
    with pytest.raises(ValueError, match="with block"):
        PredictionWriter(tmp_path / "out.csv").write(SCORES)


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
share = st.integers(0, 10**6).map(lambda value: value / 10**6)
seconds = st.none() | st.integers(-(10**6), 10**10).map(lambda value: value / 10**6)
quality = st.none() | st.builds(
    FrameQuality,
    st.floats(0, 1e9).map(lambda value: float(f"{value:.6g}")),
    share,
    st.none() | share,
    st.none() | share,
    st.text("0123456789abcdef", max_size=16),
)
number = st.none() | st.integers(0, 10**12)
reason = text.filter(bool)
scored = st.builds(FrameScore, text, text, number, share, reason, time_s=seconds, quality=quality)
failed = st.builds(FrameScore, text, text, number, error=reason, time_s=seconds, quality=quality)


@given(st.lists(scored | failed, max_size=6))
@settings(max_examples=150, deadline=None)
def test_what_is_written_is_read(scores: list[FrameScore]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "out.csv", scores)
        assert read_predictions(Path(folder) / "out.csv") == scores


@pytest.mark.skipif(sys.platform != "linux", reason="file names of any bytes")
def test_a_file_name_that_is_no_utf8_keeps_its_bytes(tmp_path: Path) -> None:
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    write(tmp_path / "out.csv", [FrameScore(name, "v", 1, 0.5, "flip")])
    assert b"caf\xe9.jpg" in (tmp_path / "out.csv").read_bytes()
    assert read_predictions(tmp_path / "out.csv")[0].path == name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: expected the columns"),
        ("path,label\n", "line 1: expected the columns"),
        (GOLDEN + "a,b\n", "line 6: expected 12 columns, got 2"),
        (GOLDEN + f"a,b,1,,high,flip,{EMPTY}\n", "line 6: .*'high'"),
        (GOLDEN + f"a,b,1,,1.5,flip,{EMPTY}\n", r"line 6: probability '1\.5' is not in \[0, 1\]"),
        (GOLDEN + f"a,b,1,,nan,flip,{EMPTY}\n", "line 6: probability 'nan'"),
        (GOLDEN + f"a,b,1,,,,{EMPTY}\n", "line 6: neither"),
        (GOLDEN + f"a,b,one,,0.5,flip,{EMPTY}\n", "line 6: .*'one'"),
        (GOLDEN + f"a,b,1,inf,0.5,flip,{EMPTY}\n", "line 6: time_s 'inf' is not a finite number"),
        (GOLDEN + "a,b,1,,0.5,flip,,1,,,,\n", "line 6: sharpness and exposure are needed"),
        (GOLDEN + "a,b,1,,0.5,flip,,-1,1,,,\n", "line 6: sharpness '-1' is below 0"),
        (GOLDEN + "a,b,1,,0.5,flip,,1,1,2,,\n", r"line 6: coverage '2' is not in \[0, 1\]"),
        (GOLDEN + "a,b,1,,0.5,flip,,1,1,,,xyz\n", "line 6: fingerprint 'xyz'"),
        (GOLDEN + 'a,"b', "line 6"),
        (OLD + "a,b\n", "line 4: expected 6 columns, got 2"),
    ],
)
def test_an_unreadable_row_is_named_by_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "out.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"out\.csv, {message}"):
        read_predictions(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        read_predictions(tmp_path / "none.csv")


def test_a_table_of_an_older_release_is_read(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text(OLD, encoding="utf-8")
    assert read_predictions(tmp_path / "out.csv") == [
        FrameScore("a/0001_000000010.jpg", "flip/0001", 10, 0.987654, "flip"),
        FrameScore("a/empty.jpg", "flip/0001", 12, error="the file is empty (0 bytes)"),
    ]


MULTILINE = FrameScore('line\nbreak, "quoted"', "本", 1, 0.5, "flip", "", 1.0)


def test_a_part_file_cut_anywhere_gives_its_whole_rows_and_is_gone_on_with(tmp_path: Path) -> None:
    scores = [SCORES[2], MULTILINE, SCORES[3]]
    write(tmp_path / "whole.csv", scores)
    whole = (tmp_path / "whole.csv").read_bytes()
    expected = read_predictions(tmp_path / "whole.csv")
    part, output = tmp_path / "out.csv.part", tmp_path / "out.csv"
    counts = set()
    for length in range(len(whole) + 1):
        part.write_bytes(whole[:length])
        found = read_predictions(part)
        assert found == expected[: len(found)]
        counts.add(len(found))
        with PredictionWriter(output, resume=True) as writer:
            assert list(writer.resumed) == found
            writer.write(scores[len(found) :])
        assert output.read_bytes() == whole
        assert not part.exists()
    assert counts == {0, 1, 2, 3}


def test_a_cut_line_is_an_error_in_a_finished_table(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text(GOLDEN[:-20], encoding="utf-8")
    with pytest.raises(DataError, match=r"out\.csv, line 5: expected 12 columns"):
        read_predictions(tmp_path / "out.csv")


def test_a_part_file_of_an_older_release_gets_all_columns(tmp_path: Path) -> None:
    (tmp_path / "out.csv.part").write_text(OLD + "a/half", encoding="utf-8")
    with PredictionWriter(tmp_path / "out.csv", resume=True) as writer:
        assert len(writer.resumed) == 2
        writer.write(SCORES[:1])
    lines = (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1] == "a/0001_000000010.jpg,flip/0001,10,,0.987654,flip,,,,,,"
    assert lines[3] == GOLDEN.splitlines()[1]
    assert len(lines) == 4


def test_going_on_without_a_part_file_starts_anew(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path / "out.csv", resume=True) as writer:
        assert writer.resumed == ()
        writer.write(SCORES)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8") == GOLDEN


def test_a_part_file_that_is_something_else_is_not_touched(tmp_path: Path) -> None:
    part = tmp_path / "out.csv.part"
    part.write_text("my,own,table\n1,2,3\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected the columns"), PredictionWriter(tmp_path / "out.csv", resume=True):
        pass
    assert part.read_text(encoding="utf-8") == "my,own,table\n1,2,3\n"
    with pytest.raises(ValueError, match="not a stream"):
        PredictionWriter(None, io.StringIO(), resume=True)


def test_a_second_interruption_keeps_what_both_runs_wrote(tmp_path: Path) -> None:
    def interrupted(scores: list[FrameScore], resume: bool) -> None:
        with PredictionWriter(tmp_path / "out.csv", resume=resume) as writer:
            writer.write(scores)
            raise KeyboardInterrupt

    for scores, resume in ((SCORES[:2], False), (SCORES[2:], True)):
        with pytest.raises(KeyboardInterrupt):
            interrupted(scores, resume)
    assert (tmp_path / "out.csv.part").read_text(encoding="utf-8") == GOLDEN
