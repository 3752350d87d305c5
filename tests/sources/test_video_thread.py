import gc
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import pytest

from flipdetect.sources import video as reader
from flipdetect.sources.video import open_video
from flipdetect.sources.video_decoder import estimated_length
from flipdetect.sources.video_pixels import Converter
from flipdetect.sources.video_seek import frame_at
from tests.sources.films import SIZE, decoders, open_files, read

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")


class TestThread:
    def test_it_is_joined_at_the_end_and_by_close(self, film):
        video = open_video(film)
        assert not decoders()
        next(video)
        assert len(decoders()) == 1
        video.close()
        assert not decoders()
        video.close()
        assert list(video) == []
        read(film)
        assert not decoders()
        open_video(film).close()

    def test_it_is_joined_when_the_caller_fails_or_is_interrupted(self, film):
        for error in (ValueError, KeyboardInterrupt):
            with pytest.raises(error), open_video(film) as video:  # noqa: PT012
                next(video)
                raise error
            assert not decoders()

    def test_it_is_joined_when_the_reader_is_forgotten(self, film):
        video = open_video(film)
        next(video)
        del video
        gc.collect()
        assert not decoders()

    def test_it_does_not_keep_python_from_ending(self, film):
        code = f"from flipdetect.sources.video import open_video; v = open_video({str(film)!r}); next(v); print('read')"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        assert (done.stdout, done.stderr) == ("read\n", "")

    @pytest.mark.parametrize(("room", "ahead"), [(1000, 4), (8 * 48 * 64 * 3, 8), (10**9, 10)])
    def test_it_decodes_a_few_frames_ahead_and_more_of_small_ones(self, film, monkeypatch, room, ahead):
        converted = []
        pixels = Converter.pixels
        monkeypatch.setattr(reader, "AHEAD_BYTES", room)
        monkeypatch.setattr(reader, "AHEAD_MOST", 10)
        monkeypatch.setattr(Converter, "pixels", lambda self, frame: (converted.append(1), pixels(self, frame))[1])
        with open_video(film) as video:
            next(video)
            # The frame taken, those that wait, and one that waits for room.
            deadline = time.monotonic() + 20
            while len(converted) < ahead + 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.1)
            assert len(converted) == ahead + 2

    def test_its_errors_surface(self, film, monkeypatch):
        def fail(*_):
            raise MemoryError("no room for it")

        monkeypatch.setattr(Converter, "pixels", fail)
        with pytest.raises(MemoryError, match="no room"):
            next(open_video(film))
        assert not decoders()

    def test_an_interrupt_while_waiting_ends_it(self, film, monkeypatch):
        pixels = Converter.pixels

        def interrupt(self, frame):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.2)
            return pixels(self, frame)

        monkeypatch.setattr(Converter, "pixels", interrupt)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
        try:
            with pytest.raises(KeyboardInterrupt):
                next(open_video(film))
        finally:
            signal.signal(signal.SIGINT, before)
        assert not decoders()

    def test_it_may_be_closed_from_within(self, film, monkeypatch):
        """As when the garbage collector happens to run in the thread."""
        video = open_video(film)
        pixels = Converter.pixels

        def close_and_convert(self, frame):
            video.close()
            return pixels(self, frame)

        monkeypatch.setattr(Converter, "pixels", close_and_convert)
        assert len(list(video)) <= 1
        for thread in decoders():
            thread.join(timeout=20)
        assert not decoders()

    @needs_proc
    def test_many_readers_leave_no_file_open(self, film):
        read(film)
        before = open_files()
        for _ in range(20):
            video = open_video(film, min_size=(8, 8))
            next(video)
            video.close()
            next(frame_at(film, [3.0]))
            estimated_length(film)
            del video
        for _ in range(5):
            next(open_video(film))  # forgotten
        gc.collect()
        assert open_files() == before
        assert not decoders()


def test_memory_does_not_wait_for_the_garbage_collector(film):
    """A decoded 4K frame has 12 megabytes: none may hang in a circle."""
    gc.collect()
    gc.disable()
    try:
        read(film)
        list(frame_at(film, [1.0, 3.0]))
        left = [found for found in gc.get_objects() if isinstance(found, av.VideoFrame) and found.width == SIZE[1]]
        assert left == []
    finally:
        gc.enable()
