"""How a clip is filmed: a shaken or moved phone, its shutter, and exposure and focus that drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flipdetect.synth.animation.sheet import Floats
from flipdetect.synth.camera.pinhole import Camera, pixel_motion
from flipdetect.synth.config import FRAME_RATE

MOVED_CAMERA, DRIFTING, REFOCUSING = 0.12, 0.15, 0.1
"""Shares of the clips in which the phone is moved, changes its exposure, and looks for focus."""


@dataclass(frozen=True)
class Move:
    """A movement during some seconds, slow at both ends: of the phone over its picture, or of the book.

    Attributes:
        start, end: in seconds.
        x, y: how far: pixels of the picture, or page widths of the desk.
        turn: in radians.
        zoom: logarithm of the factor of size; the phone alone has one.
    """

    start: float
    end: float
    x: float
    y: float
    turn: float
    zoom: float = 0.0

    def share(self, time: float) -> float:
        """How much of it is done at `time` seconds, 0 to 1."""
        share = min(max((time - self.start) / (self.end - self.start), 0.0), 1.0)
        return share * share * (3 - 2 * share)


@dataclass(frozen=True)
class Capture:
    """The filming of a clip or a recording.

    Attributes:
        camera: the view without shake.
        shake: (4, 4) float64 rows of amplitude in pixels (x, y), turn in radians, and frequency in Hz.
        moves: of the phone.
        shutter: exposure in seconds.
        exposure: factor on the source's.
        drift: (amplitude, Hz, phase) of the logarithm of a factor that comes and goes.
        refocus: (second, blur, seconds) of each search for focus: its middle, the standard deviation of the
            blur in pixels of a 384 px frame, and how long it lasts.
    """

    camera: Camera
    shake: Floats
    moves: tuple[Move, ...]
    shutter: float
    exposure: float
    drift: tuple[float, float, float]
    refocus: tuple[tuple[float, float, float], ...]

    def view(self, time: float, size: tuple[int, int]) -> Camera:
        """The shaken camera at `time` seconds, for a picture of `size` (width, height)."""
        waves = np.sin(2 * np.pi * self.shake[:, 3] * time + np.arange(4) * 1.7)
        dx, dy, turn = (float(value) for value in waves @ self.shake[:, :3])
        zoom = 0.0
        for move in self.moves:
            share = move.share(time)
            dx, dy, turn, zoom = (
                dx + share * move.x, dy + share * move.y, turn + share * move.turn, zoom + share * move.zoom
            )  # fmt: skip
        warp = pixel_motion(size, dx, dy, turn)
        if zoom:
            middle = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
            factor = np.exp(zoom)
            larger = np.diag([factor, factor, 1.0])
            larger[:2, 2] = middle * (1 - factor)
            warp = warp @ larger
        return self.camera.warped(warp)

    def brightness(self, time: float) -> float:
        """Factor on the source's exposure at `time` seconds."""
        amplitude, rate, phase = self.drift
        return float(self.exposure * np.exp(amplitude * np.sin(2 * np.pi * rate * time + phase)))

    def blur(self, time: float) -> float:
        """Standard deviation of what searching for focus adds to the phone's blur, in pixels of a 384 px frame."""
        return float(sum(blur * np.exp(-(((time - at) / wide) ** 2)) for at, blur, wide in self.refocus))


def sample_capture(rng: np.random.Generator, camera: Camera, scale: float, seconds: float) -> Capture:
    """The filming of `seconds` with a phone; `scale` is the frame's long side in units of 384 pixels."""
    shaking = rng.choice([0.0, 1.0, 4.0], p=[0.35, 0.45, 0.2]) * scale
    shake = np.column_stack(
        [rng.normal(0, 1, (4, 2)) * shaking, rng.normal(0, 0.002, 4) * shaking, rng.uniform(0.2, 4, 4)]
    )
    moves: tuple[Move, ...] = ()
    if rng.random() < MOVED_CAMERA:
        moves = (sample_camera_move(rng, scale, seconds),)
    amplitude = float(rng.uniform(0.1, 0.35)) if rng.random() < DRIFTING else 0.0
    refocus: tuple[tuple[float, float, float], ...] = ()
    if rng.random() < REFOCUSING:
        refocus = (sample_refocus(rng, seconds),)
    return Capture(
        camera=camera,
        shake=shake,
        moves=moves,
        shutter=float(np.exp(rng.uniform(np.log(0.02), np.log(0.8))) / FRAME_RATE),
        exposure=float(np.exp(rng.normal(0, 0.08))),
        drift=(amplitude, float(rng.uniform(0.15, 0.6)), float(rng.uniform(0, 2 * np.pi))),
        refocus=refocus,
    )


def sample_camera_move(rng: np.random.Generator, scale: float, seconds: float) -> Move:
    """A movement of the phone somewhere in `seconds`."""
    start = float(rng.uniform(0, 0.6) * seconds)
    x, y, turn, zoom = rng.normal(0, [18 * scale, 18 * scale, 0.05, 0.05]).tolist()
    return Move(start, start + float(rng.uniform(0.4, 1.2)), x, y, turn, zoom)


def sample_refocus(rng: np.random.Generator, seconds: float) -> tuple[float, float, float]:
    """A search for focus somewhere in `seconds`."""
    return float(rng.uniform(0, seconds)), float(rng.uniform(0.8, 2.4)), float(rng.uniform(0.15, 0.4))
