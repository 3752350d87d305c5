"""Videos: frames in order, by time, and what is left of damaged files."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from flipdetect.errors import ConfigError, FrameError
from flipdetect.sources import video_decoder
from flipdetect.sources.video import open_video
from flipdetect.sources.video_decoder import Clock, estimated_length
from flipdetect.sources.video_pixels import Converter
from flipdetect.sources.video_seek import frame_at
from tests.sources.films import B_FRAMES, SIZE, add_sound, decoders, number_of, numbered, read, write


class TestFrames:
    def test_all_frames_come_in_order_of_presentation(self, film):
        frames = read(film)
        assert [frame.index for frame in frames] == list(range(100))
        assert [number_of(frame.image) for frame in frames] == list(range(100))
        np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(100) / 25, atol=1e-9)
        image = frames[3].image
        assert (image.shape, image.dtype) == ((*SIZE, 3), np.uint8)
        assert image.flags.c_contiguous
        assert image.flags.writeable

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_variable_rate(self, tmp_path, suffix):
        stamps = [0, 40, 45, 120, 500, 533, 1700, 1701, 1733]
        path = write(tmp_path / f"v{suffix}", map(numbered, range(9)), stamps=stamps)
        frames = read(path)
        assert [number_of(frame.image) for frame in frames] == list(range(9))
        np.testing.assert_allclose([frame.time_s for frame in frames], np.array(stamps) / 1000, atol=1e-9)

    def test_stride(self, film):
        assert [frame.index for frame in read(film, stride=7)] == list(range(0, 100, 7))

    def test_rate(self, film):
        frames = read(film, rate_hz=10)
        assert [frame.index for frame in frames][:6] == [0, 3, 5, 8, 10, 13]
        assert len(frames) == 40
        assert [frame.index for frame in read(film, rate_hz=500)] == list(range(100))

    def test_a_start_offset_is_subtracted(self, tmp_path):
        path = write(tmp_path / "v.ts", map(numbered, range(20)), stamps=[5000 + 40 * n for n in range(20)])
        with open_video(path) as video:
            frames = list(video)
        np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(20) / 25, atol=1e-4)

    def test_pictures_that_set_in_after_the_sound_do_so(self, tmp_path):
        path = write(
            tmp_path / "v.mkv", map(numbered, range(20)), stamps=[400 + 40 * n for n in range(20)], sound_s=1.0
        )
        assert read(path)[0].time_s == pytest.approx(0.4, abs=0.15)  # the sound's encoder primes itself earlier

    def test_no_stamps_at_all(self, tmp_path):
        path = write(tmp_path / "v.h264", map(numbered, range(10)), options=B_FRAMES, container_format="h264")
        frames = read(path)
        assert [number_of(frame.image) for frame in frames] == list(range(10))
        assert np.all(np.diff([frame.time_s for frame in frames]) > 0)


@pytest.mark.parametrize(
    ("stamps", "times", "repaired"),
    [
        ((1000, 1040, 1500), [0.0, 0.04, 0.5], (0, 0, 0)),
        ((1000, None, 1080), [0.0, 0.04, 0.08], (1, 0, 0)),
        ((1000, 1040, 1040, 1020, 1080), [0, 0.04, 0.041, 0.042, 0.08], (0, 2, 0)),
        ((1000, 9000, 1000, 1040), [0, 8, 8.04, 8.08], (0, 0, 1)),
        ((1000, 10**12, 10**12 + 40), [0, 0.04, 0.08], (0, 0, 1)),
    ],
    ids=["good", "missing", "repeated", "restarting", "leaping ahead: F2"],
)
def test_wrong_stamps_are_repaired_and_counted(stamps, times, repaired):
    clock = Clock(Fraction(1, 1000), Fraction(1), Fraction(1, 25))
    assert [clock.tick(stamp) for stamp in stamps] == pytest.approx(times)
    assert (clock.missing, clock.repeated, clock.jumps) == repaired


def test_a_leap_of_years_costs_no_time_and_the_same_frames_are_found_again(tmp_path):
    """Situation F2: a camera sets its clock while it films."""
    stamps = [*range(0, 400, 40), *range(1_700_000_000_000, 1_700_000_000_400, 40)]
    path = write(tmp_path / "v.mkv", map(numbered, range(20)), stamps=stamps)
    frames = read(path)
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(20) / 25, abs=1e-6)
    assert [number_of(frame.image) for frame in frame_at(path, [0.08, 0.52, 0.76])] == [2, 13, 19]
    with open_video(path) as video:
        assert len(list(video)) == 20
        assert (video.lost, video.repaired_times) == ("", 1)
    assert estimated_length(path)[1] is None


def test_a_start_that_is_learnt_late_moves_no_frame(tmp_path, monkeypatch):
    """Case 01: FFmpeg may tell the start of a Matroska film only after it has read some frames."""
    opened = []

    def learnt_late(container, stream):
        opened.append(container)
        return Fraction(432 if opened.count(container) > 2 else 0, 10)

    monkeypatch.setattr(video_decoder, "start_of", learnt_late)
    stamps = [0] + [second * 1000 + 100 * k for second in (43, 86, 132) for k in range(9)]
    path = write(tmp_path / "v.mkv", map(numbered, range(28)), stamps=stamps, options={"preset": "ultrafast"})
    wanted = [0, 3, 6, 14, 18, 24, 27]
    found = list(frame_at(path, [stamps[number] / 1000 for number in wanted]))
    assert [number_of(frame.image) for frame in found] == wanted
    assert [frame.time_s for frame in found] == [stamps[number] / 1000 for number in wanted]


def test_whatever_one_film_raises_is_its_own_error(film, monkeypatch):
    """Situation F1, for films."""

    def torn(*_):
        raise IndexError("index out of range")

    monkeypatch.setattr(Converter, "pixels", torn)
    for attempt in (lambda: read(film), lambda: list(frame_at(film, [1.0]))):
        with pytest.raises(FrameError, match=r"film\.mp4: the video is damaged or cut short"):
            attempt()


def test_the_number_of_frames_is_known_or_estimated(film, tmp_path):
    assert estimated_length(film)[1] == 100
    path = write(tmp_path / "v.mkv", map(numbered, range(50)), unit=25)
    assert estimated_length(path)[1] == pytest.approx(50, abs=1)


class TestDamage:
    @pytest.mark.parametrize("suffix", [".mkv", ".avi", ".mp4"])
    def test_a_file_that_was_cut_gives_its_beginning_and_says_so(self, tmp_path, suffix):
        noise = np.random.default_rng(0).integers(0, 255, (100, 48, 64, 3)).astype(np.uint8)
        path = write(
            tmp_path / f"v{suffix}",
            noise,
            codec="mpeg4" if suffix == ".avi" else "libx264",
            unit=25,
            container_options={"movflags": "faststart"} if suffix == ".mp4" else {},
        )
        assert len(read(path)) == 100
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with open_video(path) as video:
            frames = list(video)
            assert "breaks off at" in video.lost
            assert "of 4.0 s" in video.lost
        assert 20 < len(frames) < 80

    def test_a_damaged_middle_is_passed_over(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 255, (100, 48, 64, 3)).astype(np.uint8)
        path = write(tmp_path / "v.mkv", noise)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 4000] = bytes(4000)
        path.write_bytes(data)
        with open_video(path) as video:
            frames = list(video)
            assert "damaged" in video.lost
        assert len(frames) > 60
        assert frames[-1].time_s == pytest.approx(3.96)

    def test_nothing_is_lost_of_a_good_file(self, film, tmp_path):
        for path in (film, write(tmp_path / "v.mkv", map(numbered, range(30)), sound_s=4.0)):
            with open_video(path) as video:
                assert list(video)
                assert (video.lost, video.repaired_times) == ("", 0)
            with open_video(path) as video:
                next(video)
            assert video.lost == ""

    def test_what_is_no_video_is_refused_with_a_remedy(self, tmp_path, film):
        for name, data, reason in [
            ("empty.mp4", b"", "empty"),
            ("text.txt", b"some words\n" * 100, "give a video such as"),
            ("garbage.mp4", np.random.default_rng(0).bytes(5000), "give a video such as"),
            ("list.mp4", f"#EXTM3U\n#EXTINF:4,\nfile:{film}\n#EXT-X-ENDLIST\n".encode(), "give a video such as"),
            ("concat.mp4", f"ffconcat version 1.0\nfile '{film}'\n".encode(), "give a video such as"),
            ("cut.mp4", film.read_bytes()[:3000], "cut short"),
        ]:
            path = tmp_path / name
            path.write_bytes(data)
            for reader in (open_video, estimated_length, lambda path: next(frame_at(path, [0]))):
                with pytest.raises(FrameError, match=reason) as caught:
                    reader(path)
                assert str(path) in str(caught.value)
        with pytest.raises(FrameError, match="no such file"):
            open_video(tmp_path / "absent.mp4")
        with pytest.raises(FrameError, match="folder"):
            open_video(tmp_path)

    def test_sound_alone_is_refused(self, tmp_path):
        path = tmp_path / "sound.mp4"
        with av.open(str(path), "w") as container:
            add_sound(container, container.add_stream("aac", rate=8000, layout="mono"), 0.5)
        with pytest.raises(FrameError, match=r"no moving pictures \(found: audio\)"):
            open_video(path)

    def test_no_decodable_frame_is_refused(self, tmp_path):
        path = write(tmp_path / "v.avi", map(numbered, range(3)), codec="mpeg4")
        data = path.read_bytes()
        start, end = data.index(b"movi"), data.index(b"idx1")
        path.write_bytes(data[: start + 12] + b"\xff" * (end - start - 12) + data[end:])
        with open_video(path) as video, pytest.raises(FrameError, match="decoded"):
            next(video)
        assert not decoders()

    def test_a_name_with_a_colon(self, tmp_path, film):
        path = tmp_path / "http:12:30.mp4"
        path.write_bytes(film.read_bytes())
        assert len(read(path)) == 100


class TestFrameAt:
    def numbers(self, path, times):
        return [number_of(frame.image) for frame in frame_at(path, times)]

    def test_each_time_gives_its_very_frame(self, film):
        wanted = [3, 29, 30, 31, 59, 61, 88, 99]
        assert self.numbers(film, [number / 25 for number in wanted]) == wanted
        assert self.numbers(film, [number / 25 for number in reversed(wanted)]) == wanted[::-1]
        assert self.numbers(film, [0.0, 3.96, 0.04, 0.04]) == [0, 99, 1, 1]

    def test_rounded_times_and_times_between(self, tmp_path):
        path = write(tmp_path / "v.mp4", map(numbered, range(60)), rate=30, unit=30000)
        assert self.numbers(path, [round(n / 30, 3) for n in range(60)]) == list(range(60))
        assert self.numbers(path, [10.6 / 30, 45.9 / 30]) == [10, 45]

    def test_times_beyond_the_end(self, film):
        with pytest.raises(FrameError, match=r"no frame at 4\.100 s"):
            self.numbers(film, [4.1])
        assert self.numbers(film, [3.99]) == [99]
        for time_s in (-0.1, float("nan")):
            with pytest.raises(ConfigError):
                frame_at(film, [time_s])

    @pytest.mark.parametrize("name", ["v.ts", "v.mkv", "v.avi", "v.h264"])
    def test_it_agrees_with_reading_in_order(self, tmp_path, name):
        path = tmp_path / name
        codec = "mpeg4" if name == "v.avi" else "libx264"
        write(path, map(numbered, range(100)), codec=codec, unit=25, options=B_FRAMES if codec == "libx264" else {})
        times = {frame.index: frame.time_s for frame in read(path)}
        wanted = [70, 71, 95, 2]
        found = list(frame_at(path, [times[number] for number in wanted]))
        assert [number_of(frame.image) for frame in found] == wanted
        assert [frame.time_s for frame in found] == [times[number] for number in wanted]

    @pytest.mark.parametrize(("begin", "end"), [(0, 50), (25, 75), (50, 75)])
    def test_a_trimmed_film(self, tmp_path, film, begin, end):
        """An edit list (ISO/IEC 14496-12, 8.6.6), as phones write it, hides frames that are still in the file."""
        data = bytearray(film.read_bytes())
        entry = data.index(b"elst") + 12
        whole, first = struct.unpack_from(">II", data, entry)
        unit = whole / 100  # of the film's duration
        with av.open(str(film)) as container:
            media_unit = 1 / 25 / container.streams.video[0].time_base
        struct.pack_into(">II", data, entry, round((end - begin) * unit), round(first + begin * media_unit))
        path = tmp_path / "v.mp4"
        path.write_bytes(data)
        with open_video(path) as video:
            frames = list(video)
            assert video.lost == ""
        assert [number_of(frame.image) for frame in frames] == list(range(begin, end))
        assert [frame.time_s for frame in frames] == pytest.approx(np.arange(end - begin) / 25)
        assert self.numbers(path, [frame.time_s for frame in frames[::6]]) == list(range(begin, end, 6))
        assert self.numbers(path, [0.48]) == [begin + 12]

    def test_variable_rate_and_offset(self, tmp_path):
        stamps = [3000 + step for step in (0, 40, 45, 120, 500, 533, 2700, 2710, 2733)]
        path = write(tmp_path / "v.mkv", map(numbered, range(9)), stamps=stamps)
        times = [frame.time_s for frame in read(path)]
        assert self.numbers(path, times) == list(range(9))
        assert self.numbers(path, [times[6] - 0.01]) == [5]
