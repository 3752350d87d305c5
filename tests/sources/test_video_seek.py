import struct

import av
import numpy as np
import pytest

from flipdetect.errors import ConfigError, FrameError
from flipdetect.sources.video import open_video
from flipdetect.sources.video_seek import frame_at
from tests.sources.films import B_FRAMES, number_of, numbered, read, write


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
