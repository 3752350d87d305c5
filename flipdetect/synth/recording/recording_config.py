"""Settings of a long recording."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flipdetect.errors import ConfigError
from flipdetect.synth.config import SynthConfig

PACES = ("slow", "normal", "fast", "mixed")

FIRST_SOURCE = 1_000_000
"""Recordings take their books from here on: none of them is in a data set."""

SHORTEST = 1.5
"""Seconds that a turn needs, with the hand's coming and going, on the average."""

MARGIN = 1.0
"""Seconds of a recording in which nothing happens, half of them at either end."""


@dataclass(frozen=True)
class RecordingConfig:
    """Minutes of one book being leafed through; equal settings (and version) give equal pictures.

    Attributes:
        seed: of everything random; any integer from 0.
        index: of the recording: each has its own book, desk, light, phone and person.
        seconds: how long it is.
        turns: completed turns in it; attempts that are given up come on top.
        height: of a portrait frame, in pixels: the long side of any frame.
        orientation: "portrait", "landscape", or "mixed": either, by recording.
        aspect: short side over long side, 0.4 to 1.
        fps: frames per second.
        pace: of the reader: "slow", "normal", "fast", or "mixed", which changes from turn to turn.

    Raises:
        ConfigError: if a value cannot be rendered.
    """

    seed: int = 0
    index: int = 0
    seconds: float = 180.0
    turns: int = 30
    height: int = 384
    orientation: str = "portrait"
    aspect: float = 9 / 16
    fps: float = 10.0
    pace: str = "normal"

    def __post_init__(self) -> None:
        SynthConfig(seed=self.seed, height=self.height, orientation=self.orientation, aspect=self.aspect)
        _require(0 <= self.index <= 9999, "index", self.index, "choose 0 to 9999")
        _require(self.turns >= 0, "turns", self.turns, "choose an integer from 0")
        _require(math.isfinite(self.seconds) and self.seconds > MARGIN, "seconds", self.seconds, "choose more than 1")
        _require(
            self.turns * SHORTEST + MARGIN <= self.seconds,
            "turns",
            self.turns,
            f"choose at most {int((self.seconds - MARGIN) / SHORTEST)} in {self.seconds:g} seconds, or more seconds",
        )
        _require(0 < self.fps <= 240, "fps", self.fps, "choose more than 0 and at most 240")
        _require(self.pace in PACES, "pace", self.pace, f"choose {', '.join(PACES)}")

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
        return SynthConfig(seed=self.seed, height=self.height, orientation=self.orientation, aspect=self.aspect)

    def time(self, frame: int) -> float:
        """Second at which frame `frame` (from 1) is taken."""
        return (frame - 1) / self.fps


def _require(valid: bool, name: str, value: object, remedy: str) -> None:
    if not valid:
        raise ConfigError(f"recording {name} is {value}; {remedy}")
