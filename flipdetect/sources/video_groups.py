"""Decode a film only where it changes: between key frames that differ.

A key frame is decoded without any other frame, and phones record one every second. The frames from one key frame to the
next are its group of pictures; they are predicted from each other, so a group is decoded from its key frame on. Where
two key frames in a row show the same, but for hands, the group between them is not decoded: a page turned there was
turned back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from flipdetect.sources.video_change import ODDS_APART, FrameSelection, Glance, Opinion, Taken
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
        keys: (K,) int64, those of key frames.
        end: stamp at which the last frame ends.
    """

    stamps: NDArray[np.int64]
    keys: NDArray[np.int64]
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
        rows: list[tuple[int, bool]] = []
        end = 0
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    if packet.pts is None or packet.is_corrupt:
                        return None
                    rows.append((packet.pts, packet.is_keyframe))
                    end = max(end, packet.pts + (packet.duration or 0))
        except av.FFmpegError:
            return None
        stamps, is_key = np.array(sorted(rows), np.int64).reshape(-1, 2).T
        unit = float(stream.time_base or 0)
    steps, keys = np.diff(stamps) * unit, stamps[is_key > 0]
    if len(keys) < FEWEST_KEYS or not 0 < steps.min() <= steps.max() < JUMP_AHEAD_S:
        return None
    spacing = float(stamps[-1] - stamps[0]) * unit / len(keys)
    return FrameTable(stamps, keys, end) if spacing >= SHORTEST_S else None


Look = Callable[[av.VideoFrame], Opinion | None]
"""Asks a model about a frame; None if it cannot tell where hands are."""


@dataclass(eq=False)
class _KeyFrame:
    stamp: int
    time_s: float
    frame: av.VideoFrame
    glance: Glance
    opinion: Opinion | None = None


class GroupDecoding(Decoding):
    """Decodes key frames, and the groups of pictures between those that differ; close it.

    Packets are read once. A key frame is decoded at once, the others of its group wait for the next key frame, for
    `LONGEST_S` at most.

    Args:
        second, decoded: the same file opened again, for a second decoder.
        start_s: second from which frames are wanted.
        look: asked about key frames that differ, perhaps by hands alone.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: av.VideoStream,
        second: InputContainer,
        decoded: av.VideoStream,
        table: FrameTable,
        start_s: float,
        look: Look,
    ) -> None:
        super().__init__(container, stream)
        stream.thread_type = "SLICE"  # threads for frames would hold a key frame back
        self._table, self._start_s, self._look = table, start_s, look
        self._second, self._decoder = second, decoded.codec_context

    def close(self) -> None:
        """Close both files."""
        self._second.close()
        super().close()

    def taken(self, selection: FrameSelection) -> Iterator[Taken]:
        """See `Decoding`."""
        before = self._table.keys[self._table.keys <= self.clock.stamp(max(self._start_s, 0.0))]
        first = int(before[-1] if before.size else self._table.stamps[0])
        left, after = None, first - 1  # in the middle of a group, if the film was trimmed there
        waiting: list[av.Packet[av.VideoStream]] = []
        for packet in self._packets():
            if self.stopped:
                return
            if packet is None or not packet.size or (before.size and not waiting and (packet.pts or 0) < first):
                continue
            right = self._key_frame(packet) if packet.is_keyframe else None
            if right is None:
                waiting.append(packet)
                while self._seconds_between(waiting[0], packet) > LONGEST_S:
                    yield from self._group(selection, [waiting.pop(0)], after, None)
                continue
            if waiting and (left is None or left.time_s < self._start_s or self._differ(left, right)):
                yield from self._group(selection, [*waiting, None], after, right)
                self._decoder.flush_buffers()
            if right.time_s >= self._start_s:
                key = Taken(self._number(right.stamp), right.time_s, right.frame, fine=False, opinion=right.opinion)
                yield from selection.push_key(key, right.glance)
            left, after, waiting = right, right.stamp, [packet]
        yield from self._group(selection, [*waiting, None], after, None)
        yield from selection.finish()
        self.ended, self.end_s = True, self.clock.seconds(self._table.end)

    def _differ(self, left: _KeyFrame, right: _KeyFrame) -> bool:
        """Whether something else is to be seen in a key frame than in the one before, apart from hands."""
        if right.time_s - left.time_s > LONGEST_S:
            return True
        if not right.glance.differs_from(left.glance):
            return False
        bare, odds = [], []
        for key in (left, right):
            if key.opinion is None:
                key.opinion = self._look(key.frame)
            if key.opinion is None or key.opinion.is_flip:
                return True
            bare.append(key.glance.without(key.opinion.hidden))
            odds.append(key.opinion.odds)
        return abs(odds[1] - odds[0]) >= ODDS_APART or bare[1].differs_from(bare[0])

    def _number(self, stamp: int) -> int:
        return int(np.searchsorted(self._table.stamps, stamp))

    def _seconds_between(self, early: av.Packet[av.VideoStream], late: av.Packet[av.VideoStream]) -> float:
        return self.clock.seconds(late.pts or 0) - self.clock.seconds(early.pts or 0)

    def _key_frame(self, packet: av.Packet[av.VideoStream]) -> _KeyFrame | None:
        """The key frame of a packet; None if it is damaged, or not to be shown."""
        decoder = self._stream.codec_context
        frames = [*self._decoded(decoder, packet), *self._decoded(decoder, None)]
        decoder.flush_buffers()
        if not frames or frames[0].pts is None:
            return None
        self.shown += 1
        return _KeyFrame(frames[0].pts, self.clock.seconds(frames[0].pts), frames[0], Glance.at(frames[0]))

    def _decoded(self, decoder: av.VideoCodecContext, packet: av.Packet[av.VideoStream] | None) -> list[av.VideoFrame]:
        try:
            frames = decoder.decode(packet)
        except av.FFmpegError:
            self.failures += 1
            return []
        self.failures += sum(frame.is_corrupt for frame in frames)
        return [frame for frame in frames if not frame.is_corrupt]

    def _group(
        self,
        selection: FrameSelection,
        packets: Iterable[av.Packet[av.VideoStream] | None],
        after: int,
        right: _KeyFrame | None,
    ) -> Iterator[Taken]:
        """The frames of packets (None drains the decoder) after a stamp, up to a key frame if there is one."""
        for packet in packets:
            for frame in self._decoded(self._decoder, packet):
                if frame.pts is None or frame.pts <= after or (right is not None and frame.pts >= right.stamp):
                    continue
                time_s = self.clock.seconds(frame.pts)
                yield from selection.push(self._number(frame.pts), time_s, frame)
                near = right is not None and right.time_s - time_s <= LONGEST_S
                if right is not None and near and selection.has_settled_like(right.glance):
                    selection.leave()
                    return
