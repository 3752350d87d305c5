"""The phone: a pinhole camera above the desk, how it is held and moved, and the picture that it makes of light.

World axes: x to the right, y away from the reader, z up; the unit is one page width; the spine of the book
lies on the y axis and the desk is z = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.config import FRAME_RATE
from flipdetect.synth.sheet import Floats

Picture = NDArray[np.float32]

MOVED_CAMERA, DRIFTING, REFOCUSING = 0.12, 0.15, 0.1
"""Shares of the clips in which the phone is moved, changes its exposure, and looks for focus."""


@dataclass(frozen=True)
class Camera:
    """A projection from the world to pixels.

    Attributes:
        matrix: (3, 4) float64, homogeneous world point to homogeneous pixel (x, y, 1).
        eye: (3,) float64, where the camera stands, in page widths.
    """

    matrix: Floats
    eye: Floats

    def project(self, points: Floats) -> Floats:
        """Pixels (..., 2) of world points (..., 3)."""
        image = points @ self.matrix[:, :3].T + self.matrix[:, 3]
        return np.asarray(image[..., :2] / image[..., 2:])

    def plane(self, z: float) -> Floats:
        """(3, 3) homography of the horizontal plane at height `z`: (x, y, 1) to the pixel."""
        columns = self.matrix[:, [0, 1, 3]].copy()
        columns[:, 2] += self.matrix[:, 2] * z
        return columns

    def warped(self, warp: Floats) -> Camera:
        """This camera with its picture moved by `warp`, a (3, 3) homography of pixels."""
        return Camera(warp @ self.matrix, self.eye)

    def carried(self, x: float, y: float, turn: float) -> Camera:
        """What this camera sees of things moved by (x, y) on the desk and turned by `turn` radians."""
        if x == y == turn == 0:
            return self
        cos, sin = np.cos(turn), np.sin(turn)
        pose = np.array([[cos, -sin, 0, x], [sin, cos, 0, y], [0, 0, 1, 0], [0, 0, 0, 1]])
        eye = np.linalg.solve(pose, np.append(self.eye, 1.0))[:3]
        return Camera(self.matrix @ pose, eye)


def look_at(eye: Floats, target: Floats, roll: float, focal: float, size: tuple[int, int]) -> Camera:
    """A camera at `eye` whose picture's centre shows `target`.

    Args:
        roll: radians by which the phone is turned about its viewing axis.
        focal: focal length in pixels.
    """
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, np.array([np.sin(roll), np.cos(roll), 0.0]))
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    lens = np.array([[focal, 0, (size[0] - 1) / 2], [0, focal, (size[1] - 1) / 2], [0, 0, 1]])
    return Camera(lens @ np.column_stack([rotation, -rotation @ eye]), eye)


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
        shake: (4, 4) float64 rows of amplitude in pixels (x, y), turn in radians, and frequency in Hz.
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
        dx, dy, turn = (waves @ self.shake[:, :3]).tolist()
        zoom = 0.0
        for move in self.moves:
            share = move.share(time)
            dx, dy = dx + share * move.x, dy + share * move.y
            turn, zoom = turn + share * move.turn, zoom + share * move.zoom
        cx, cy = (size[0] - 1) / 2, (size[1] - 1) / 2
        cos, sin = np.cos(turn), np.sin(turn)
        warp = np.array(
            [[cos, -sin, cx - cos * cx + sin * cy + dx], [sin, cos, cy - sin * cx - cos * cy + dy], [0, 0, 1]]
        )
        if zoom:
            factor = np.exp(zoom)
            warp = warp @ np.array([[factor, 0, cx * (1 - factor)], [0, factor, cy * (1 - factor)], [0, 0, 1]])
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
    moves = (sample_camera_move(rng, scale, seconds),) if rng.random() < MOVED_CAMERA else ()
    amplitude = rng.uniform(0.1, 0.35) if rng.random() < DRIFTING else 0.0
    refocus = (sample_refocus(rng, seconds),) if rng.random() < REFOCUSING else ()
    return Capture(
        camera=camera,
        shake=shake,
        moves=moves,
        shutter=float(np.exp(rng.uniform(np.log(0.02), np.log(0.8))) / FRAME_RATE),
        exposure=float(np.exp(rng.normal(0, 0.08))),
        drift=(amplitude, rng.uniform(0.15, 0.6), rng.uniform(0, 2 * np.pi)),
        refocus=refocus,
    )


def sample_camera_move(rng: np.random.Generator, scale: float, seconds: float) -> Move:
    """A movement of the phone somewhere in `seconds`."""
    start = float(rng.uniform(0, 0.6) * seconds)
    x, y, turn, zoom = rng.normal(0, [18 * scale, 18 * scale, 0.05, 0.05]).tolist()
    return Move(start, start + rng.uniform(0.4, 1.2), x, y, turn, zoom)


def sample_refocus(rng: np.random.Generator, seconds: float) -> tuple[float, float, float]:
    """A search for focus somewhere in `seconds`."""
    return rng.uniform(0, seconds), rng.uniform(0.8, 2.4), rng.uniform(0.15, 0.4)


@dataclass(frozen=True)
class Phone:
    """How a phone renders light; every clip of a source is filmed with one phone.

    Attributes:
        gains: (3,) white balance left after the phone's own.
        exposure: brightness of white paper before the tone curve.
        contrast: strength of the S-curve, 0 to 1.
        saturation: 1 keeps colours as they are.
        vignette: light lost in the corners, 0 to 1.
        defocus: blur in pixels of a 384 px frame.
        noise: standard deviation at mid grey, display values.
        shoulder: from this brightness on, highlights are compressed; 1 cuts them off.
        sharpening: of the unsharp mask.
        quality: of the JPEG file, 70 to 95.
    """

    gains: tuple[float, float, float]
    exposure: float
    contrast: float
    saturation: float
    vignette: float
    defocus: float
    noise: float
    shoulder: float
    sharpening: float
    quality: int


def sample_phone(rng: np.random.Generator) -> Phone:
    """A phone and its settings."""
    warmth, tint = rng.normal(0, 0.07), rng.normal(0, 0.02)
    return Phone(
        gains=(float(np.exp(warmth)), float(np.exp(tint)), float(np.exp(-1.2 * warmth))),
        exposure=float(np.exp(rng.uniform(np.log(0.4), np.log(1.5)))),
        contrast=rng.uniform(-0.2, 0.9),
        saturation=rng.uniform(0.75, 1.25),
        vignette=rng.uniform(0.0, 0.3),
        defocus=float(rng.choice([0.0, 0.3, 0.5, 0.9])),
        noise=rng.uniform(0.5, 3.5),
        shoulder=rng.uniform(0.6, 0.98),
        sharpening=rng.uniform(0.0, 1.1),
        quality=int(rng.integers(70, 96)),
    )


def develop(light: Picture, phone: Phone, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The (H, W, 3) uint8 RGB picture that a phone makes of linear light (H, W, 3) float32, which is used up.

    Large pictures are changed in place: new memory costs more than the arithmetic.
    """
    height, width = light.shape[:2]
    scale = max(height, width) / 384
    if phone.defocus > 0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), max(0.2, phone.defocus * scale)), np.float32)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    shade = (1 - phone.vignette * 0.5 * (x * x + y * y)).astype(np.float32)
    shares = cv2.merge([shade * np.float32(gain * phone.exposure) for gain in phone.gains])
    light *= shares
    # Shot and read noise, partly the same in all channels, a little smeared by the phone's filter.
    first, second = cv2.split(rng.standard_normal((height, width, 2), np.float32))
    mixed = cv2.merge([first, first * 0.8 + second * 0.3, first - second * 0.6])
    if scale > 0.5:
        mixed = cv2.GaussianBlur(mixed, (0, 0), 0.6)
        mixed *= 2
    strength = np.maximum(light, 0)
    strength *= 0.9
    strength += 0.004
    np.sqrt(strength, out=strength)
    strength *= phone.noise / 255 * 1.4
    mixed *= strength
    light += mixed
    np.maximum(light, 0, out=light)
    # A shoulder instead of a cut: bright paper keeps its shading.
    knee, room = phone.shoulder, 1 - phone.shoulder
    above = np.maximum(light - np.float32(knee), 0)
    above /= 1.5 * room
    np.tanh(above, out=above)
    above *= room
    np.minimum(light, knee, out=light)
    light += above
    tone = np.power(light, np.float32(1 / 2.2), out=light)
    curve = tone * np.float32(-2)
    curve += 3
    curve *= tone
    curve -= 1
    curve *= tone
    curve *= phone.contrast * 0.5
    tone += curve
    tone = np.asarray(cv2.transform(tone, phone.saturation * np.eye(3) + (1 - phone.saturation) / 3), np.float32)
    if phone.sharpening > 0:
        soft = cv2.GaussianBlur(tone, (0, 0), 0.9 * max(scale, 0.5))
        tone = np.asarray(cv2.addWeighted(tone, 1 + phone.sharpening, soft, -phone.sharpening, 0), np.float32)
    tone *= 255
    tone += 0.5
    return np.asarray(np.clip(tone, 0, 255, out=tone), np.uint8)
