"""All frames of a stream in presentation order, and an account of what was lost."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.container import InputContainer

from flipdetect.sources.video.container import clock_of, expected_end

# Damage on a disk rarely spans more reads than this; a file that always fails must end.
_FAILED_READS = 16
# Containers round durations and count edits differently: only a clear shortfall is reported.
_SHORTFALL_S = 0.5


class Decoding:
    """Decodes everything that can be decoded; skips and counts damaged packets and frames.

    Attributes:
        clock: repairs and counts time stamps.
        failures: packets and frames that could not be decoded.
        index: number of the next frame.
        ended: whether the end of the file was reached, rather than left early.
    """

    def __init__(self, container: InputContainer, stream: av.VideoStream) -> None:
        """Take over a container that has been opened and not read from."""
        self._container = container
        self._stream = stream
        self._expected = expected_end(container, stream)
        self._end = 0.0
        self._broke = ""
        self.clock = clock_of(container, stream)
        self.failures = 0
        self.index = 0
        self.ended = False

    def frames(self) -> Iterator[tuple[int, float, av.VideoFrame]]:
        """(number, seconds of playback, frame) of each frame that can be shown."""
        for packet in self._packets():
            try:
                # None flushes the frames that the decoder holds back to put them in order.
                frames = self._stream.codec_context.decode(packet) if packet is None else packet.decode()
            except av.FFmpegError:
                self.failures += 1
                continue
            for frame in frames:
                # A file without presentation stamps (AVI) has decoding stamps, which come in the same order.
                time = self.clock.tick(frame.pts if frame.pts is not None else frame.dts)
                self._end = time + duration_of(frame, self.clock.step)
                self.index += 1
                if frame.is_corrupt:
                    self.failures += 1
                else:
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
        expected = self._expected or 0.0
        if self.ended and expected - self._end > max(_SHORTFALL_S, 2 * self.clock.step):
            why = f" ({self._broke})" if self._broke else ""
            parts.append(f"it breaks off at {self._end:.1f} s of {expected:.1f} s{why}")
        elif self._broke:
            parts.append(f"a part could not be read ({self._broke}), the last frame is at {self._end:.1f} s")
        if self.failures:
            noun = "frame or packet was" if self.failures == 1 else "frames or packets were"
            parts.append(f"{self.failures:,} {noun} damaged")
        return ", ".join(parts)


def duration_of(frame: av.VideoFrame, usual: float) -> float:
    """Seconds for which a frame is shown."""
    duration = getattr(frame, "duration", 0)
    return float(duration * frame.time_base) if duration and frame.time_base else usual
