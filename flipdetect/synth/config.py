"""Settings of rendered data sets and recordings, and the version of the renderer."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from flipdetect.parameters import PlainParameters

RENDER_VERSION: int = 8
"""Raised whenever the same settings give other pictures; a set of another version is stale."""

STREAMS = 6
"""Version of the random streams: what a new version of the renderer does not touch is drawn as before."""

FRAME_RATE = 30.0
"""Frames per second of the imagined video; frame numbers count at this rate."""

MAX_FRAMES_PER_CLIP = 12
"""A quick turn shows its moving sheet for about this many frames of a 30 frames/s video."""

ORIENTATIONS = ("portrait", "landscape", "mixed")
ORIENTATION_STREAM = 8

SCENES = ("desk", "any")
FORMATS = ((9 / 16, False), (3 / 4, False), (9 / 16, True), (3 / 4, True), (1.0, False))
FORMAT_CHANCES = (0.55, 0.15, 0.1, 0.12, 0.08)
"""Aspect, and whether lying, of the frames of a source where any scene is rendered."""

PARTS = ("sun", "exposure", "print", "bow", "standing", "behaviours", "hands")
"""What a rendering can be made without, to measure what each brings: patches of sun and shade; over- and underexposed
films; faint and uneven print; strongly bowed pages; pages that stand off at rest; turns other than simple ones;
hands."""


MAX_CLIPS_PER_LABEL = 9999
"""Video ids have four digits."""

PACES = ("slow", "normal", "fast", "mixed")

FIRST_SOURCE = 1_000_000
"""Recordings take their books from here on: none of them is in a data set."""

SHORTEST = 1.5
"""Seconds that a turn needs, with the hand's coming and going, on the average."""

MARGIN = 1.0
"""Seconds of a recording in which nothing happens, half of them at either end."""


@dataclass(frozen=True)
class SynthConfig(PlainParameters):
    """Settings of a rendered data set; equal settings (and version) give equal pictures.

    Attributes:
        seed: of everything random; any integer from 0.
        sources: books with their desk, light, camera set-up and person; no source shares looks with another.
        clips_per_source: even number; half of them are flips, half are not, so each source has both classes.
        frames_per_clip: frames written of each clip, spread over it; at most 12.
        height: of a portrait frame, in pixels: the long side of any frame.
        orientation: "portrait" (216x384 for a height of 384 and an aspect of 9/16), "landscape" (384x216), or
            "mixed": either, by source.
        margin: flip frames are taken where the sheet's edge is at least so far, in page widths of the picture, from
            where it lay and from where it will lie. The label rule starts at 0.16; below 0.3 a single frame is hard to
            distinguish from a page that does not lie flat.
        without: parts of the rendering to leave out, names of `PARTS` separated by commas; for ablations.
        aspect: short side over long side, 0.4 to 1: 9/16 as videos, 3/4 as photographs, 1 for squares.
        scenes: "desk", printed books on desks; or "any", also books held in the air, single pages that fill the frame,
            notebooks, comics, music and so on, in frames of all shapes; orientation and aspect are
            left out then.

    Raises:
        ConfigError: if a value cannot be rendered.
    """

    SECTION: ClassVar[str] = "synth"

    seed: int = 0
    sources: int = 40
    clips_per_source: int = 16
    frames_per_clip: int = 3
    height: int = 384
    orientation: str = "portrait"
    aspect: float = 9 / 16
    margin: float = 0.22
    without: str = ""
    scenes: str = "desk"

    def __post_init__(self) -> None:
        self.check("seed", lambda value: value >= 0, "choose an integer from 0")
        self.check("sources", lambda value: value >= 1, "choose at least 1")
        even = "choose an even number from 2: half of a source's clips are flips"
        self.check("clips_per_source", lambda value: value >= 2 and value % 2 == 0, even)
        most = f"choose fewer sources or clips: {2 * MAX_CLIPS_PER_LABEL} clips at most, as video ids have four digits"
        self.check("clips", lambda value: value // 2 <= MAX_CLIPS_PER_LABEL, most)
        fits = f"choose 1 to {MAX_FRAMES_PER_CLIP}: a turn shows no more different frames"
        self.check("frames_per_clip", lambda value: 1 <= value <= MAX_FRAMES_PER_CLIP, fits)
        self.check("height", lambda value: 64 <= value <= 1920, "choose 64 to 1920 pixels")
        self.check("orientation", lambda value: value in ORIENTATIONS, f"choose {', '.join(ORIENTATIONS)}")
        self.check("without", lambda _: set(self.parts_left_out) <= set(PARTS), f"choose among {', '.join(PARTS)}")
        self.check("margin", lambda value: 0.16 <= value <= 0.6, "choose 0.16 to 0.6 page widths")
        self.check("aspect", lambda value: 0.4 <= value <= 1, "choose 0.4 to 1: short side over long side")
        self.check("scenes", lambda value: value in SCENES, f"choose {', '.join(SCENES)}")
        if self.scenes == "any":
            shaped = "leave it out: frames of scenes any have shapes of their own"
            self.check("orientation", lambda value: value == "portrait", shaped)
            self.check("aspect", lambda value: value == 9 / 16, shaped)

    @property
    def width(self) -> int:
        """Of a portrait frame, in pixels: the short side of any frame."""
        return round(self.height * self.aspect)

    def frame_size(self, source: int) -> tuple[int, int]:
        """(width, height) in pixels of the frames of a source."""
        if self.scenes == "any":
            chosen = self.stream(ORIENTATION_STREAM, source).choice(len(FORMATS), p=FORMAT_CHANCES)
            aspect, lying = FORMATS[int(chosen)]
            short = round(self.height * aspect)
            return (self.height, short) if lying else (short, self.height)
        turned = self.orientation == "landscape"
        if self.orientation == "mixed":
            turned = bool(self.stream(ORIENTATION_STREAM, source).random() < 0.5)
        return (self.height, self.width) if turned else (self.width, self.height)

    @property
    def parts_left_out(self) -> tuple[str, ...]:
        """Names of the parts to leave out."""
        return tuple(part.strip() for part in self.without.split(",") if part.strip())

    @property
    def clips(self) -> int:
        """Clips in the whole set, both classes together."""
        return self.sources * self.clips_per_source

    @property
    def frames(self) -> int:
        """Frames in the whole set, both classes together."""
        return self.clips * self.frames_per_clip

    def identity(self) -> dict[str, Any]:
        """The settings as a rendered folder keeps them; `scenes`, younger than the first folders, where it matters."""
        return {name: value for name, value in asdict(self).items() if name != "scenes" or value != "desk"}

    def stream(self, *key: int) -> np.random.Generator:
        """A generator of its own for each key: what one thing draws never shifts what another gets."""
        return np.random.default_rng([STREAMS, self.seed, *key])


@dataclass(frozen=True)
class RecordingConfig(PlainParameters):
    """Minutes of one book being leafed through; equal settings (and version) give equal pictures.

    Attributes:
        seed: of everything random; any integer from 0.
        index: of the recording: each has its own book, desk, light, phone and person.
        seconds: how long it is.
        turns: completed turns in it; attempts that are given up come on top.
        scenes: "desk" or "any", as of `SynthConfig`.
        visits: times that a hand comes and turns nothing (it points, smooths, takes a corner, pushes the book), besides
            those of pauses; at most as many as there is time for.
        height: of a portrait frame, in pixels: the long side of any frame.
        orientation: "portrait", "landscape", or "mixed": either, by recording.
        aspect: short side over long side, 0.4 to 1.
        fps: frames per second.
        pace: of the reader: "slow", "normal", "fast", or "mixed", which changes from turn to turn.

    Raises:
        ConfigError: if a value cannot be rendered.
    """

    SECTION: ClassVar[str] = "recording"

    seed: int = 0
    index: int = 0
    seconds: float = 180.0
    turns: int = 30
    height: int = 384
    orientation: str = "portrait"
    aspect: float = 9 / 16
    fps: float = 10.0
    pace: str = "normal"
    visits: int = 0
    scenes: str = "desk"

    def __post_init__(self) -> None:
        _ = self.synth  # checks what they share
        self.check("index", lambda value: 0 <= value <= 9999, "choose 0 to 9999")
        self.check("turns visits", lambda value: value >= 0, "choose an integer from 0")
        self.check("seconds", lambda value: MARGIN < value < math.inf, "choose more than 1")
        most = int((self.seconds - MARGIN) / SHORTEST)
        fits = f"choose at most {most} in {self.seconds:g} seconds, or more seconds"
        self.check("turns", lambda value: value <= most, fits)
        self.check("fps", lambda value: 0 < value <= 240, "choose more than 0 and at most 240")
        self.check("pace", lambda value: value in PACES, f"choose {', '.join(PACES)}")

    @property
    def frames(self) -> int:
        """Number of frames: the first at 0 s, the last before the end."""
        return math.ceil(self.seconds * self.fps - 1e-9)

    @property
    def source(self) -> int:
        """Index of its source, which no data set has."""
        return FIRST_SOURCE + self.index

    @property
    def synth(self) -> SynthConfig:
        """Settings with which its pictures are drawn."""
        return SynthConfig(
            seed=self.seed, height=self.height, orientation=self.orientation, aspect=self.aspect, scenes=self.scenes
        )

    def identity(self) -> dict[str, Any]:
        """The settings as a rendered folder keeps them; those younger than the first folders where they matter."""
        younger = {"visits": 0, "scenes": "desk"}
        return {name: value for name, value in asdict(self).items() if value != younger.get(name, ...)}

    def time(self, frame: int) -> float:
        """Second at which frame `frame` (from 1) is taken."""
        return (frame - 1) / self.fps
