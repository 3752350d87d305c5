from fractions import Fraction

import numpy as np
import pytest

from flipdetect.errors import ConfigError, DataError
from flipdetect.sources.folder import find_inputs
from flipdetect.sources.video import open_video
from flipdetect.sources.video_decoder import Clock, estimated_frames
from tests.sources.films import B_FRAMES, SIZE, number_of, numbered, read, write


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

    def test_impossible_arguments(self, film):
        for options in ({"stride": 0}, {"rate_hz": 0.0}, {"rate_hz": 5, "stride": 2}):
            with pytest.raises(ConfigError):
                open_video(film, **options)
        with pytest.raises(ConfigError, match="min_size"):
            open_video(film, min_size=(0, 5))


class TestClock:
    def make(self) -> Clock:
        return Clock(Fraction(1, 1000), Fraction(1), Fraction(1, 25))

    def test_good_stamps_stay(self):
        clock = self.make()
        assert [clock.tick(stamp) for stamp in (1000, 1040, 1500)] == [0.0, 0.04, 0.5]
        assert (clock.missing, clock.repeated, clock.jumps) == (0, 0, 0)

    def test_a_missing_stamp_comes_one_step_later(self):
        clock = self.make()
        assert [clock.tick(stamp) for stamp in (1000, None, 1080)] == [0.0, 0.04, 0.08]
        assert clock.missing == 1

    def test_repeated_stamps_are_put_after(self):
        clock = self.make()
        assert [clock.tick(stamp) for stamp in (1000, 1040, 1040, 1020, 1080)] == pytest.approx(
            [0, 0.04, 0.041, 0.042, 0.08]
        )
        assert clock.repeated == 2

    def test_time_runs_on_where_stamps_begin_anew(self):
        clock = self.make()
        times = [clock.tick(stamp) for stamp in (1000, 9000, 1000, 1040)]
        assert times == pytest.approx([0, 8, 8.04, 8.08])
        assert clock.jumps == 1


def test_the_number_of_frames_is_known_or_estimated(film, tmp_path):
    assert estimated_frames(film) == 100
    path = write(tmp_path / "v.mkv", map(numbered, range(50)), unit=25)
    assert estimated_frames(path) == pytest.approx(50, abs=1)


class TestFind:
    def test_files_folders_and_patterns_in_natural_order(self, tmp_path):
        for name in ("clip10.mp4", "clip2.MP4", "clip1.mkv", "notes.txt", "deep/clip3.mov", ".hidden.mp4", "a[1].mp4"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()

        def names(where):
            return [path.relative_to(tmp_path).as_posix() for path in find_inputs([where]).videos]

        assert names(tmp_path) == ["a[1].mp4", "clip1.mkv", "clip2.MP4", "clip10.mp4", "deep/clip3.mov"]
        assert names(str(tmp_path / "clip*")) == ["clip1.mkv", "clip2.MP4", "clip10.mp4"]
        assert names(str(tmp_path / "**" / "clip?.m*")) == ["clip1.mkv", "deep/clip3.mov"]
        assert names(tmp_path / "a[1].mp4") == ["a[1].mp4"]
        assert names(str(tmp_path / "d*")) == ["deep/clip3.mov"]
        for absent in ("none.mp4", "none*.mp4"):
            with pytest.raises(DataError, match="none"):
                find_inputs([tmp_path / absent])
