import av
import numpy as np
import pytest

from flipdetect.errors import FrameError
from flipdetect.sources.video import open_video
from flipdetect.sources.video_decoder import estimated_frames
from flipdetect.sources.video_seek import frame_at
from tests.sources.films import add_sound, decoders, numbered, read, write


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
            for reader in (open_video, estimated_frames, lambda path: next(frame_at(path, [0]))):
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
