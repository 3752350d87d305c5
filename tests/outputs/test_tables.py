from __future__ import annotations

import pytest

from flipdetect.outputs.tables import VideoSummary, flips_per_video, format_video_table, read_clock
from flipdetect.records import FrameScore

SCORES = [
    FrameScore("a/0001_000000010.jpg", "flip/0001", 10, 0.98765432, "flip"),
    FrameScore("a/0001_000000011.jpg", "flip/0001", 11, 0.0000004, "notflip"),
    FrameScore('two, words/本"x".jpg', "本", None, 1.0, "flip"),
    FrameScore("a/empty.jpg", "flip/0001", 12, error="the file is empty (0 bytes)"),
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12", 12), (" 12,5 ", 12.5), ("0:12.5", 12.5), ("61:00", 3660), ("1:02:03.25", 3723.25), ("90", 90), (".5", 0.5)],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert read_clock(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "0:60", "1:60:00", "1e3", "nan", "1:2:3:4", "1.234,5"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"give seconds \(12\.5\) or minutes and seconds"):
        read_clock(text)


def test_flips_are_counted_per_video() -> None:
    first, second, unreadable = flips_per_video(iter([*SCORES, FrameScore("x", "v", error="bad")]))
    assert first.video == "flip/0001"
    assert (first.frames, first.flips, first.errors) == (3, 1, 1)
    assert first.mean_probability == pytest.approx((0.98765432 + 0.0000004) / 2)
    assert first.max_probability == 0.98765432
    assert second == VideoSummary("本", 1, 1, 0, 1.0, 1.0)
    assert unreadable == VideoSummary("v", 1, 0, 1, None, None)


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
    assert format_video_table(summaries, positive="like", clip_threshold=0.98) == (
        "video      frames    like    errors    mean p    max p    contains_like\n"
        "-------  --------  ------  --------  --------  -------  ---------------\n"
        "0001           12       3         0     0.250    0.980              yes\n"
        "0002            4       0         4         -        -                -\n"
        "0003            1       0         0     0.100    0.100               no\n"
        "all 3          17       3         4         -        -                1"
    )
    assert "contains" not in format_video_table(summaries)
    assert "all 0" in format_video_table([])


def test_a_long_table_says_what_it_leaves_out() -> None:
    many = [VideoSummary(f"{number:04d}", 1, 1, 0, 0.9, 0.9) for number in range(42)]
    lines = format_video_table(many, clip_threshold=0.5).splitlines()
    assert lines[-3].startswith("0039")
    assert lines[-2].split() == ["all", "42", "42", "42", "0", "-", "-", "42"]
    assert lines[-1] == "(2 more videos not shown)"
