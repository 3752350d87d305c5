"""The scenario of a clip, what stands where at each moment of it, and the rule by which a frame shows a flip."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from flipdetect.records import ClassNames
from flipdetect.synth.camera import Camera, Capture, Move
from flipdetect.synth.config import FRAME_RATE, SynthConfig
from flipdetect.synth.hands.gestures import HandTrack
from flipdetect.synth.hands.placement import PosedHand, pose_hand
from flipdetect.synth.scene.desk import Clutter
from flipdetect.synth.scene.scene import Source, dress_hand, hand_pose, sample_source
from flipdetect.synth.sheet import Floats, Sheet, TurnStyle, turned
from flipdetect.synth.turn import Turn

CLASSES = ClassNames()

MOVED = 0.16
"""A frame shows a flip if the sheet's edge is farther than this from where it lay and from where it will
lie, in page widths of the picture: smaller displacements are hard to distinguish from a page that does not lie flat."""

RAISED = 0.10
"""Pages at rest may stand up to this far off, in page widths of the picture."""


@dataclass(frozen=True, eq=False)
class Clip:
    """The scenario of a clip.

    Attributes:
        index: of the clip in the data set; its noise is drawn by it.
        label: "flip" or "notflip".
        video: "label/0001", unique in the data set.
        sheet: number of the sheet that lies on top, and is turned (before all others) in a flip.
        to_left: direction of the (real or imagined) turn.
        rest: progress of the sheet on top if it does not move.
        below: progress of the sheets that lie on the left and on the right below those that move.
        grip_y: where along the free edge the hand holds it.
        hands: in the order in which they are drawn.
        pushes: movements of the book over the desk.
        clutter: what lies on the page towards which the turn goes.
    """

    index: int
    source: int
    label: str
    video: str
    sheet: int
    to_left: bool
    turn: Turn
    style: TurnStyle
    rest: float
    below: tuple[float, float]
    grip_y: float
    hands: tuple[HandTrack, ...]
    capture: Capture
    pushes: tuple[Move, ...]
    clutter: Clutter | None
    duration: float

    @property
    def frames(self) -> int:
        """Number of frames of the imagined video."""
        return int(self.duration * FRAME_RATE)

    @property
    def is_flip(self) -> bool:
        """Whether the sheet moves in this clip."""
        return self.label == CLASSES.positive

    @property
    def under(self) -> tuple[int, int]:
        """Numbers of the sheets that lie on the left and on the right below those that move."""
        if self.to_left:
            return self.sheet - 1, self.sheet + self.turn.sheets
        return self.sheet - self.turn.sheets, self.sheet + 1

    def imagined_progress(self, time: float) -> float:
        """Progress from right (0) to left (1) that the leading sheet would have, whether it moves or not."""
        return self._progress(self.turn.phase(time))

    def progress(self, time: float) -> float:
        """Progress of the sheet on top: that of the turn in a flip, at rest otherwise."""
        return self.imagined_progress(time) if self.is_flip else self.rest

    def layers(self, time: float) -> tuple[tuple[int, float], ...]:
        """(Number, progress) of the sheets on top; the leading one first, or one alone while they lie still."""
        if not self.is_flip:
            return ((self.sheet, self.rest),)
        phases, step = self.turn.phases(time), 1 if self.to_left else -1
        if phases[0] <= 0:
            return ((self.sheet, self._progress(0.0)),)
        if phases[0] >= 1:
            return ((self.sheet + step * (self.turn.sheets - 1), self._progress(1.0)),)
        return tuple((self.sheet + step * place, self._progress(phase)) for place, phase in enumerate(phases))

    def pushed(self, time: float) -> tuple[float, float, float]:
        """(x, y, radians) by which the book is off its first place at `time` seconds."""
        x = y = turn = 0.0
        for move in self.pushes:
            share = move.share(time)
            x, y, turn = x + share * move.x, y + share * move.y, turn + share * move.turn
        return x, y, turn

    def _progress(self, phase: float) -> float:
        return phase if self.to_left else 1 - phase


@lru_cache(maxsize=128)
def hand_at(config: SynthConfig, clip: Clip, place: int, time: float) -> PosedHand:
    """Hand number `place` of a clip at `time` seconds."""
    track, source = clip.hands[place], sample_source(config, clip.source)
    grip = sheet_at(source, clip.style, clip.imagined_progress(time)).edge_point(clip.grip_y)
    poses = {
        name: hand_pose(config, clip.source, name, track.left, track.variation)
        for name in {track.pose, track.idle or track.pose}
    }
    mesh = dress_hand(config, clip.source, track.left)
    return pose_hand(track, mesh, poses, source.person.size, time, clip.turn, grip)


def sheet_at(source: Source, style: TurnStyle, progress: float) -> Sheet:
    """The sheet of a source's book at a moment of its turn."""
    book = source.book
    return turned(progress, book.right, book.left, style, book.height, book.spine_z)


def displacements(source: Source, camera: Camera, style: TurnStyle, progress: Floats) -> Floats:
    """How far the free edge is from lying right and from lying left at moments `progress` (N,) of a turn.

    Returns:
        (N, 2) largest distance of the edge's corners and middle from where they lie on the right and on the
        left, in page widths of the picture.
    """
    heights = np.array([-0.49, 0.0, 0.49]) * source.book.height

    def edge(at: float) -> Floats:
        return camera.project(sheet_at(source, style, at).edge_points(heights))

    rests = np.stack([edge(0.0), edge(1.0)])
    width = float(np.linalg.norm(rests[0] - rests[1], axis=1).mean()) / 2
    now = np.stack([edge(at) for at in progress.tolist()])
    return np.asarray(np.linalg.norm(now[:, None] - rests[None], axis=3).max(axis=2) / width)


def sheet_displacements(config: SynthConfig, clip: Clip, time: float) -> Floats:
    """(N, 2) distances of the sheets on top from lying right and left, the leading sheet first."""
    progress = np.array([progress for _, progress in clip.layers(time)])
    return displacements(sample_source(config, clip.source), clip.capture.camera, clip.style, progress)


def shows_motion(away: Floats) -> bool:
    """Whether a sheet, at these distances (N, 2) from lying right and left, is visibly being turned."""
    return bool(away.min(axis=1).max() > MOVED)
