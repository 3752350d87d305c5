"""What a rendered data set is made of: its settings and its version."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flipdetect.errors import ConfigError

RENDER_VERSION: int = 1
"""Raised whenever the same settings give other pictures; a set of another version is stale."""

FRAME_RATE = 30.0
"""Frames per second of the imagined video; frame numbers count at this rate."""

MAX_FRAMES_PER_CLIP = 12
"""A quick turn shows its moving sheet for about this many frames of a 30 frames/s video."""

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
        height: of a frame, in pixels; the width follows from 9:16 portrait (216 for 384).

    Raises:
        ConfigError: if a value cannot be rendered.
    """

    seed: int = 0
    sources: int = 40
    clips_per_source: int = 16
    frames_per_clip: int = 3
    height: int = 384

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

    @property
    def width(self) -> int:
        """Of a frame, in pixels: 9/16 of the height."""
        return round(self.height * 9 / 16)

    @property
    def clips(self) -> int:
        """Clips in the whole set, both classes together."""
        return self.sources * self.clips_per_source

    @property
    def frames(self) -> int:
        """Frames in the whole set, both classes together."""
        return self.clips * self.frames_per_clip

    def stream(self, *key: int) -> np.random.Generator:
        """A generator of its own for each key: what one thing draws never shifts what another gets."""
        return np.random.default_rng([RENDER_VERSION, self.seed, *key])


def _require(valid: bool, name: str, value: int, remedy: str) -> None:
    if not valid:
        raise ConfigError(f"synth {name} is {value}; {remedy}")
