"""Predictions are written as they come, survive an interruption, are resumed, and are read back."""

from __future__ import annotations

import contextlib
import csv
import io
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.errors import DataError
from flipdetect.outputs.predictions import (
    PredictionWriter,
    fingerprints_path,
    read_prediction_table,
    read_predictions,
)
from flipdetect.records import FrameQuality, FrameScore
from tests.killing import killed_before

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
path,video,frame,time_s,probability,label,error,sharpness,exposure,coverage,motion
a/0001_000000010.jpg,flip/0001,10,0.333333,0.987654,flip,,152.346,0.990000,0.250000,0.001000
a/0001_000000011.jpg,flip/0001,11,0.366667,0.000000,notflip,,0.0012,1.000000,,
"two, words/本""x"".jpg",本,,,1.000000,flip,,,,,
a/empty.jpg,flip/0001,12,,,,the file is empty (0 bytes),,,,
"""
EMPTY = "," * 4


def write(path: Path, scores: list[FrameScore]) -> None:
    with PredictionWriter(path) as writer:
        writer.write(scores)


def interrupted(output: Path, scores: list[FrameScore], interruption: type[BaseException] = KeyboardInterrupt) -> None:
    with contextlib.suppress(interruption), PredictionWriter(output, run={"model": "a"}) as writer:
        writer.write(scores)
        raise interruption


def test_golden_predictions(tmp_path: Path) -> None:
    write(tmp_path / "predictions.csv", SCORES)
    assert (tmp_path / "predictions.csv").read_bytes() == GOLDEN.encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["predictions.csv", "predictions.fingerprints"]
    fingerprints = [score.quality.fingerprint for score in read_predictions(tmp_path / "predictions.csv")[:2]]
    assert fingerprints == ["0f3c", "ff00"]


def test_fingerprints_may_be_missing(tmp_path: Path) -> None:
    write(tmp_path / "out.csv", SCORES)
    fingerprints_path(tmp_path / "out.csv").unlink()
    quality = read_predictions(tmp_path / "out.csv")[0].quality
    assert quality is not None
    assert (quality.exposure, quality.fingerprint) == (0.99, "")
    write(tmp_path / "out.csv", SCORES)
    write(tmp_path / "out.csv", SCORES[2:])
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


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
    interrupted(output, SCORES[:3], interruption)
    assert len(read_predictions(tmp_path / "out.csv.part")) == 3
    assert len(read_predictions(output)) == 1


@pytest.mark.parametrize("output", [None, Path("-")])
def test_a_stream_gets_the_same_text_and_stays_open(output: Path | None) -> None:
    stream = io.StringIO()
    with PredictionWriter(output, stream) as writer:
        assert writer.part_path is None
        writer.write(SCORES)
    assert stream.getvalue() == GOLDEN


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
share = st.integers(0, 10**6).map(lambda value: value / 10**6)
seconds = st.none() | st.integers(-(10**6), 10**10).map(lambda value: value / 10**6)
quality = st.none() | st.builds(
    FrameQuality,
    st.floats(0, 1e9).map(lambda value: float(f"{value:.6g}")),
    share,
    st.none() | share,
    st.none() | share,
    st.binary(max_size=8).map(bytes.hex),
)
number = st.none() | st.integers(0, 10**12)
name = text.filter(bool)
scored = st.builds(FrameScore, name, name, number, share, name, time_s=seconds, quality=quality)
failed = st.builds(FrameScore, name, name, number, error=name, time_s=seconds, quality=quality)


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


def test_a_table_that_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    """Case 15: with a byte order mark."""
    (tmp_path / "out.csv").write_bytes(b"\xef\xbb\xbf" + GOLDEN.encode())
    assert [score.path for score in read_predictions(tmp_path / "out.csv")] == [score.path for score in SCORES]


def test_a_name_is_no_formula_of_a_spreadsheet(tmp_path: Path) -> None:
    """Situation F14."""
    scores = [FrameScore(name, name, 1, 0.5, "flip") for name in ("=cmd|'/c calc'!A0.jpg", "-1.jpg", "@x", "'=", "+")]
    write(tmp_path / "out.csv", scores)
    cells = [row[0] for row in csv.reader((tmp_path / "out.csv").read_text().splitlines())]
    assert all(cell.startswith("'") for cell in cells[1:])
    assert read_predictions(tmp_path / "out.csv") == scores


def test_further_columns_are_returned_and_may_be_few(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("truth,path,probability\nflip,a.jpg,0.5\n")
    scores, further = read_prediction_table(tmp_path / "out.csv")
    assert scores == [FrameScore("a.jpg", "a.jpg", None, 0.5)]
    assert further == {"truth": ["flip"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: there is no column 'path'"),
        ("path,label\n", "line 1: there is no column 'probability'"),
        (GOLDEN + "a,b\n", "line 6: expected 11 columns"),
        (GOLDEN + f"a,b,1,,high,flip,{EMPTY}\n", "line 6: .*'high'"),
        (GOLDEN + f"a,b,1,,1.5,flip,{EMPTY}\n", r"line 6: probability '1\.5' is no number from 0 to 1"),
        (GOLDEN + f"a,b,1,,nan,flip,{EMPTY}\n", "line 6: probability 'nan'"),
        (GOLDEN + f"a,b,1,,,,{EMPTY}\n", "line 6: neither"),
        (GOLDEN + f"a,b,one,,0.5,flip,{EMPTY}\n", "line 6: .*'one'"),
        (GOLDEN + f"a,b,1,inf,0.5,flip,{EMPTY}\n", "line 6: time_s 'inf'"),
        (GOLDEN + "a,b,1,,0.5,flip,,-1,1,,\n", "line 6: sharpness '-1'"),
        (GOLDEN + "a,b,1,,0.5,flip,,,1,,\n", "line 6: sharpness and exposure are needed"),
        (GOLDEN + "a,b,1,,0.5,flip,,1,1,2,\n", "line 6: coverage '2'"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "out.csv").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"out\.csv, {message}"):
        read_predictions(tmp_path / "out.csv")
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        read_predictions(tmp_path / "none.csv")


def test_a_run_is_resumed_after_its_last_whole_row(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    interrupted(output, SCORES)
    part = tmp_path / "out.csv.part"
    part.write_bytes(part.read_bytes()[:-5])
    with PredictionWriter(output, resume=True, run={"model": "a"}) as writer:
        assert len(writer.resumed) == 3
        writer.write(SCORES[3:])
    assert output.read_bytes() == GOLDEN.encode()
    assert read_predictions(output)[1].quality.fingerprint == "ff00"


def test_an_unfinished_film_is_scored_again(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    films = [FrameScore(f"{video}.mp4", video, n, 0.5, "flip", time_s=n / 10) for video in "ab" for n in range(3)]
    interrupted(output, films)
    with PredictionWriter(output, resume=True, run={"model": "a"}) as writer:
        assert {score.video for score in writer.resumed} == {"a"}


def test_a_run_is_resumed_only_as_it_was_created(tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    interrupted(output, SCORES)
    before = (tmp_path / "out.csv.part").read_bytes()
    with pytest.raises(DataError, match=r"created with a different model; .*leave out --resume"):
        PredictionWriter(output, resume=True, run={"model": "b"}).__enter__()
    (tmp_path / "out.fingerprints.part").write_text("{")
    with pytest.raises(DataError, match=r"out\.fingerprints\.part is damaged"):
        PredictionWriter(output, resume=True, run={"model": "a"}).__enter__()
    assert (tmp_path / "out.csv.part").read_bytes() == before
    (tmp_path / "out.fingerprints.part").unlink()
    with PredictionWriter(output, resume=True, run={"model": "a"}) as writer:
        assert writer.resumed == ()


def films(fingerprint: str) -> list[FrameScore]:
    """Two films of two frames, all of one fingerprint, which the column sharpness says, too."""
    quality = FrameQuality(float(fingerprint), 1.0, None, None, fingerprint)
    return [
        FrameScore(f"{video}.mp4", video, n, 0.5, "flip", time_s=n / 10, quality=quality)
        for video in "ab"
        for n in (0, 1)
    ]


@pytest.mark.parametrize("model", ["", "a", "b"], ids=["nothing before", "rows of another model", "rows of the model"])
def test_a_kill_between_two_files_mixes_no_rows_and_fingerprints(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = films("11"), films("22")

    def check(rows: Iterable[FrameScore], *, may_lack: bool) -> None:
        for row in rows:
            assert row.quality is not None
            shown = "11" if row.quality.sharpness == 11 else "22"
            assert row.quality.fingerprint in ({shown, ""} if may_lack else {shown})

    for number in range(20):
        output = tmp_path / str(number) / "out.csv"
        if model:
            write(output, old)
            with contextlib.suppress(KeyboardInterrupt), PredictionWriter(output, run={"model": model}) as writer:
                writer.write(old)
                raise KeyboardInterrupt
        with killed_before(number, monkeypatch) as killed, PredictionWriter(output, run={"model": "b"}) as writer:
            writer.write(new)
        if output.exists():
            there = read_predictions(output)
            check(there, may_lack=there[0].quality is not None and there[0].quality.sharpness == 11)
        try:
            writer = PredictionWriter(output, resume=True, run={"model": "b"}).__enter__()
        except DataError as error:
            if model != "a" or "created with a different model" not in str(error):
                raise
            writer = PredictionWriter(output, run={"model": "b"}).__enter__()
        assert len(writer.resumed) in (0, 2)
        check(writer.resumed, may_lack=False)
        assert model == "b" or all(row.quality and row.quality.sharpness == 22 for row in writer.resumed)
        writer.write(new[len(writer.resumed) :])
        writer.__exit__(None, None, None)
        assert {row.quality.fingerprint for row in read_predictions(output)[2:] if row.quality} == {"22"}
        left = [path.name for path in output.parent.iterdir() if not path.name.startswith(".")]
        assert sorted(left) == ["out.csv", "out.fingerprints"]
        if not killed:
            break
    assert 5 < number < 19
