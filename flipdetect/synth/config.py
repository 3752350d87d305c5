"""What a rendered data set is made of: its settings and its version."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from flipdetect.errors import ConfigError

RENDER_VERSION: int = 6
"""Raised whenever the same settings give other pictures; a set of another version is stale."""

FRAME_RATE = 30.0
"""Frames per second of the imagined video; frame numbers count at this rate."""

MAX_FRAMES_PER_CLIP = 12
"""A quick turn shows its moving sheet for about this many frames of a 30 frames/s video."""

ORIENTATIONS = ("portrait", "landscape", "mixed")
ORIENTATION_STREAM = 8

PARTS = ("sun", "exposure", "print", "bow", "standing", "behaviours", "hands")
"""What a rendering can be made without, to measure what each brings: patches of sun and shade; over- and underexposed
films; faint and uneven print; strongly bowed pages; pages that stand off at rest; turns other than simple ones;
hands."""

MAX_SPACING = 15
"""Half a second: what lies farther apart is no motion any more."""

MAX_CLIPS_PER_LABEL = 9999
"""Video ids have four digits."""


@dataclass(frozen=True)
class SynthConfig:
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
            tell from a page that does not lie flat.
        without: parts of the rendering to leave out, names of `PARTS` separated by commas; for ablations.
        aspect: short side over long side, 0.4 to 1: 9/16 as videos, 3/4 as photographs, 1 for squares.
        spacing: 0: frames of flips are chosen from the turn alone, at uneven distances, each for itself. From 1 up:
            every so many frames of the imagined video (less where a clip is too short), from a stretch that shows at
            least half of what it can of the turn: neighbours, for models that see motion. Clips of flips then contain
            frames that are no flips, and are labelled so.

    Raises:
        ConfigError: if a value cannot be rendered.
    """

    seed: int = 0
    sources: int = 40
    clips_per_source: int = 16
    frames_per_clip: int = 3
    height: int = 384
    orientation: str = "portrait"
    aspect: float = 9 / 16
    margin: float = 0.22
    without: str = ""
    spacing: int = 0

    def __post_init__(self) -> None:
        _require(self.seed >= 0, "seed", self.seed, "choose an integer from 0")
        _require(self.sources >= 1, "sources", self.sources, "choose at least 1")
        _require(
            self.clips_per_source >= 2 and self.clips_per_source % 2 == 0,
            "clips_per_source",
            self.clips_per_source,
            "choose an even number from 2: half of a source's clips are flips",
        )
        _require(
            self.clips // 2 <= MAX_CLIPS_PER_LABEL,
            "sources x clips_per_source",
            self.clips,
            f"choose at most {2 * MAX_CLIPS_PER_LABEL} clips: video ids have four digits",
        )
        _require(
            1 <= self.frames_per_clip <= MAX_FRAMES_PER_CLIP,
            "frames_per_clip",
            self.frames_per_clip,
            f"choose 1 to {MAX_FRAMES_PER_CLIP}: a turn shows no more different frames",
        )
        _require(64 <= self.height <= 1920, "height", self.height, "choose 64 to 1920 pixels")
        _require(self.orientation in ORIENTATIONS, "orientation", self.orientation, f"choose {', '.join(ORIENTATIONS)}")
        unknown = [part for part in self.parts_left_out if part not in PARTS]
        _require(not unknown, "without", self.without, f"choose among {', '.join(PARTS)}")
        _require(0.16 <= self.margin <= 0.6, "margin", self.margin, "choose 0.16 to 0.6 page widths")
        _require(
            0 <= self.spacing <= MAX_SPACING, "spacing", self.spacing, f"choose 0, or 1 to {MAX_SPACING} frames apart"
        )
        _require(0.4 <= self.aspect <= 1, "aspect", self.aspect, "choose 0.4 to 1: short side over long side")

    @property
    def width(self) -> int:
        """Of a portrait frame, in pixels: the short side of any frame."""
        return round(self.height * self.aspect)

    def frame_size(self, source: int) -> tuple[int, int]:
        """(width, height) in pixels of the frames of a source."""
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
        """The settings as a rendered folder keeps them; those younger than the first folders only where they matter."""
        settings = asdict(self)
        if self.spacing == 0:
            del settings["spacing"]
        return settings

    def stream(self, *key: int) -> np.random.Generator:
        """A generator of its own for each key: what one thing draws never shifts what another gets."""
        return np.random.default_rng([RENDER_VERSION, self.seed, *key])


def _require(valid: bool, name: str, value: object, remedy: str) -> None:
    if not valid:
        raise ConfigError(f"synth {name} is {value}; {remedy}")
