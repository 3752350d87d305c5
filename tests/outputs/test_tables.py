from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flipdetect.errors import DataError
from flipdetect.outputs.tables import (
    PredictionWriter,
    VideoSummary,
    flips_per_video,
    format_video_table,
    read_predictions,
)
from flipdetect.records import FrameScore

SCORES = [
    FrameScore("a/0001_000000010.jpg", "flip/0001", 10, 0.98765432, "flip"),
    FrameScore("a/0001_000000011.jpg", "flip/0001", 11, 0.0000004, "notflip"),
    FrameScore('two, words/本"x".jpg', "本", None, 1.0, "flip"),
    FrameScore("a/empty.jpg", "flip/0001", 12, error="the file is empty (0 bytes)"),
]
GOLDEN = """\
path,video,frame,probability,label,error
a/0001_000000010.jpg,flip/0001,10,0.987654,flip,
a/0001_000000011.jpg,flip/0001,11,0.000000,notflip,
"two, words/本""x"".jpg",本,,1.000000,flip,
a/empty.jpg,flip/0001,12,,,the file is empty (0 bytes)
"""


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
scored = st.builds(
    FrameScore,
    text,
    text,
    st.none() | st.integers(0, 10**12),
    st.integers(0, 10**6).map(lambda value: value / 10**6),
    text.filter(bool),
)
failed = st.builds(FrameScore, text, text, st.none() | st.integers(0, 99), error=text.filter(bool))


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
        (GOLDEN + "a,b\n", "line 6: expected 6 columns, got 2"),
        (GOLDEN + "a,b,1,high,flip,\n", "line 6: .*'high'"),
        (GOLDEN + "a,b,1,1.5,flip,\n", r"line 6: probability '1\.5' is not in \[0, 1\]"),
        (GOLDEN + "a,b,1,nan,flip,\n", "line 6: probability 'nan'"),
        (GOLDEN + "a,b,1,,,\n", "line 6: neither"),
        (GOLDEN + "a,b,one,0.5,flip,\n", "line 6: .*'one'"),
        (GOLDEN + 'a,"b', "line 6"),
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


def test_flips_are_counted_per_video() -> None:
    first, second = flips_per_video(iter(SCORES))
    assert first.video == "flip/0001"
    assert (first.frames, first.flips, first.errors) == (3, 1, 1)
    assert first.mean_probability == pytest.approx((0.98765432 + 0.0000004) / 2)
    assert first.max_probability == 0.98765432
    assert second == VideoSummary("本", 1, 1, 0, 1.0, 1.0)


def test_a_video_of_unreadable_frames_has_no_probability() -> None:
    (summary,) = flips_per_video([FrameScore("x", "v", error="bad")])
    assert summary == VideoSummary("v", 1, 0, 1, None, None)


def test_the_positive_class_has_its_own_name() -> None:
    scores = [FrameScore("x", "v", 1, 0.9, "like"), FrameScore("y", "v", 2, 0.2, "dislike")]
    assert flips_per_video(scores, positive="like")[0].flips == 1
    assert "like" in format_video_table(flips_per_video(scores, "like"), positive="like").splitlines()[0]


def test_golden_table() -> None:
    summaries = [
        VideoSummary("0001", 12, 3, 0, 0.25, 0.98),
        VideoSummary("0002", 4, 0, 4, None, None),
        VideoSummary("0003", 1, 0, 0, 0.1, 0.1),
    ]
    assert format_video_table(summaries, max_rows=2) == (
        "video      frames    flip    errors    mean p    max p\n"
        "-------  --------  ------  --------  --------  -------\n"
        "0001           12       3         0     0.250    0.980\n"
        "0002            4       0         4         -        -\n"
        "all 3          17       3         4         -        -\n"
        "(1 more videos not shown)"
    )
    assert "not shown" not in format_video_table(summaries)
    assert "all 0" in format_video_table([])


def test_tables_import_neither_torch_nor_matplotlib() -> None:
    code = (
        "import sys, flipdetect.outputs.tables; "
        "print([name for name in ('torch', 'matplotlib', 'cv2') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
