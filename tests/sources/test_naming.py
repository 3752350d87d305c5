from itertools import pairwise
from pathlib import Path

import pytest

from flipdetect.errors import ConfigError, FrameError
from flipdetect.sources.naming import NamePattern, ParsedName, film_blocks, parse_name, unlabelled_video, video_id

EYES = NamePattern(r"(?P<source>s\d+)_(?P<frame>\d+)_\d_\d_(?P<label>[01])_", {"0": "closed", "1": "open"})


@pytest.mark.parametrize(
    ("name", "video", "frame"),
    [
        ("0001_000000010.jpg", "0001", 10),
        ("clip7_3.PNG", "clip7", 3),
        ("A_tile_001.jpg", None, None),
        ("cover.jpg", None, None),
        ("0042.jpg", None, 42),
        ("frame_0042.jpg", None, 42),
        ("IMG_0042.jpeg", None, 42),
    ],
)
def test_default_reading(name, video, frame):
    assert parse_name(name) == ParsedName(video=video, frame=frame)


def test_eye_set_names_tell_subject_number_and_state():
    assert EYES.parse("s0001_00012_0_0_1_0_0_01.png") == ParsedName("s0001", 12, "open", "s0001")
    assert EYES.parse("s0037_00001_1_0_0_1_0_03.png").label == "closed"
    assert EYES.captures_label


def test_labels_without_translation_are_taken_as_captured():
    assert NamePattern(r"(?P<label>[a-z]+)_").parse("flip_3.jpg").label == "flip"
    assert NamePattern(r"(?P<label>\d)_", {"0": "closed"}).parse("7_3.jpg").label == "7"


def test_integer_keys_from_yaml_translate_too():
    assert NamePattern(r"(?P<label>\d)_", {0: "closed"}).parse("0_3.jpg").label == "closed"


def test_a_given_pattern_must_match():
    with pytest.raises(FrameError, match=r"cover\.jpg.*does not match the pattern"):
        parse_name("cover.jpg", EYES)


def test_a_frame_number_must_be_a_number():
    with pytest.raises(FrameError, match="'x1' is no whole number"):
        NamePattern(r"(?P<frame>\w+)\.").parse("x1.jpg")


def test_overlong_names_are_refused_before_matching():
    with pytest.raises(FrameError, match="longer than 255"):
        NamePattern(r"(?P<video>(a+)+)$").parse("a" * 256 + "!")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("(?P<video>", "no regular expression"), ("(?P<book>a)", "unknown group 'book'"), (r"\d+", "captures nothing")],
)
def test_useless_patterns_are_refused_with_the_known_groups(pattern, said):
    with pytest.raises(ConfigError, match=said) as caught:
        NamePattern(pattern)
    assert "(?P<frame>...)" in str(caught.value)


def test_the_same_number_in_two_folders_is_two_videos():
    parsed = parse_name("0001_000000010.jpg")
    assert video_id(parsed, "0001_000000010.jpg", "flip") == "flip/0001"
    assert video_id(parsed, "0001_000000010.jpg", "notflip") == "notflip/0001"


@pytest.mark.parametrize(
    ("path", "video", "frame"),
    [
        ("flip/0001_000000010.jpg", "flip/0001", 10),
        ("0001_000000010.jpg", "0001", 10),
        ("a/clip 3/0007.png", "a/clip 3", 7),
        ("0007.png", "frames", 7),
        ("a/tile_of_x.png", "a/tile_of_x", None),
    ],
)
def test_video_of_an_unlabelled_file(path, video, frame):
    root = Path("/somewhere/frames")
    assert unlabelled_video(root / path, root) == (video, frame)


def test_an_unlabelled_file_needs_no_matching_name():
    root = Path("/somewhere/frames")
    assert unlabelled_video(root / "s0001_00012_0_0_1_0_0_01.png", root, EYES) == ("s0001", 12)
    assert unlabelled_video(root / "0001_000000010.jpg", root, EYES) == ("0001", 10)


def test_one_film_reads_the_last_number_of_a_name():
    film = NamePattern(one_film=True)
    assert film.parse("2024_IMG_0042.jpg") == ParsedName(frame=42)
    assert unlabelled_video(Path("/somewhere/frames/a/7.jpg"), Path("/somewhere/frames"), film) == ("frames", 7)
    with pytest.raises(FrameError, match="has no number"):
        film.parse("cover.jpg")
    with pytest.raises(ConfigError, match="which one_film needs"):
        NamePattern(r"(?P<label>\w)", one_film=True)
    with pytest.raises(ConfigError, match="one_film: true"):
        NamePattern()


def test_a_film_is_cut_at_its_gaps_and_where_it_has_none_into_equal_blocks():
    assert film_blocks([]) == []
    assert film_blocks(range(40)) == [number // 4 for number in range(40)]
    numbers = [*range(30), *range(100, 130)]
    blocks = film_blocks(numbers[::-1])[::-1]
    assert blocks[29] != blocks[30]
    assert all(later - earlier in (0, 1) for earlier, later in pairwise(blocks))
    gaps = film_blocks([0, 1, 2, 50, 51, 52, 53, 54, *range(200, 232)])
    assert gaps[:8] == [0, 0, 0, 1, 1, 1, 1, 2]
