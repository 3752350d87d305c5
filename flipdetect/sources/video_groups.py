"""Decode a film only where it changes: between key frames that differ.

A key frame is decoded without any other frame, and phones record one every second. The frames from one key frame to the
next are its group of pictures; they are predicted from each other, so a group is decoded from its key frame on. Where
two key frames in a row show the same, the group between them is not decoded: a page turned there was turned back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from flipdetect.sources.video_change import FrameSelection, Glance, Taken
from flipdetect.sources.video_decoder import JUMP_AHEAD_S, Decoding, open_container, stamps_restart

LONGEST_S = 2.1
"""Seconds before a key frame that may be left out if the same is to be seen at both ends: spreads are in view for
longer."""

FEWEST_KEYS, SHORTEST_S = 3, 0.3
"""Key frames of a film, and seconds between them, from which it pays to decode them first."""


@dataclass(frozen=True, eq=False)
class FrameTable:
    """The frames of a film by their packets, in order of presentation.

    Attributes:
        stamps: (N,) int64 presentation time stamps, ascending.
        end: stamp at which the last frame ends.
    """

    stamps: NDArray[np.int64]
    end: int


def read_frame_table(path: Path) -> FrameTable | None:
    """The frames of a video, without decoding one; None if it is to be decoded whole.

    That is: it has hardly any key frames, or one every few frames; a stamp is missing, repeated or may restart; or the
    file is damaged.

    Raises:
        FrameError: as `open_video`.
    """
    container, stream = open_container(path)
    with container:
        if stamps_restart(container):
            return None
        rows: list[int] = []
        keys = end = 0
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    if packet.pts is None or packet.is_corrupt:
                        return None
                    rows.append(packet.pts)
                    keys += packet.is_keyframe
                    end = max(end, packet.pts + (packet.duration or 0))
        except av.FFmpegError:
            return None
        stamps = np.sort(np.array(rows, np.int64))
        unit = float(stream.time_base or 0)
    steps = np.diff(stamps) * unit
    if keys < FEWEST_KEYS or not 0 < steps.min() <= steps.max() < JUMP_AHEAD_S:
        return None
    spacing = float(stamps[-1] - stamps[0]) * unit / keys
    return FrameTable(stamps, end) if spacing >= SHORTEST_S else None


class _KeyFrame(NamedTuple):
    stamp: int
    time_s: float
    frame: av.VideoFrame
    glance: Glance


class GroupDecoding(Decoding):
    """Decodes key frames, and the groups of pictures between those that differ; close it.

    Args:
        path: the file, which is opened a second time.
        container, stream: as for `Decoding`.
        table: the film's frames.
        selection: takes those worth looking at.
        start_s: second from which frames are wanted.
        hardware: as for `open_container`.
    """

    def __init__(
        self,
        path: Path,
        container: InputContainer,
        stream: av.VideoStream,
        table: FrameTable,
        selection: FrameSelection,
        start_s: float,
        *,
        hardware: bool = False,
    ) -> None:
        super().__init__(container, stream)
        # Not `stream.discard`, by which other packets are not even read: FFmpeg gives wrong stamps then to films with
        # B-frames in MP4.
        stream.codec_context.skip_frame = "NONKEY"
        self._table, self._selection, self._start_s = table, selection, start_s
        self._groups = _Groups(path, self, hardware=hardware)

    def close(self) -> None:
        """Close the file that was opened a second time."""
        self._groups.close()

    def taken(self) -> Iterator[Taken]:
        """The frames worth looking at, in order."""
        first, left = int(self._table.stamps[0]), None
        for right in self._key_frames():
            if left is None:
                if right.stamp > first and right.time_s > self._start_s:  # trimmed in the middle of a group
                    yield from self._group(first - 1, right)
            elif (
                left.time_s < self._start_s
                or right.time_s - left.time_s > LONGEST_S
                or right.glance.differs_from(left.glance)
            ):
                yield from self._group(left.stamp, right)
            if right.time_s >= self._start_s:
                yield from self._selection.push_key(self._number(right.stamp), right.time_s, right.frame, right.glance)
            left = right
        if left is not None:
            yield from self._group(left.stamp, None)
            yield from self._selection.finish()
            self.end_s = self.clock.seconds(self._table.end)

    def _number(self, stamp: int) -> int:
        return int(np.searchsorted(self._table.stamps, stamp))

    def _key_frames(self) -> Iterator[_KeyFrame]:
        """Key frames from the last one before the start on."""
        before: _KeyFrame | None = None
        for _, time_s, frame in self.frames():
            assert frame.pts is not None
            key = _KeyFrame(frame.pts, time_s, frame, Glance.at(frame))
            if before is not None:
                yield before
            before = key
            if time_s >= self._start_s:
                yield key
                before = None
        if before is not None:
            yield before

    def _group(self, start: int, right: _KeyFrame | None) -> Iterator[Taken]:
        """The frames after a stamp, up to a key frame, or to the end of the film."""
        for frame in self._groups.frames(start, None if right is None else right.stamp):
            assert frame.pts is not None
            time_s = self.clock.seconds(frame.pts)
            yield from self._selection.push(self._number(frame.pts), time_s, frame)
            near = right is not None and right.time_s - time_s <= LONGEST_S
            if right is not None and near and self._selection.has_settled_like(right.glance):
                self._selection.leave()
                return


class _Groups:
    """Decodes groups of pictures in order of time, jumping from one to the next where that is shorter."""

    def __init__(self, path: Path, account: Decoding, *, hardware: bool) -> None:
        self._account = account
        self._container, self._stream = open_container(path, hardware=hardware)
        self._packets: Iterator[av.Packet[av.VideoStream]] = iter(())
        self._next: av.Packet[av.VideoStream] | None = None  # a key frame's, read but not decoded yet

    def frames(self, after: int, until: int | None) -> Iterator[av.VideoFrame]:
        """The frames between the stamps of two key frames, or to the end of the film."""
        if self._next is None or self._next.pts != after:
            self._jump(after)
        try:
            for packet in self._until(until):
                yield from (frame for frame in self._decoded(packet) if _is_between(after, frame, until))
        except GeneratorExit:
            self._next = None
            raise
        finally:
            self._stream.codec_context.flush_buffers()

    def _until(self, stamp: int | None) -> Iterator[av.Packet[av.VideoStream] | None]:
        """Packets up to a key frame's, which is kept for the next group; then None, which drains the decoder."""
        waiting, self._next = self._next, None
        if waiting is not None:
            yield waiting
        try:
            for packet in self._packets:
                if packet.size and stamp is not None and packet.is_keyframe and (packet.pts or 0) >= stamp:
                    self._next = packet
                    break
                if packet.size:
                    yield packet
        except av.FFmpegError:
            self._account.failures += 1
        yield None

    def _decoded(self, packet: av.Packet[av.VideoStream] | None) -> list[av.VideoFrame]:
        try:
            frames = self._stream.codec_context.decode(packet)
        except av.FFmpegError:
            self._account.failures += 1
            return []
        self._account.failures += sum(frame.is_corrupt for frame in frames)
        return [frame for frame in frames if not frame.is_corrupt]

    def _jump(self, stamp: int) -> None:
        """Go to the last key frame at or before a stamp; to the start of the film if the file leads elsewhere."""
        for target in (stamp, 0):
            try:
                self._container.seek(target, stream=self._stream, backward=True)
                self._packets = self._container.demux(self._stream)
                self._next = next(self._packets, None)
            except av.FFmpegError:
                continue
            if self._next is not None and self._next.is_keyframe and (self._next.pts or 0) <= stamp:
                return

    def close(self) -> None:
        """Close the file."""
        self._container.close()


def _is_between(after: int, frame: av.VideoFrame, until: int | None) -> bool:
    return frame.pts is not None and after < frame.pts and (until is None or frame.pts < until)
