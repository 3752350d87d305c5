"""Read single frames of a video by their times, exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
from av.container import InputContainer

from flipdetect.errors import ConfigError, FrameError
from flipdetect.sources.image import damage_is_an_error_of
from flipdetect.sources.video_decoder import (
    NUDGE_S,
    Clock,
    Decoding,
    VideoFrame,
    clock_of,
    duration_of,
    fail_to_decode,
    open_container,
    stamps_restart,
)
from flipdetect.sources.video_pixels import Converter

# A time rounded to three decimals still means the same frame.
_TOLERANCE_S = 0.51 * NUDGE_S
# Up to so far ahead, decoding is tried before jumping; it grows where jumps lead back.
_REACH_S = 1.0
# How much earlier to look for a key frame when a jump led too far, as it may in MPEG-TS.
_EARLIER_S = (0.0, 2.0, 12.0)

_Timed = tuple[float, av.VideoFrame]


def frame_at(
    path: Path | str, times_s: Sequence[float], *, min_size: tuple[int, int] | None = None
) -> Iterator[VideoFrame]:
    """The frames shown at given times, in the order given, decoded as they are asked for.

    A time from `open_video` yields the same frame, even rounded to three decimals. Other times yield the frame that a
    player would show; before the first frame, the first one. Ascending times cost least: each jump goes to the last key
    frame before the time, and from there the decoder works forward.

    Formats whose stamps may restart (MPEG-TS) or be absent (raw H.264) are read from the start if a jump does not lead
    to a frame of exactly that time.

    Args:
        times_s: seconds from the start of playback.
        min_size: as in `open_video`.

    Yields:
        frames, whose `time_s` is their own and whose `index` is -1.

    Raises:
        ConfigError: if a time is negative or no number. Immediately.
        FrameError: as `open_video`, or if a time is beyond the end. While iterating.
    """
    wrong = [time for time in times_s if not (math.isfinite(time) and time >= 0)]
    if wrong:
        raise ConfigError(f"times must be seconds from the start of playback, 0 or more, got {wrong[0]}")
    return _frames_at(Path(path), [float(time) for time in times_s], min_size)


def _frames_at(path: Path, times: list[float], min_size: tuple[int, int] | None) -> Iterator[VideoFrame]:
    done, jumps = 0, True
    while done < len(times):
        container, stream = open_container(path)
        with container, damage_is_an_error_of(path, "video"):
            cursor = _Cursor(path, container, stream, jumps=jumps)
            converter = Converter(str(path), stream, min_size)
            try:
                while done < len(times) and (jumps or cursor.is_ahead(times[done])):
                    found, frame = cursor.move(times[done])
                    yield VideoFrame(found, -1, converter.pixels(frame))
                    done += 1
            except _UnsureError:
                jumps = False  # from the start, and again for each time that is earlier than the previous one


class _UnsureError(Exception):
    """A jump may have led to the wrong frame."""


class _Cursor:
    """A place in a stream: the frame shown there, and the next one."""

    def __init__(self, path: Path, container: InputContainer, stream: av.VideoStream, *, jumps: bool = True) -> None:
        self._path, self._container, self._stream, self._jumps = path, container, stream, jumps
        self._must_match = jumps and stamps_restart(container)
        self._clock, self._reach, self._placed = clock_of(container, stream), _REACH_S, False
        self._now: _Timed | None = None
        self._next: _Timed | None = None
        self._frames = self._from_here(sure=True)

    def is_ahead(self, time: float) -> bool:
        """Whether a time can be reached by decoding forward."""
        return self._now is None or time + _TOLERANCE_S >= self._now[0]

    def move(self, time: float) -> _Timed:
        """The frame shown at a time.

        Raises:
            FrameError: if the time is beyond the end.
            _UnsureError: if stamps do not identify that frame.
        """
        if not self._placed:
            if self._jumps and time > self._reach:
                self._jump(time)
            else:
                self._step()
        elif self._jumps and not self.is_ahead(time):
            self._jump(time)
        elif self._jumps and self._next is not None and time > self._next[0] + self._reach:
            place = self._next[0]
            self._jump(time)
            if self._next is not None and self._next[0] <= place:
                # There was no key frame in between: decoding forward would have been cheaper.
                self._reach = 2 * (time - place)
        self._placed = True
        while self._next is not None and self._next[0] <= time + _TOLERANCE_S:
            self._step()
        shown = self._now or self._next
        if shown is None:
            fail_to_decode(self._path)
        if self._must_match and abs(shown[0] - time) > _TOLERANCE_S:
            raise _UnsureError
        if self._next is None:
            end = shown[0] + duration_of(shown[1], self._clock.step)
            if time > end + _TOLERANCE_S:
                raise FrameError(
                    f"{self._path}: there is no frame at {time:.3f} s, its last one ends at {end:.3f} s; "
                    "ask for times before that"
                )
        return shown

    def _step(self) -> None:
        self._now, self._next = self._next, next(self._frames, None)

    def _jump(self, time: float) -> None:
        """Go to a key frame at or before `time`."""
        for earlier in _EARLIER_S:
            target = max(time - earlier, 0.0)
            try:
                self._container.seek(self._clock.stamp(target), stream=self._stream, backward=True)
            except av.FFmpegError as error:
                raise _UnsureError from error
            self._frames = self._from_here(sure=target == 0.0)
            self._now, self._next = None, next(self._frames, None)
            if self._next is not None and (self._next[0] <= time + _TOLERANCE_S or target == 0.0):
                return
        raise _UnsureError

    def _from_here(self, *, sure: bool) -> Iterator[_Timed]:
        # Not a method, or cursor and generator would hold each other, and the frames.
        return _frames_from_here(self._container, self._stream, self._clock.anew(), sure=sure, strict=self._jumps)


def _frames_from_here(
    container: InputContainer, stream: av.VideoStream, clock: Clock, *, sure: bool, strict: bool
) -> Iterator[_Timed]:
    """(seconds, frame) from the container's present position on.

    Args:
        clock: of the film, anew: it must not know frames elsewhere.
        sure: whether frames can be used at once; if not, only from the next key frame on. At the start of a trimmed MP4
            they can: the key frame that its first frames need is decoded, but not returned.
        strict: whether stamps must need no repair that depends on earlier frames.

    Raises:
        _UnsureError: if they do.
    """
    for _, time, frame in Decoding(container, stream, clock).frames():
        if strict and (clock.missing or clock.jumps):
            raise _UnsureError
        sure = sure or bool(frame.key_frame)
        if sure:
            yield time, frame
