"""Films that are decoded only where their key frames differ, against the same films decoded whole."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flipdetect.sources import video_decoder, video_groups
from flipdetect.sources.streams import EVERY_FRAME, KEY_FRAMES, VideoStream
from flipdetect.sources.video import open_video
from flipdetect.sources.video_change import Opinion
from flipdetect.sources.video_groups import GroupDecoding, read_frame_table
from tests.inference.looking import page
from tests.sources.films import B_FRAMES, decoders, number_of, numbered, open_files, read, write
from tests.sources.test_video_picture import set_matrix

RATE, GROUP = 25, 25
OPTIONS = {"preset": "ultrafast", "g": str(GROUP), "x264-params": "scenecut=0"}


def fast(path: Path) -> dict[str, Any]:
    return {"rate_hz": 30.0, "refine": 3, "skips_rest": True, "table": read_frame_table(path)}


def pages(*rests: tuple[int, int]) -> Iterator[np.ndarray]:
    """Pages by number, each at rest for so many frames, with a little noise."""
    rng = np.random.default_rng(0)
    for number, frames in rests:
        still = page(number, 192, 108).astype(np.int16)
        for _ in range(frames):
            yield (still + rng.integers(-3, 4, still.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of the frames of groups that are decoded, where the film starts at 0 and has no pauses."""
    found: list[int] = []
    decode = GroupDecoding._decoded

    def counted(self, decoder: Any, packet: Any) -> list:
        frames = decode(self, decoder, packet)
        if decoder is self._decoder:
            found.extend(round(self.clock.seconds(frame.pts) * RATE) for frame in frames if not frame.key_frame)
        return frames

    monkeypatch.setattr(GroupDecoding, "_decoded", counted)
    return found


def test_what_rests_is_not_decoded_and_what_changes_is(tmp_path: Path, decoded: list[int]) -> None:
    # Groups of 25; the page changes within the third one, and the last one has no key frame after it.
    path = write(tmp_path / "film.mp4", pages((1, 63), (2, 87)), rate=RATE, options=OPTIONS)
    frames = read(path, **fast(path))
    assert {number // GROUP for number in decoded} == {2, 5}
    assert {0, 25, 50, 62, 63, 75, 100, 125} <= {frame.index for frame in frames}
    assert len(frames) < 30
    assert len(read(path, rate_hz=30.0)) == 150


def test_a_page_that_is_turned_and_turned_back_between_key_frames_is_passed_over(tmp_path, decoded) -> None:
    path = write(tmp_path / "film.mp4", pages((1, 30), (2, 10), (1, 60)), rate=RATE, options=OPTIONS)
    assert [frame.index for frame in read(path, **fast(path))][:4] == [0, 25, 50, 75]
    assert min(decoded) > 75


@pytest.mark.parametrize(
    ("after", "odds", "left_out"), [(1, -2.0, True), (2, -2.0, False), (1, -0.5, False)], ids=["hand", "turn", "doubt"]
)
def test_what_only_a_hand_covers_is_not_decoded(tmp_path, decoded, after: int, odds: float, left_out: bool) -> None:
    # A hand lies there from frame 40 to frame 60; the key frames around the second and the third group differ by it.
    hand = np.s_[60:130, 8:50]

    def filmed() -> Iterator[np.ndarray]:
        for place, picture in enumerate(pages((1, 45), (after, 105))):
            if 40 <= place <= 60:
                picture[hand] = 250
            yield picture

    def look(upright: np.ndarray) -> Opinion:
        hidden = np.zeros((192, 108), np.uint8)
        is_there = np.rot90(upright)[hand].mean() > 240
        hidden[56:134, 4:54] = is_there
        hands = np.zeros((1, 1), np.float32)
        return Opinion(0.1, False, odds if is_there else -2.0, hands, np.rot90(hidden, -1).copy())

    path = write(tmp_path / "film.mp4", filmed(), rate=RATE, options=OPTIONS)
    set_matrix(path, 0, 1, -1, 0)  # what is hidden in the upright picture is turned back by a quarter
    frames = read(path, look=look, **fast(path))
    assert {number // GROUP for number in decoded} == ({5} if left_out else {1, 2, 5} if odds > -1 else {1, 5})
    assert [frame.index for frame in frames if frame.opinion is not None] == [50, 75]


def test_a_long_group_is_decoded_in_any_case(tmp_path: Path, decoded: list[int]) -> None:
    options = OPTIONS | {"g": "100"}
    path = write(tmp_path / "film.mp4", pages((1, 15), (2, 25), (1, 310)), rate=RATE, options=options)
    found = {frame.index for frame in read(path, **fast(path))}
    assert {14, 15, 39, 40} <= found
    # Before a key frame that shows the same, it is passed over.
    assert not set(decoded) & set(range(70, 100))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("plain.mp4", {}),
        ("b_frames.mp4", {"options": B_FRAMES | {"g": "25"}}),
        ("film.mkv", {}),
        ("open_groups.mkv", {"codec": "libx265", "options": {"x265-params": "keyint=25:min-keyint=25:log-level=0"}}),
        ("variable.mp4", {"stamps": np.cumsum(np.tile([20, 40, 70], 40)).tolist()}),
        ("late.mp4", {"stamps": [900 + 40 * place for place in range(120)], "sound_s": 2.0}),
        ("old.avi", {"codec": "mpeg4", "options": {"g": "25"}, "unit": 25}),
        ("cut.mkv", {"damage": cut}),
    ],
)
def test_frames_have_the_numbers_times_and_pictures_that_they_have_in_the_whole_film(
    tmp_path: Path, name: str, settings: dict, decoded: list[int]
) -> None:
    damage: Callable[[Path], None] = settings.pop("damage", lambda path: None)
    settings = {"options": OPTIONS} | settings
    path = write(tmp_path / name, [numbered(place, (96, 128)) for place in range(120)], rate=RATE, **settings)
    damage(path)
    whole = {frame.index: frame for frame in read(path)}
    with open_video(path, **fast(path)) as video:
        found = list(video)
    assert decoded
    assert len(found) > 0.5 * len(whole)
    assert [frame.index for frame in found] == sorted({frame.index for frame in found})
    for frame in found:
        assert frame.time_s == pytest.approx(whole[frame.index].time_s, abs=1e-6)
        assert number_of(frame.image) == number_of(whole[frame.index].image)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("one_group.mp4", {"options": OPTIONS | {"g": "1000"}}),
        ("keys_alone.mp4", {"options": OPTIONS | {"g": "1"}}),
        ("stamps_restart.ts", {}),
    ],
)
def test_other_films_are_decoded_whole(tmp_path: Path, name: str, settings: dict, decoded: list[int]) -> None:
    settings = {"options": OPTIONS} | settings
    path = write(tmp_path / name, pages((1, 40), (2, 60)), rate=RATE, **settings)
    assert read_frame_table(path) is None
    stream = VideoStream(path)
    frames = [frame.frame for frame in stream]
    assert stream.decoding == EVERY_FRAME
    assert not decoded
    assert {39, 40} <= set(frames)
    assert len(frames) < 30  # few while nothing changes
    assert len(list(VideoStream(path, every_frame=True))) == 100


def test_a_damaged_key_frame_costs_no_more_than_its_group(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mkv", pages((1, 60), (2, 90)), rate=RATE, options=OPTIONS)
    whole = path.read_bytes()
    with video_groups.open_container(path)[0] as container:
        third = [packet for packet in container.demux(video=0) if packet.is_keyframe][2]
        data = bytes(third)
    place = whole.index(data[20:60])
    path.write_bytes(whole[:place] + bytes(len(data) - 40) + whole[place + len(data) - 40 :])
    stream = VideoStream(path)
    frames = {frame.frame for frame in stream}
    assert stream.problems
    assert {0, 25, 75, 100, 125} <= frames


def test_frames_are_upright_and_a_part_of_a_film_begins_at_its_key_frame(tmp_path: Path, decoded: list[int]) -> None:
    path = write(tmp_path / "film.mp4", pages((1, 63), (2, 87)), rate=RATE, options=OPTIONS)
    set_matrix(path, 0, 1, -1, 0)
    stream = VideoStream(path, start_s=2.2, end_s=3.5)
    frames = list(stream)
    assert stream.decoding == KEY_FRAMES
    assert frames[0].image is not None
    assert frames[0].image.shape == (108, 192, 3)
    assert all(2.19 < frame.time_s < 3.51 for frame in frames)
    assert {62, 63, 75} <= {frame.frame for frame in frames}
    assert stream.duration_s == pytest.approx(6.0, abs=0.05)


def test_nothing_is_left_open(tmp_path: Path) -> None:
    path = write(tmp_path / "film.mp4", [numbered(place) for place in range(100)], rate=RATE, options=OPTIONS)
    read(path, **fast(path))
    before = open_files()
    with open_video(path, **fast(path)) as video:
        next(video)
    open_video(path, **fast(path)).close()
    assert (open_files(), decoders()) == (before, [])


def test_sound_of_its_own_does_not_matter(tmp_path: Path, decoded: list[int]) -> None:
    path = write(tmp_path / "film.mp4", pages((1, 150)), rate=RATE, options=OPTIONS, sound_s=6.0)
    assert len(read(path, **fast(path))) < 12
    assert min(decoded) > 125


def test_a_graphics_card_decodes_the_same_or_the_processor_does(tmp_path, caplog, monkeypatch) -> None:
    path = write(tmp_path / "film.mp4", pages((1, 63), (2, 87)), rate=RATE, options=OPTIONS)
    expected = list(VideoStream(path))
    caplog.set_level("INFO")
    found = list(VideoStream(path, hardware=True))
    assert [frame.frame for frame in found] == [frame.frame for frame in expected]
    assert "decoded by" in caplog.text or "the processor does" in caplog.text
    monkeypatch.setattr(video_decoder, "hwdevices_available", lambda: ["no such device"])
    assert len(list(VideoStream(path, hardware=True))) == len(expected)
    assert "no device here decodes it (tried: no such device), so the processor does" in caplog.text
