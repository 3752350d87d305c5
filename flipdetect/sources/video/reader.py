"""Read a video from the first frame to the last, decoding a little ahead in the background."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer

from flipdetect.errors import ConfigError
from flipdetect.sources.video.container import fail_to_decode, open_container, start_of
from flipdetect.sources.video.continuing import Numbered, frames_from
from flipdetect.sources.video.convert import Converter, check_request
from flipdetect.sources.video.decoder import Decoding
from flipdetect.sources.video.timestamps import Place, VideoFrame

# Frames that wait to be taken, at least: little enough at full size (4K: 25 MB each).
AHEAD = 4
# Of small frames more may wait, of so many bytes in all: while a batch of them is scored, decoding goes on.
AHEAD_MOST, AHEAD_BYTES = 64, 16_000_000
# Containers round time stamps, to a millisecond at worst.
_TIME_TOLERANCE = 0.002


def open_video(
    path: Path | str,
    *,
    stride: int = 1,
    rate_hz: float | None = None,
    min_size: tuple[int, int] | None = None,
    channels: int = 3,
    place: Place | None = None,
) -> VideoReader:
    """Open a video to read its frames in the order in which they are shown.

    All frames are decoded, for they are predicted from each other; those that are not wanted are not converted.
    `min_size` saves memory and the resizing that would follow rather than decoding time. CPU time per frame of an
    H.264 file of 1920 x 1080 pixels and 19 Mbit/s (boxes moving under noise): 11 ms to decode, 12 ms with
    conversion at full size, 13 ms with `min_size=(256, 256)`, 20 ms at full size and resized after.
    FFmpeg's short cuts were tried and are not used: to skip the frames that no other needs
    (`skip_frame=nonref`) loses count of the frames, to skip the loop filter gains a tenth at most and changes
    pixels, and `lowres` exists for old codecs alone (MPEG-4, MJPEG; not H.264, HEVC, VP9, AV1).

    Args:
        path: the file.
        stride: every how many frames one is given, from the first.
        rate_hz: frames per second to give, chosen by their times; at most all there are. Not with `stride`.
        min_size: (height, width) in pixels, upright, that frames must still cover: larger ones are
            shrunk, keeping their shape, to the smallest size that does. None: full size.
        channels: 3 for RGB, 1 for grey.
        place: begin with this frame, which an earlier reading with the same `stride` or `rate_hz` gave, and choose and
            number frames as that would have gone on to; None: from the start.

    Raises:
        FrameError: if the file is absent, empty, no video or without pictures; the message names the remedy.
        ConfigError: if an argument is impossible.
    """
    if stride < 1:
        raise ConfigError(f"stride must be 1 or more, got {stride}")
    if rate_hz is not None and not (rate_hz > 0 and math.isfinite(rate_hz)):
        raise ConfigError(f"rate_hz must be more than 0 frames per second, got {rate_hz}")
    if rate_hz is not None and stride != 1:
        raise ConfigError(f"give stride or rate_hz, not both, got stride={stride} and rate_hz={rate_hz}")
    check_request(min_size, channels)
    choice = _Choice(stride, rate_hz)
    if place is not None:
        choice.go_on(place)
    return VideoReader(Path(path), choice, min_size, channels, place)


class VideoReader:
    """Frames of a video, once, in presentation order. Close it, or use it in `with`; closing twice is harmless.

    A background thread decodes `AHEAD` frames ahead, up to `AHEAD_MOST` of small ones. It starts with the first frame
    asked for, and is ended and joined by `close`, by the end of the file, by an error, when the reader is forgotten,
    and when Python exits. Memory does not grow with the length. One thread at a time may iterate.

    Times are the file's presentation stamps less `start_s`, so that 0 is where a player starts: where
    the first of the file's streams does. Pictures that set in after the sound do so at a time above 0.
    What is wrong with stamps is repaired as `Clock` says.

    Damage raises nothing as long as one frame can be shown: see `decode_failures` and `lost`.
    """

    def __init__(
        self,
        path: Path,
        choice: _Choice,
        min_size: tuple[int, int] | None,
        channels: int,
        place: Place | None = None,
    ) -> None:
        """Open a file; called by `open_video`."""
        self.path = path
        container, stream = open_container(path)
        self.start_s = float(start_of(container, stream))
        converter = Converter(str(path), stream, min_size, channels)
        self._work = _Work(path, container, stream, choice, converter, place)
        # Called once: by close, when the reader is forgotten, or at exit. The thread knows only the work.
        self._finish = weakref.finalize(self, self._work.stop)

    @property
    def decode_failures(self) -> int:
        """Packets and frames so far that could not be decoded."""
        return self._work.decoding.failures

    @property
    def missing_times(self) -> int:
        """Frames so far without a time stamp, which were put one usual step after the one before."""
        return self._work.decoding.clock.missing

    @property
    def repaired_times(self) -> int:
        """Frames so far whose stamp repeated or fell back, which were put after the one before."""
        return self._work.decoding.clock.repeated + self._work.decoding.clock.jumps

    @property
    def lost(self) -> str:
        """What of the file could not be shown, for the user ("it breaks off at 12.3 s of 20.0 s"); "" if nothing.

        Complete once the last frame was given. Some files do not say how long they should be (MPEG-TS, pictures
        beside longer sound): that such a file was cut is not noticed.
        """
        return self._work.decoding.lost()

    def __iter__(self) -> Iterator[VideoFrame]:
        return self

    def __next__(self) -> VideoFrame:
        """The next frame.

        Raises:
            StopIteration: after the last one, and once the reader is closed.
            FrameError: if no frame of the file can be decoded.
        """
        if not self._finish.alive:
            raise StopIteration
        try:
            item = self._work.take()
        except BaseException:
            self.close()  # also for Ctrl-C
            raise
        if isinstance(item, VideoFrame):
            return item
        self.close()
        if item is not None:
            raise item
        raise StopIteration

    def close(self) -> None:
        """End the thread, waiting for it, and close the file."""
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Choice:
    """Which frames are wanted: every so many, or so many a second."""

    def __init__(self, stride: int, rate_hz: float | None) -> None:
        self._stride = stride
        self._rate = rate_hz
        self._taken = 0
        self._first: float | None = None

    def go_on(self, place: Place) -> None:
        """Want the frame of a place, and then what would have come after it."""
        self._first = place.first_s
        # Whatever was taken before it, the frame itself sets when the next one is due; it must only not come too soon.
        self._taken = int((place.time_s - place.first_s) * self._rate) - 1 if self._rate else 0

    def wants(self, index: int, time: float) -> bool:
        """Whether to give the frame of this number and time; to be asked once for each, in order."""
        if self._rate is None:
            return index % self._stride == 0
        self._first = time if self._first is None else self._first
        passed = time - self._first + _TIME_TOLERANCE
        if passed < self._taken / self._rate:
            return False
        # The next frame is due on the grid of the rate, however late this one came.
        self._taken = max(self._taken, int(passed * self._rate)) + 1
        return True


class _Work:
    """What the thread does. It must not know the reader, or that would never be forgotten.

    The two queues are of the kind whose `put` may interrupt itself, for the garbage collector may call
    `stop` anywhere: even in this thread, in the middle of a `put`.
    """

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        stream: av.VideoStream,
        choice: _Choice,
        converter: Converter,
        place: Place | None,
    ) -> None:
        self.decoding = Decoding(container, stream)
        self._path = path
        self._stream = stream
        self._place = place
        self._container = container
        self._choice = choice
        self._converter = converter
        self._ready: SimpleQueue[VideoFrame | Exception | None] = SimpleQueue()
        # One permit for each frame that may still be put into `_ready`; False ends the work.
        self._permits: SimpleQueue[bool] = SimpleQueue()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def take(self) -> VideoFrame | Exception | None:
        """The next frame; or what went wrong; or None at the end."""
        if self._thread is None:
            for _ in range(AHEAD):
                self._permits.put(True)
            # A daemon, for Python waits for others before it calls what would stop this one.
            self._thread = threading.Thread(target=self._run, name=f"decode {self._path.name}", daemon=True)
            self._thread.start()
        item = self._ready.get()
        self._permits.put(True)
        return item

    def stop(self) -> None:
        """End the thread, wait for it, and close the file."""
        self._stopped = True
        self._permits.put(False)
        if self._thread is None:
            self._container.close()
        elif self._thread is not threading.current_thread():
            self._thread.join()
            self._ready = SimpleQueue()  # lets go of the frames that nobody took

    def _run(self) -> None:
        try:
            self._decode()
            self._ready.put(None)
        except Exception as error:  # it is raised where the frames are taken
            self._ready.put(error)
        finally:
            self._container.close()

    def _decode(self) -> None:
        shown = given = 0
        for index, time, frame in self._frames():
            if self._stopped:
                return
            shown += 1
            if not self._choice.wants(index, time):
                continue
            try:
                image = self._converter.pixels(frame)
            except av.FFmpegError:
                self.decoding.failures += 1
                continue
            if not self._permits.get() or self._stopped:
                return
            if not given:
                for _ in range(min(AHEAD_MOST, AHEAD_BYTES // image.nbytes) - AHEAD):
                    self._permits.put(True)
            given += 1
            self._ready.put(VideoFrame(time, index, image))
        if not shown:
            fail_to_decode(self._path)

    def _frames(self) -> Iterator[Numbered]:
        if self._place is None:
            return self.decoding.frames()
        self.decoding, frames = frames_from(self._path, self._container, self._stream, self._place)
        return frames
