"""What happens in a clip, and at which moments it is photographed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from flipdetect.errors import ConfigError
from flipdetect.records import ClassNames
from flipdetect.synth.camera import Camera, pixel_motion
from flipdetect.synth.config import FRAME_RATE, SynthConfig
from flipdetect.synth.hand_motion import HandTrack, sample_hands
from flipdetect.synth.scene import SHEETS, Source, sample_source
from flipdetect.synth.sheet import Floats, Sheet, TurnStyle, turned

CLIP_STREAM, FRAMES_STREAM = 5, 6

IN_VIEW = 0.35
"""Share of the moving sheet that must be inside the frame."""

MOVED = 0.16
"""A frame shows a flip if the sheet's edge is farther than this from where it lay and from where it will
lie, in page widths of the picture: less is hard to tell from a page that does not lie flat."""

PHOTOGRAPHED = 0.30
"""Flip frames of a data set are taken beyond this distance. A sheet between MOVED and this is ambiguous even to
the eye: nearly a third of the flips that the first model missed stood there."""

RAISED = 0.10
"""Pages at rest may stand up to this far off, in page widths of the picture."""

STANDS_OFF = 0.25
"""Share of the clips in which the page on top does not lie flat."""

MAX_ATTEMPTS = 60
PROBES = 15
"""Moments of a turn at which displacement is computed; between them it is interpolated."""

CLASSES = ClassNames()


@dataclass(frozen=True)
class Clip:
    """The script of a clip.

    Attributes:
        index: of the clip in the data set.
        source: index of its source.
        label: "flip" or "notflip".
        video: "label/0001", unique in the data set.
        sheet: index of the sheet that lies on top, and is turned in a flip.
        to_left: direction of the (real or imagined) turn.
        turn: (start, end) of the turn in seconds.
        pace: how evenly the turn runs: 0 even, 1 slow at both ends.
        style: how the sheet bends.
        raised: progress at which a page at rest stands off a little; 0 lies flat.
        grip_y: where along the free edge the hand holds it.
        hands: in the order in which they are drawn.
        camera: the view without shake.
        shake: (4, 4) float64 rows of amplitude in pixels (x, y), turn in radians, and frequency in Hz.
        nudge: (x, y, radians) by which the book is pushed in the middle of the clip.
        shutter: exposure in seconds.
        exposure: factor on the source's.
        duration: in seconds.
    """

    index: int
    source: int
    label: str
    video: str
    sheet: int
    to_left: bool
    turn: tuple[float, float]
    pace: float
    style: TurnStyle
    raised: float
    grip_y: float
    hands: tuple[HandTrack, ...]
    camera: Camera
    shake: Floats
    nudge: tuple[float, float, float]
    shutter: float
    exposure: float
    duration: float

    @property
    def frames(self) -> int:
        """Number of frames of the imagined video."""
        return int(self.duration * FRAME_RATE)

    @property
    def is_flip(self) -> bool:
        """Whether the sheet moves in this clip."""
        return self.label == CLASSES.positive

    def phase(self, time: float) -> float:
        """Share of the turn done at `time` seconds, 0 before it and 1 after it."""
        share = float(np.clip((time - self.turn[0]) / (self.turn[1] - self.turn[0]), 0, 1))
        return (1 - self.pace) * share + self.pace * share * share * (3 - 2 * share)

    def imagined_progress(self, time: float) -> float:
        """Progress from right (0) to left (1) that a turn would have, whether the sheet moves or not."""
        return self.phase(time) if self.to_left else 1 - self.phase(time)

    def progress(self, time: float) -> float:
        """Progress of the sheet on top: that of the turn in a flip, at rest otherwise."""
        if self.is_flip:
            return self.imagined_progress(time)
        return self.raised if self.to_left else 1 - self.raised

    def resting(self) -> tuple[float, float]:
        """Progress of the sheets that lie on the left and on the right below the one on top."""
        if not self.is_flip:
            return (1.0, 0.0)
        return (1.0, self.raised) if self.to_left else (1.0 - self.raised, 0.0)

    def shows_motion(self, away: Floats) -> bool:
        """Whether a sheet this far (2,) from lying right and left is visibly being turned."""
        return bool(away.min() > MOVED)

    def view(self, time: float, size: tuple[int, int]) -> Camera:
        """The shaken camera at `time` seconds, for a picture of `size` (width, height)."""
        waves = np.sin(2 * np.pi * self.shake[:, 3] * time + np.arange(4) * 1.7)
        dx, dy, turn = (float(value) for value in waves @ self.shake[:, :3])
        return self.camera.warped(pixel_motion(size, dx, dy, turn))

    def pushed(self, time: float) -> tuple[float, float, float]:
        """(x, y, radians) by which the book is off its first place at `time` seconds."""
        share = float(np.clip((time / self.duration - 0.2) / 0.6, 0, 1))
        share = share * share * (3 - 2 * share)
        return (self.nudge[0] * share, self.nudge[1] * share, self.nudge[2] * share)


@lru_cache(maxsize=256)
def sample_clip(config: SynthConfig, index: int) -> Clip:
    """The script of clip `index`: even indices are flips, odd ones are not.

    A draw whose turn is hardly in view is thrown away, whether the sheet really moves or not: the choice must
    not make the classes differ.

    Raises:
        ConfigError: if no draw shows enough of its turn.
    """
    for attempt in range(MAX_ATTEMPTS):
        clip = _sample_clip(config, index, config.stream(CLIP_STREAM, index, attempt))
        if len(moving_frames(config, clip)) >= config.frames_per_clip:
            return clip
    raise ConfigError(
        f"clip {index} shows its turn in fewer than frames_per_clip={config.frames_per_clip} frames; "
        "choose fewer frames per clip or another seed"
    )


def _sample_clip(config: SynthConfig, index: int, rng: np.random.Generator) -> Clip:
    source = sample_source(config, index // config.clips_per_source)
    label = CLASSES.positive if index % 2 == 0 else CLASSES.negative
    to_left = bool(rng.random() < 0.75)
    style = TurnStyle(
        lead=float(rng.uniform(-0.3, 0.75)),
        taper=float(rng.uniform(0.05, 1.6)),
        side=int(rng.choice([-1, 1])),
        bulge=float(rng.uniform(-0.5, 0.6)),
    )
    camera = source.camera(
        config,
        zoom=float(rng.uniform(0.92, 1.1)),
        shift=(float(rng.normal(0, 0.07)), float(rng.normal(0, 0.07))),
        roll=float(rng.normal(0, 0.03)),
    )
    start, length = rng.uniform(0.25, 0.5), rng.uniform(0.65, 1.3)
    book = source.book
    shaking = rng.choice([0.0, 1.0, 4.0], p=[0.35, 0.45, 0.2]) * config.height / 384
    nudging = rng.random() < 0.2
    return Clip(
        index=index,
        source=source.index,
        label=label,
        video=f"{label}/{index // 2 + 1:04d}",
        sheet=int(rng.integers(1, SHEETS - 1)),
        to_left=to_left,
        turn=(float(start), float(start + length)),
        pace=float(rng.uniform(0.0, 0.7)),
        style=style,
        raised=_raise(rng, source, camera, style, to_left),
        grip_y=float(style.side * rng.uniform(-0.1, 0.48) * book.height),
        hands=tuple(sample_hands(rng, book.height, book.page_z, to_left)),
        camera=camera,
        shake=np.column_stack(
            [rng.normal(0, 1, (4, 2)) * shaking, rng.normal(0, 0.002, 4) * shaking, rng.uniform(0.2, 4, 4)]
        ),
        nudge=(float(rng.normal(0, 0.1)), float(rng.normal(0, 0.1)), float(rng.normal(0, 0.08)))
        if nudging
        else (0.0, 0.0, 0.0),
        shutter=float(rng.uniform(0.15, 0.9) / FRAME_RATE),
        exposure=float(np.exp(rng.normal(0, 0.08))),
        duration=float(start + length + rng.uniform(0.25, 0.5)),
    )


@lru_cache(maxsize=64)
def sheet_at(source: Source, style: TurnStyle, progress: float) -> Sheet:
    """The sheet of a source's book at a moment of its turn."""
    book = source.book
    return turned(progress, book.right, book.left, style, book.height, book.spine_z)


def displacements(source: Source, camera: Camera, style: TurnStyle, progress: Floats) -> Floats:
    """How far the free edge is from lying right and from lying left.

    Args:
        source: of the book.
        camera: the view.
        style: how the sheet bends.
        progress: (N,) moments of the turn.

    Returns:
        (N, 2) largest distance of the edge's corners and middle from where they lie on the right and on the
        left, in page widths of the picture.
    """
    heights = [share * source.book.height for share in (-0.49, 0.0, 0.49)]

    def edge(at: float) -> Floats:
        sheet = sheet_at(source, style, at)
        return camera.project(np.array([sheet.edge_point(y) for y in heights]))

    rests = np.stack([edge(0.0), edge(1.0)])
    width = float(np.linalg.norm(rests[0] - rests[1], axis=1).mean()) / 2
    now = np.stack([edge(float(at)) for at in progress])
    return np.asarray(np.linalg.norm(now[:, None] - rests[None], axis=3).max(axis=2) / width)


def moving_frames(config: SynthConfig, clip: Clip) -> list[int]:
    """Frame indices at which the (real or imagined) sheet is clearly off both rests and in view."""
    source = sample_source(config, clip.source)
    probes = np.linspace(0, 1, PROBES)
    far = displacements(source, clip.camera, clip.style, probes).min(axis=1)
    seen = np.array([_share_in_view(config, source, clip, float(at)) for at in probes])
    progress = np.array([clip.imagined_progress(frame / FRAME_RATE) for frame in range(clip.frames)])
    moving = (np.interp(progress, probes, far) > PHOTOGRAPHED) & (np.interp(progress, probes, seen) > IN_VIEW)
    return [int(frame) for frame in np.flatnonzero(moving)]


@lru_cache(maxsize=256)
def frame_numbers(config: SynthConfig, index: int) -> tuple[int, ...]:
    """The frames of clip `index` that belong to the data set, in order.

    Flips are photographed only while the sheet moves. Of the other clips every second one uses the same
    stretch of time, so that hands are caught at the same moments in both classes.
    """
    clip = sample_clip(config, index)
    rng = config.stream(FRAMES_STREAM, index)
    during_turn = clip.is_flip or rng.random() < 0.5
    choices = moving_frames(config, clip) if during_turn else list(range(clip.frames))
    edges = np.linspace(0, len(choices), config.frames_per_clip + 1).astype(int)
    return tuple(choices[int(rng.integers(low, high))] + 1 for low, high in pairwise(edges))


def _share_in_view(config: SynthConfig, source: Source, clip: Clip, progress: float) -> float:
    points = clip.camera.project(sheet_at(source, clip.style, progress).points())
    seen = (points >= 0) & (points < np.array([config.width, config.height]))
    return float(seen.all(axis=2).mean())


def _raise(rng: np.random.Generator, source: Source, camera: Camera, style: TurnStyle, to_left: bool) -> float:
    """By how much of a turn a page at rest stands off; 0 for most pages."""
    if rng.random() > STANDS_OFF:
        return 0.0
    shares = np.asarray(rng.uniform(0.1, 0.35) * 0.75 ** np.arange(8), np.float64)
    progress = shares if to_left else 1 - shares
    distance = displacements(source, camera, style, progress)[:, 0 if to_left else 1]
    low = np.flatnonzero(distance < RAISED)
    return float(shares[low[0]]) if low.size else 0.0
