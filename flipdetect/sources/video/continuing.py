"""Go on reading a video where an earlier reading stopped, without decoding all that comes before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.container import InputContainer

from flipdetect.sources.video.container import clock_of, opened, stamps_restart
from flipdetect.sources.video.decoder import Decoding
from flipdetect.sources.video.seek import EARLIER_S, TOLERANCE_S
from flipdetect.sources.video.timestamps import Place

Numbered = tuple[int, float, av.VideoFrame]


def frames_from(
    path: Path, container: InputContainer, stream: av.VideoStream, place: Place
) -> tuple[Decoding, Iterator[Numbered]]:
    """The frames of a stream from a place on, numbered as from the start.

    The decoder jumps to the last key frame before the place, if from there it meets a frame of exactly that time.
    Where it does not, or where stamps may begin anew (MPEG-TS) or be absent (raw H.264), all is decoded from the start
    and passed over up to the frame of that number.

    Args:
        path: the file.
        container: of it, opened and not read from.
        stream: its pictures.
        place: where to begin; its frame is given first.

    Returns:
        The account of what is decoded, and (number, seconds of playback, frame) of each frame.

    Raises:
        FrameError: as `open_container`.
    """
    start = None if stamps_restart(container) else _key_frame_before(path, place)
    if start is not None:
        container.seek(start, stream=stream, backward=True)
    decoding = Decoding(container, stream)
    return decoding, _after_jump(decoding, place) if start is not None else _passing_over(decoding, place)


def _key_frame_before(path: Path, place: Place) -> int | None:
    """The stamp to jump to for a place, tried on a reading of its own; None if no jump leads there."""
    with opened(path) as (container, stream):
        clock = clock_of(container, stream)
        for earlier in EARLIER_S:
            stamp = clock.stamp(max(place.time_s - earlier, 0.0))
            try:
                container.seek(stamp, stream=stream, backward=True)
            except av.FFmpegError:
                return None
            decoding = Decoding(container, stream)
            if next(_after_jump(decoding, place), None) is not None:
                return None if decoding.clock.missing or decoding.clock.jumps else stamp
    return None


def _after_jump(decoding: Decoding, place: Place) -> Iterator[Numbered]:
    """From the place on; nothing if its frame does not come, as where the jump led too far."""
    sure = found = False
    shift = 0
    for index, time, frame in decoding.frames():
        sure = sure or bool(frame.key_frame)  # frames before the key frame lack what they are predicted from
        if not found:
            if time > place.time_s + TOLERANCE_S:
                return
            if not sure or time < place.time_s - TOLERANCE_S:
                continue
            found, shift = True, place.index - index
        yield index + shift, time, frame


def _passing_over(decoding: Decoding, place: Place) -> Iterator[Numbered]:
    return (found for found in decoding.frames() if found[0] >= place.index)
