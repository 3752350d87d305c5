"""Open a video file, and read what its header says."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NoReturn, cast

import av
from av.container import InputContainer

from flipdetect.errors import FrameError
from flipdetect.sources.video.timestamps import Clock

# Self-contained formats only. Play lists (HLS, DASH, concat) would let a downloaded file read other files and the
# network; FFmpeg would also open a text file as a recording of a terminal.
FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,h264,hevc,m4v,mjpeg,ivf,obu,mxf,dv,nut,rm,"
    "yuv4mpegpipe,mp3,wav,flac,aac"
)
# For files that name no frame rate.
USUAL_RATE = Fraction(30)

_TS_DISCONT, _NO_TIMESTAMPS = 0x0200, 0x0080
_ATTACHED_PICTURE = 0x0400


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """The container and its picture stream; closed at the end.

    Raises:
        FrameError: as `open_container`.
    """
    container, stream = open_container(path)
    try:
        yield container, stream
    finally:
        container.close()


def open_container(path: Path) -> tuple[InputContainer, av.VideoStream]:
    """Open a file; the caller closes the container.

    Raises:
        FrameError: if it is absent, no regular file, empty, no video, cut short before its index, or without
            pictures.
    """
    try:
        status = path.stat()
    except FileNotFoundError as error:
        _fail(path, "there is no such file", "correct the path", error)
    except (OSError, ValueError) as error:
        _fail(path, f"it cannot be read ({error})", "check the path and its permissions", error)
    if stat.S_ISDIR(status.st_mode):
        _fail(path, "it is a folder", "give a video file")
    if not stat.S_ISREG(status.st_mode):
        _fail(path, "it is not a regular file", "give a video file")
    if status.st_size == 0:
        _fail(path, "the file is empty (0 bytes)", "copy it again")
    if not os.access(path, os.R_OK):
        _fail(path, "it may not be read (permission denied)", "change its permissions (chmod +r)")
    try:
        # "file:" keeps a name with a colon from being read as an address.
        container = av.open(
            f"file:{path}",
            options={"protocol_whitelist": "file", "format_whitelist": FORMATS},
            metadata_errors="replace",
        )
    except UnicodeError as error:
        _fail(path, "its name cannot be encoded", "rename it", error)
    except (av.FFmpegError, OSError, ValueError) as error:
        with path.open("rb") as file:
            head = file.read(12)
        if head[4:8] in (b"ftyp", b"mdat", b"wide"):
            what = "the video is damaged or cut short: its index (moov) is missing"
            _fail(path, what, "copy it again from the camera; it cannot be played without its end", error)
        words = getattr(error, "strerror", None) or str(error)
        what = f"it cannot be opened as a video ({words})"
        _fail(path, what, "give a video such as MP4, MOV, MKV, WebM or AVI", error)
    try:
        pictures = [s for s in container.streams.video if not int(getattr(s, "disposition", 0)) & _ATTACHED_PICTURE]
        if not pictures:
            found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            _fail(path, f"it holds no moving pictures (found: {found})", "give a video file, or convert it again")
        best = container.streams.best("video")
        stream = best if best in pictures else pictures[0]
        assert isinstance(stream, av.VideoStream)
        if not stream.codec_context:
            what = "its pictures are coded in a way that this FFmpeg does not know"
            _fail(path, what, "convert it to H.264 (MP4)")
        # Frame and slice threads: the same pictures, about as many times faster as there are free cores.
        stream.thread_type = "AUTO"
    except BaseException:
        container.close()
        raise
    return container, stream


def start_of(container: InputContainer, stream: av.VideoStream) -> Fraction:
    """The time stamp in seconds that players show as 0: the start of the first of all streams."""
    start = cast("int | None", container.start_time)
    if start is not None:
        return Fraction(start, av.time_base)
    if stream.start_time is not None and stream.time_base:
        return Fraction(stream.start_time * stream.time_base)
    return Fraction(0)


def clock_of(container: InputContainer, stream: av.VideoStream) -> Clock:
    """A clock for the frames of a stream."""
    rate = stream.average_rate or stream.guessed_rate or USUAL_RATE
    return Clock(stream.time_base or 1 / USUAL_RATE, start_of(container, stream), 1 / Fraction(rate))


def picture_end(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Seconds of playback at which the pictures should end; None if unknown."""
    if stream.duration and stream.time_base:
        start = stream.start_time * stream.time_base - start_of(container, stream) if stream.start_time else 0
        return float(stream.duration * stream.time_base + start)
    if match := re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", stream.metadata.get("DURATION", "")):
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    # The duration of the whole file may be that of its sound.
    return container.duration / av.time_base if container.duration and len(container.streams) == 1 else None


def expected_end(container: InputContainer, stream: av.VideoStream) -> float | None:
    """Seconds of playback at which the pictures of the complete file end; None if unknown."""
    if stamps_restart(container):
        return None  # not in the header: FFmpeg guesses from the last stamps or the bit rate
    end = picture_end(container, stream)
    rate = stream.average_rate
    # FFmpeg corrects the duration of a cut AVI, but not its number of frames. That of an MP4 includes frames that were
    # trimmed away.
    if container.format.name == "avi" and stream.frames and rate:
        return max(end or 0.0, float(stream.frames / rate))
    return end


def stamps_restart(container: InputContainer) -> bool:
    """Whether time stamps may restart within a file of this format, or be absent."""
    return bool(int(container.format.flags) & (_TS_DISCONT | _NO_TIMESTAMPS))


def estimated_frames(path: Path | str) -> int | None:
    """The number of frames of a video by its header, or by duration and rate; None if it says neither.

    Raises:
        FrameError: as `open_video`.
    """
    with opened(Path(path)) as (container, stream):
        end = picture_end(container, stream)
        duration = end if end is not None else container.duration / av.time_base if container.duration else None
        rate = stream.average_rate or stream.guessed_rate
        return stream.frames or (round(duration * rate) if duration and rate else None)


def fail_to_decode(path: Path) -> NoReturn:
    """Raise the error of a video whose pictures cannot be decoded."""
    _fail(path, "not one of its frames can be decoded", "copy or export it again")


def _fail(path: Path, what: str, remedy: str, cause: BaseException | None = None) -> NoReturn:
    raise FrameError(f"{path}: {what}; {remedy}") from cause
