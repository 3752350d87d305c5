"""Open a video file, and decode its frames in order, with times of playback and an account of damage."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NoReturn, cast

import av
import numpy as np
from av.codec.hwaccel import HWAccel, hwdevices_available
from av.container import InputContainer
from numpy.typing import NDArray

from flipdetect.sources.image import damage_is_an_error_of, fail, file_size
from flipdetect.sources.video_change import FrameSelection, Opinion, Taken

logger = logging.getLogger(__name__)

# A stamp further back than this starts a new count (files joined end to end); a smaller step back is a bad stamp.
JUMP_BACK_S = 0.5
# A later step forward than this is not a pause but another count (a camera that sets its clock).
JUMP_AHEAD_S = 86_400.0
# A frame with a bad stamp is put so far behind the previous one: less than any real distance, and more than the
# rounding error of a time with three decimals.
NUDGE_S = 0.001

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

# Damage on a disk rarely spans more reads than this; a file that always fails must end.
_FAILED_READS = 16
# Containers round durations and count edits differently: only a clear shortfall is reported.
_SHORTFALL_S = 0.5


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """One frame of a video.

    Attributes:
        time_s: seconds from the start of playback; strictly increasing within a video.
        index: number of the frame in the file in presentation order, from 0, damaged frames included;
            -1 if it was reached by a jump (`frame_at`).
        image: `(H, W, 3) uint8` RGB, upright, contiguous and writable.
        fine: whether it lies between two coarse frames; see `video_change.FrameSelection`.
        opinion: a model's, if it was asked already.
    """

    time_s: float
    index: int
    image: NDArray[np.uint8]
    fine: bool = False
    opinion: Opinion | None = None


@dataclass
class Clock:
    """Converts the presentation stamps of successive frames to strictly increasing seconds.

    Wrong stamps are repaired and counted: a frame without a stamp is put one step after the last; a frame whose stamp
    is not later than the last is put 1 ms after it; where stamps fall back by more than half a second, as where
    recordings were joined, or leap ahead by more than a day, time continues.

    Attributes:
        time_base: seconds of one unit of the stamps.
        start: stamp in seconds at the start of playback.
        usual_step: seconds from a frame to the next.
        missing: frames without a stamp of their own.
        repeated: frames whose stamp was not later than the one before.
        jumps: places where the stamps restarted.
        shift: seconds that were added to the stamps since the last jump.
        last: seconds of the last frame, None before the first.
    """

    time_base: Fraction
    start: Fraction
    usual_step: Fraction
    missing: int = 0
    repeated: int = 0
    jumps: int = 0
    shift: float = 0.0
    last: float | None = None

    @property
    def step(self) -> float:
        """The usual step in seconds."""
        return float(self.usual_step)

    def anew(self) -> Clock:
        """A clock of the same film that has seen no frame: FFmpeg may learn another start while it reads."""
        return Clock(self.time_base, self.start, self.usual_step)

    def seconds(self, stamp: int) -> float:
        """Seconds of playback of a stamp, not repaired."""
        return float(stamp * self.time_base - self.start)

    def stamp(self, seconds: float) -> int:
        """The stamp of a time of playback."""
        return int((Fraction(seconds) + self.start) / self.time_base)

    def tick(self, stamp: int | None) -> float:
        """Seconds of the next frame in presentation order, whose stamp is `stamp` if it has one."""
        if stamp is None:
            self.missing += 1
            time = 0.0 if self.last is None else self.last + self.step
        else:
            time = self.seconds(stamp) + self.shift
            if self.last is not None and 0 <= self.last - time <= JUMP_BACK_S:
                self.repeated += 1
                time = self.last + NUDGE_S
            elif self.last is not None and not -JUMP_AHEAD_S <= self.last - time <= 0:
                self.jumps += 1
                self.shift += self.last + self.step - time
                time = self.last + self.step
        self.last = time
        return time


def open_container(path: Path, *, hardware: bool = False) -> tuple[InputContainer, av.VideoStream]:
    """The container of a file, which the caller closes, and its picture stream; `hardware`: by a device that can.

    Raises:
        FrameError: if it is absent, no regular file, empty, no video, cut short before its index, or without
            pictures.
    """
    file_size(path, "a video file")
    try:
        container = (_hardware_container(path) if hardware else None) or _container(path)
    except UnicodeError as error:
        fail(path, "its name cannot be encoded", "rename it", error)
    except (av.FFmpegError, OSError, ValueError) as error:
        with path.open("rb") as file:
            head = file.read(12)
        if head[4:8] in (b"ftyp", b"mdat", b"wide"):
            what = "the video is damaged or cut short: its index (moov) is missing"
            fail(path, what, "copy it again from the camera; it cannot be played without its end", error)
        words = getattr(error, "strerror", None) or str(error)
        what = f"it cannot be opened as a video ({words})"
        fail(path, what, "give a video such as MP4, MOV, MKV, WebM or AVI", error)
    try:
        with damage_is_an_error_of(path, "video"):
            pictures = [s for s in container.streams.video if not int(getattr(s, "disposition", 0)) & _ATTACHED_PICTURE]
            if not pictures:
                found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
                fail(path, f"it holds no moving pictures (found: {found})", "give a video file, or convert it again")
            best = container.streams.best("video")
            stream = best if best in pictures else pictures[0]
            assert isinstance(stream, av.VideoStream)
            if not stream.codec_context:
                what = "its pictures are coded in a way that this FFmpeg does not know"
                fail(path, what, "convert it to H.264 (MP4)")
            # Frame and slice threads: the same pictures, about as many times faster as there are free cores.
            stream.thread_type = "AUTO"
    except BaseException:
        container.close()
        raise
    return container, stream


def _container(path: Path, hwaccel: HWAccel | None = None) -> InputContainer:
    return av.open(
        f"file:{path}",  # "file:" keeps a name with a colon from being read as an address
        options={"protocol_whitelist": "file", "format_whitelist": FORMATS},
        metadata_errors="replace",
        hwaccel=hwaccel,
    )


def _hardware_container(path: Path) -> InputContainer | None:
    """A container whose pictures a device decodes; None, with a word to the user, if there is none for them."""
    for device in hwdevices_available():
        try:
            container = _container(path, HWAccel(device, allow_software_fallback=True))
        except (av.FFmpegError, NotImplementedError):
            continue  # no such device in this machine
        stream = container.streams.best("video")
        if stream is not None and stream.codec_context.is_hwaccel:
            logger.info("%s: decoded by %s", path, device)
            return container
        container.close()
    tried = ", ".join(hwdevices_available()) or "nothing"
    logger.info("%s: no device here decodes it (tried: %s), so the processor does", path, tried)
    return None


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


def estimated_length(path: Path | str) -> tuple[float | None, int | None]:
    """Seconds and number of frames of a video by its header, or by duration and rate; None for what it does not say.

    Raises:
        FrameError: as `open_video`.
    """
    container, stream = open_container(Path(path))
    with container:
        end = picture_end(container, stream)
        whole = container.duration / av.time_base if container.duration else None
        duration = end if end is not None else whole
        rate = stream.average_rate or stream.guessed_rate
        frames = stream.frames or (round(duration * rate) if duration and rate else 0)
        sane = 0 < frames <= Path(path).stat().st_size  # a wrong stamp makes a long duration
        return (duration, frames) if sane else (None, None)


def fail_to_decode(path: Path) -> NoReturn:
    """Raise the error of a video whose pictures cannot be decoded."""
    fail(path, "not one of its frames can be decoded", "copy or export it again")


class Decoding:
    """Decodes everything that can be decoded; skips and counts damaged packets and frames.

    Attributes:
        clock: repairs and counts time stamps.
        failures: packets and frames that could not be decoded.
        index: number of the next frame.
        shown: frames so far that can be shown.
        ended: whether the end of the file was reached, rather than left early.
        stopped: set by another thread to end `frames` and `taken`.
        end_s: second of playback at which the last frame so far ends.
    """

    def __init__(self, container: InputContainer, stream: av.VideoStream, clock: Clock | None = None) -> None:
        """Take over a container that has been opened and not read from; or, after a jump, with its film's clock."""
        self._container, self._stream = container, stream
        self._expected, self._broke = expected_end(container, stream), ""
        self.clock = clock or clock_of(container, stream)
        self.failures = self.index = self.shown = 0
        self.ended = self.stopped = False
        self.end_s = 0.0

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def taken(self, selection: FrameSelection) -> Iterator[Taken]:
        """The frames that are selected."""
        for index, time, frame in self.frames():
            yield from selection.push(index, time, frame)
        yield from selection.finish()

    def frames(self) -> Iterator[tuple[int, float, av.VideoFrame]]:
        """(number, seconds of playback, frame) of each frame that can be shown."""
        for packet in self._packets():
            if self.stopped:
                return
            try:
                # None flushes the frames that the decoder holds back to put them in order.
                frames = self._stream.codec_context.decode(packet) if packet is None else packet.decode()
            except av.FFmpegError:
                self.failures += 1
                continue
            for frame in frames:
                # A file without presentation stamps (AVI) has decoding stamps, which come in the same order.
                time = self.clock.tick(frame.pts if frame.pts is not None else frame.dts)
                self.end_s = time + duration_of(frame, self.clock.step)
                self.index += 1
                if frame.is_corrupt:
                    self.failures += 1
                else:
                    self.shown += 1
                    yield self.index - 1, time, frame
        self.ended = True

    def _packets(self) -> Iterator[av.Packet[av.VideoStream] | None]:
        """Packets until the end; a read error is skipped as long as more packets follow."""
        failed = 0
        while failed < _FAILED_READS:
            try:
                for packet in self._container.demux(self._stream):
                    failed = 0
                    yield packet
            except av.FFmpegError as error:
                failed += 1
                self._broke = error.strerror or str(error)
            else:
                return  # demux ended with an empty packet, which flushed the decoder
        yield None

    def lost(self) -> str:
        """What could not be decoded, as part of a sentence; empty if nothing is known to be missing."""
        parts = []
        # Where stamps leapt ahead, so does the duration.
        expected = (self._expected or 0.0) + min(self.clock.shift, 0.0)
        if self.ended and expected - self.end_s > max(_SHORTFALL_S, 2 * self.clock.step):
            why = f" ({self._broke})" if self._broke else ""
            parts.append(f"it breaks off at {self.end_s:.1f} s of {expected:.1f} s{why}")
        elif self._broke:
            parts.append(f"a part could not be read ({self._broke}), the last frame is at {self.end_s:.1f} s")
        if self.failures:
            noun = "frame or packet was" if self.failures == 1 else "frames or packets were"
            parts.append(f"{self.failures:,} {noun} damaged")
        return ", ".join(parts)


def duration_of(frame: av.VideoFrame, usual: float) -> float:
    """Seconds for which a frame is shown."""
    duration = getattr(frame, "duration", 0)
    return float(duration * frame.time_base) if duration and frame.time_base else usual
