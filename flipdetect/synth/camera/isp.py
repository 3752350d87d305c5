"""From light to a picture: lens, exposure, white balance, noise, tone, sharpening."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.render.rasterizer import Picture


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
        contrast=float(rng.uniform(-0.2, 0.9)),
        saturation=float(rng.uniform(0.75, 1.25)),
        vignette=float(rng.uniform(0.0, 0.3)),
        defocus=float(rng.choice([0.0, 0.3, 0.5, 0.9])),
        noise=float(rng.uniform(0.5, 3.5)),
        shoulder=float(rng.uniform(0.6, 0.98)),
        sharpening=float(rng.uniform(0.0, 1.1)),
        quality=int(rng.integers(70, 96)),
    )


def develop(light: Picture, phone: Phone, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The (H, W, 3) uint8 RGB picture that a phone makes of linear light (H, W, 3) float32."""
    height, width = light.shape[:2]
    scale = max(height, width) / 384
    if phone.defocus > 0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), max(0.2, phone.defocus * scale)), np.float32)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    shade = (1 - phone.vignette * 0.5 * (x * x + y * y)).astype(np.float32)
    light = light * shade[..., None] * (np.asarray(phone.gains, np.float32) * np.float32(phone.exposure))
    # Shot and read noise, partly the same in all channels, a little smeared by the phone's filter.
    noise = rng.standard_normal((height, width, 2), np.float32)
    mixed = np.stack([noise[..., 0], noise[..., 0] * 0.8 + noise[..., 1] * 0.3, noise[..., 0] - noise[..., 1] * 0.6], 2)
    if scale > 0.5:
        mixed = cv2.GaussianBlur(mixed, (0, 0), 0.6) * np.float32(2.0)
    strength = np.sqrt(np.maximum(light, 0) * 0.9 + 0.004) * np.float32(phone.noise / 255 * 1.4)
    light = np.maximum(light + np.asarray(mixed * strength, np.float32), 0)
    # A shoulder instead of a cut: bright paper keeps its shading.
    knee, room = phone.shoulder, 1 - phone.shoulder
    light = np.where(light > knee, knee + room * np.tanh((light - knee) / (1.5 * room)), light)
    tone = light ** np.float32(1 / 2.2)
    tone = tone + phone.contrast * 0.5 * (tone * tone * (3 - 2 * tone) - tone)
    grey = tone.mean(axis=2, keepdims=True)
    tone = grey + phone.saturation * (tone - grey)
    if phone.sharpening > 0:
        tone = tone + phone.sharpening * (tone - cv2.GaussianBlur(tone, (0, 0), 0.9 * max(scale, 0.5)))
    return np.asarray(np.clip(tone * 255 + 0.5, 0, 255), np.uint8)
