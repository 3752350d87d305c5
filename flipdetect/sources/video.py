"""Read a video from the first frame to the last, decoding a little ahead in the background."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Self

import av
import numpy as np
from numpy.typing import NDArray

from flipdetect.sources.image import damage_is_an_error_of
from flipdetect.sources.video_change import FrameSelection, Opinion
from flipdetect.sources.video_decoder import Decoding, VideoFrame, fail_to_decode, open_container
from flipdetect.sources.video_groups import FrameTable, GroupDecoding
from flipdetect.sources.video_pixels import Converter

AHEAD = 4
"""Frames decoded ahead, at least: little memory even at full size (4K: 25 MB each)."""
AHEAD_MOST = 64
AHEAD_BYTES = 48_000_000
"""More small frames are decoded ahead, up to so many and so many bytes: decoding continues while a batch is scored."""
# Containers round time stamps, to a millisecond at worst.
_TIME_TOLERANCE = 0.002


def open_video(
    path: Path | str,
    *,
    stride: int = 1,
    rate_hz: float | None = None,
    min_size: tuple[int, int] | None = None,
    start_s: float = 0.0,
    refine: int = 1,
    skips_rest: bool = False,
    table: FrameTable | None = None,
    look: Callable[[NDArray[np.uint8]], Opinion | None] | None = None,
    hardware: bool = False,
) -> VideoReader:
    """Open a video to read its frames in the order in which they are shown.

    All frames are decoded, because they are predicted from each other; only the requested ones are converted.
    `min_size` saves memory and later resizing rather than decoding time. With `skips_rest`, few are returned while
    the picture rests (`FrameSelection`); with a table, groups of pictures between key frames that show the same are not
    even decoded (`GroupDecoding`). docs/research/benchmarks.md says which other shortcuts do not pay.

    Args:
        stride: return every so many frames, from the first.
        rate_hz: frames per second to return, chosen by their times; at most all there are. Not with `stride`.
        min_size: (height, width) in pixels, upright, that frames still cover: larger ones are shrunk, keeping their
            shape, to the smallest size that does. None: full size.
        start_s: return no frame before this second.
        refine: every so many of the frames to return, one is coarse, the others are `fine`; with `rate_hz` fewer in a
            video that has fewer frames.
        skips_rest: see above.
        table: see above; with `skips_rest` alone.
        look: with a table, asks a model about an upright frame (H, W, 3) uint8 RGB, in the thread that decodes; see
            `GroupDecoding`.
        hardware: decode by a device that can, if there is one; pixels may differ by a level or two.

    Raises:
        FrameError: if the file is absent, empty, no video or without pictures; the message names the remedy.
    """
    path = Path(path)
    wants = _chooser(stride, rate_hz, start_s - _TIME_TOLERANCE)
    container, stream = open_container(path, hardware=hardware)
    converter = Converter(str(path), stream, min_size)

    def ask(frame: av.VideoFrame) -> Opinion | None:
        try:
            opinion = None if look is None else look(converter.pixels(frame))
        except av.FFmpegError:  # it cannot be converted, which is noticed later
            return None
        return None if opinion is None else replace(opinion, hidden=converter.as_stored(opinion.hidden))

    decoding = Decoding(container, stream)
    if table is not None:
        others = open_container(path, hardware=hardware)
        decoding = GroupDecoding(container, stream, *others, table, start_s - _TIME_TOLERANCE, ask)
    if rate_hz is not None and stream.average_rate:
        # A video with fewer frames than are asked for has fewer fine ones: at least two thirds of the coarse rate stay.
        refine = min(refine, max(1, math.ceil(float(stream.average_rate) * refine / rate_hz - 1 / 3)))
    selection = FrameSelection(wants, refine, skips_rest=skips_rest)
    return VideoReader(path, decoding, _converted(path, decoding, selection, converter))


def _chooser(stride: int, rate_hz: float | None, start_s: float) -> Callable[[int, float], bool]:
    """Whether to return the frame of a number and a time; to be asked once for each frame, in order."""
    if rate_hz is None:
        return lambda index, time: index % stride == 0 and time >= start_s
    first: float | None = None
    taken = 0

    def wants(index: int, time: float) -> bool:
        nonlocal first, taken
        if time < start_s:
            return False
        first = time if first is None else first
        passed = time - first + _TIME_TOLERANCE
        if passed < taken / rate_hz:
            return False
        # The next frame is due on the grid of the rate, however late this one came.
        taken = max(taken, int(passed * rate_hz)) + 1
        return True

    return wants


def _converted(path: Path, decoding: Decoding, selection: FrameSelection, converter: Converter) -> Iterator[VideoFrame]:
    """The selected frames as pixels, if at least one can be decoded."""
    with damage_is_an_error_of(path, "video"):
        for index, time, frame, fine, opinion in decoding.taken(selection):
            try:
                image = converter.pixels(frame)
            except av.FFmpegError:
                decoding.failures += 1
                continue
            yield VideoFrame(time, index, image, fine, opinion)
        if not decoding.shown and not decoding.stopped:
            fail_to_decode(path)


class VideoReader:
    """Frames of a video, once, in presentation order. Close it, or use it in `with`; closing twice is harmless.

    A background thread decodes `AHEAD` frames ahead, up to `AHEAD_MOST` small ones. It starts with the first frame
    asked for, and is ended and joined by `close`, at the end of the file, by an error, when the reader is garbage
    collected, and when Python exits. Memory does not grow with the length. One thread at a time may iterate.

    Times are the file's presentation stamps, shifted so that 0 is where a player starts: at the start of the first
    stream. Pictures that start after the sound do so at a time above 0. Wrong stamps are repaired, see `Clock`.

    Damage raises no error as long as one frame can be decoded: see `lost`.
    """

    def __init__(self, path: Path, decoding: Decoding, frames: Iterator[VideoFrame]) -> None:
        """Take over what decodes a film, and its frames; called by `open_video`."""
        self._decoding = decoding
        self._work = _Work(f"decode {path.name}", decoding, frames)
        # Called once: by close, when the reader is collected, or at exit. The thread knows only the work.
        self._finish = weakref.finalize(self, self._work.stop)

    @property
    def repaired_times(self) -> int:
        """Frames so far whose time stamp was missing or wrong, and was repaired (see `Clock`)."""
        clock = self._decoding.clock
        return clock.missing + clock.repeated + clock.jumps

    @property
    def end_s(self) -> float:
        """Second at which the last frame so far ends; of the film, after the last one."""
        return self._decoding.end_s

    @property
    def lost(self) -> str:
        """What could not be decoded, for the user ("it breaks off at 12.3 s of 20.0 s"); "" if nothing.

        Complete after the last frame. It is not noticed that a file was cut if the file does not contain its length
        (MPEG-TS, pictures with longer sound).
        """
        return self._decoding.lost()

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
        raise StopIteration if item is None else item

    def close(self) -> None:
        """End the thread, waiting for it, and close the file."""
        self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Work:
    """The thread's work. It must not know the reader, or the reader would never be collected.

    The garbage collector may call `stop` anywhere, even in this thread within a `put`: `SimpleQueue` allows it.
    """

    def __init__(self, name: str, decoding: Decoding, frames: Iterator[VideoFrame]) -> None:
        self._decoding, self._frames = decoding, frames
        self._ready: SimpleQueue[VideoFrame | Exception | None] = SimpleQueue()
        # One permit for each frame that may still be put into `_ready`; False ends the work.
        self._permits: SimpleQueue[bool] = SimpleQueue()
        # A daemon, because Python waits for other threads before it calls what would stop this one.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def take(self) -> VideoFrame | Exception | None:
        """The next frame; or an error; or None at the end."""
        if self._thread.ident is None:
            self._permit(AHEAD)
            self._thread.start()
        item = self._ready.get()
        self._permit(1)
        return item

    def stop(self) -> None:
        """End the thread, wait for it, and close the file."""
        self._decoding.stopped = True
        self._permits.put(False)
        if self._thread.ident is None:
            self._decoding.close()
        elif self._thread is not threading.current_thread():
            self._thread.join()
            self._ready = SimpleQueue()  # releases the frames that nobody took

    def _permit(self, frames: int) -> None:
        for _ in range(frames):
            self._permits.put(True)

    def _run(self) -> None:
        try:
            for place, frame in enumerate(self._frames):
                if not self._permits.get() or self._decoding.stopped:
                    break
                if place == 0:
                    self._permit(min(AHEAD_MOST, AHEAD_BYTES // frame.image.nbytes) - AHEAD)
                self._ready.put(frame)
            self._ready.put(None)
        except Exception as error:  # raised where the frames are taken
            self._ready.put(error)
        finally:
            self._decoding.close()
            self._frames = iter(())  # a frame of the decoder may be held in it
