"""Skin, nails, sleeve and shading: from a hand's form to a picture with transparency."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from flipdetect.synth.hands.shape import Picture, Skeleton, grid, height_field, window_around
from flipdetect.synth.render.rasterizer import Light, linear

SKIN_TONES = (
    (246, 214, 192), (236, 196, 170), (226, 180, 150), (210, 158, 124), (190, 138, 104),
    (164, 112, 80), (134, 88, 62), (104, 68, 48), (78, 50, 38), (232, 178, 158),
)  # fmt: skip
"""Display colours from very light to very dark, the last one rosy."""


@dataclass(frozen=True)
class Person:
    """Whose hands they are.

    Attributes:
        skin: (3,) display colour.
        redness: of knuckles and fingertips, 0 to 1.
        sleeve: (3,) display colour of the clothes, or None for a bare arm.
        cuff: y of the sleeve's end in hand space.
        hair: darkness of hair on the forearm, 0 to 1.
        size: length of a hand, wrist to fingertip, in page widths.
    """

    skin: tuple[float, float, float]
    redness: float
    sleeve: tuple[float, float, float] | None
    cuff: float
    hair: float
    size: float


@dataclass(frozen=True)
class HandPicture:
    """A hand before light falls on it.

    Attributes:
        albedo: (h, w, 3) float32 linear.
        normals: (h, w, 3) float32 in hand space.
        alpha: (h, w) float32 coverage, 0 to 1.
        thumb: (h, w) float32 coverage of the thumb alone, 0 to 1.
        hollow: (h, w) float32 brightness left in creases and between fingers.
        gloss: (h, w) float32 share of mirror-like reflection.
        anchor: the touching point in hand space.
        scale: pixels per hand length.
    """

    albedo: Picture
    normals: Picture
    alpha: Picture
    thumb: Picture
    hollow: Picture
    gloss: Picture
    anchor: tuple[float, float]
    scale: float


def sample_person(rng: np.random.Generator) -> Person:
    """Skin, clothes and hand size of a person."""
    skin = np.array(SKIN_TONES[int(rng.integers(len(SKIN_TONES)))]) + rng.normal(0, 5, 3)
    sleeve = 0.6 * rng.uniform(15, 215) + 0.4 * rng.uniform(15, 215, 3)
    return Person(
        skin=(float(skin[0]), float(skin[1]), float(skin[2])),
        redness=float(rng.uniform(0.3, 1.0)),
        sleeve=(float(sleeve[0]), float(sleeve[1]), float(sleeve[2])) if rng.random() < 0.6 else None,
        cuff=float(rng.uniform(-0.9, -0.12)),
        hair=float(rng.choice([0.0, 0.0, 0.6, 1.0])),
        size=float(rng.uniform(0.8, 1.12)),
    )


def picture_hand(
    rng: np.random.Generator, person: Person, skeleton: Skeleton, pose: str, *, left: bool, pixels_per_unit: float
) -> HandPicture:
    """The hand of a person in a pose, `pixels_per_unit` pixels per hand length; `left` mirrors it."""
    height, inside = height_field(skeleton, pixels_per_unit)
    albedo, gloss = _skin(rng, person, skeleton, pixels_per_unit)
    if person.sleeve is not None:
        height, inside, albedo, gloss = _dress(rng, person, height, inside, albedo, gloss, pixels_per_unit)
    covered = np.maximum(height, 0)
    around = cv2.GaussianBlur(covered, (0, 0), 0.05 * pixels_per_unit)
    hollow = np.clip(1 + (covered - around) * 7.0, 0.42, 1.08)
    smooth = cv2.GaussianBlur(covered, (0, 0), max(0.6, 0.006 * pixels_per_unit))
    slope_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=pixels_per_unit / 8)
    slope_y = -cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=pixels_per_unit / 8)
    normals: Picture = np.dstack([-slope_x, -slope_y, np.ones_like(slope_x)])
    normals = np.asarray(normals / np.linalg.norm(normals, axis=2, keepdims=True), np.float32)
    alpha = np.clip(inside * pixels_per_unit + 0.5, 0, 1).astype(np.float32)
    _, thumb_inside = height_field(skeleton.thumb(), pixels_per_unit)
    thumb = np.clip(thumb_inside * pixels_per_unit + 0.5, 0, 1).astype(np.float32)
    anchor = skeleton.anchor(pose)
    if left:
        albedo, normals, alpha, thumb, hollow, gloss = (
            np.ascontiguousarray(part[:, ::-1]) for part in (albedo, normals, alpha, thumb, hollow, gloss)
        )
        normals = normals * np.array([-1, 1, 1], np.float32)
        anchor = (-anchor[0], anchor[1])
    return HandPicture(albedo, np.asarray(normals, np.float32), alpha, thumb, hollow, gloss, anchor, pixels_per_unit)


def lit(picture: HandPicture, light: Light, turn: float) -> Picture:
    """(h, w, 4) float32 linear colour times coverage, and coverage, of a hand turned by `turn` radians."""
    lamp = np.asarray(light.direction, np.float32)
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    local = np.array([cos * lamp[0] + sin * lamp[1], cos * lamp[1] - sin * lamp[0], lamp[2]], np.float32)
    facing = picture.normals @ local / max(float(lamp[2]), 0.5)
    # Light enters skin and leaves it nearby: the dark side is never black, and the border glows red.
    direct = np.clip(facing * 0.88 + 0.12, 0, 1.4)
    glow = np.clip(0.35 - np.abs(facing - 0.1), 0, 1)[..., None] * np.array([0.3, 0.06, 0.0], np.float32)
    sky = (0.55 + 0.45 * picture.normals[..., 2]) * picture.hollow
    brightness = light.ambient * sky + (1 - light.ambient) * direct * np.sqrt(picture.hollow)
    colour = picture.albedo * (brightness[..., None] + glow)
    half = local + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    shine = np.clip(picture.normals @ half, 0, 1) ** 24 * picture.gloss
    colour = colour + shine[..., None] * np.float32(0.5 * (1 - light.ambient))
    return np.dstack([colour * picture.alpha[..., None], picture.alpha]).astype(np.float32)


def _skin(
    rng: np.random.Generator, person: Person, skeleton: Skeleton, pixels_per_unit: float
) -> tuple[Picture, Picture]:
    """Albedo (h, w, 3) and gloss (h, w) of bare skin, nails and creases."""
    x, y = grid(pixels_per_unit)
    tone = linear(person.skin)
    mottle = np.zeros_like(x)
    for cells in (8, 30):
        coarse = rng.normal(0, 1, (cells * 3, cells)).astype(np.float32)
        mottle += cv2.resize(coarse, x.shape[::-1], interpolation=cv2.INTER_CUBIC) * 0.035
    albedo = tone * (1 + mottle[..., None])
    red = np.zeros_like(x)
    crease = np.zeros_like(x)
    for jx, jy, radius, lean in skeleton.joints:
        here = window_around(jx, jy, 2.5 * radius, pixels_per_unit, x.shape)
        across, along = _turned(x[here] - jx, y[here] - jy, lean)
        red[here] += np.exp(-(across**2 + along**2) / (radius * 0.9) ** 2)
        fade = np.exp(-((along / (radius * 0.45)) ** 2 + (across / (radius * 0.7)) ** 2))
        crease[here] += np.cos(along / radius * 9.0) ** 2 * fade
    for tx, ty in skeleton.tips:
        here = window_around(tx, ty, 0.18, pixels_per_unit, x.shape)
        red[here] += 0.8 * np.exp(-((x[here] - tx) ** 2 + (y[here] - ty) ** 2) / 0.07**2)
    blush = np.clip(red, 0, 1)[..., None] * np.array([0.04, 0.2, 0.17], np.float32) * person.redness
    albedo = albedo * (1 - blush) * (1 - 0.22 * np.clip(crease, 0, 1)[..., None])
    if person.hair > 0:
        strands = cv2.GaussianBlur(rng.normal(0, 1, x.shape).astype(np.float32), (0, 0), 0.5, sigmaY=1.6)
        zone = np.clip((0.1 - y) * 2, 0, 1) * np.clip((np.abs(x) + 0.05) * 8, 0, 1) * person.hair
        albedo = albedo * (1 - np.clip(strands * 0.45, -0.04, 0.3) * zone)[..., None]
    albedo, gloss = np.asarray(albedo, np.float32), np.full(x.shape, 0.10, np.float32)
    plate = np.clip(tone * 1.12 + np.array([0.05, 0.03, 0.03], np.float32), 0, 0.9)
    for nx, ny, radius, lean in skeleton.nails:
        here = window_around(nx, ny, 2 * radius, pixels_per_unit, x.shape)
        across, along = _turned(x[here] - nx, y[here] - ny, lean)
        nail = np.clip(1.35 - ((across / (radius * 0.72)) ** 4 + (along / (radius * 1.0)) ** 4), 0, 1)[..., None]
        albedo[here] += 0.75 * nail * (plate - albedo[here])
        gloss[here] += 0.35 * nail[..., 0]
    return albedo, gloss


def _turned(x: Picture, y: Picture, lean: float) -> tuple[Picture, Picture]:
    """Coordinates across and along a finger that leans by `lean` radians."""
    cos, sin = np.float32(np.cos(lean)), np.float32(np.sin(lean))
    return np.asarray(x * cos + y * sin, np.float32), np.asarray(y * cos - x * sin, np.float32)


def _dress(
    rng: np.random.Generator,
    person: Person,
    height: Picture,
    inside: Picture,
    albedo: Picture,
    gloss: Picture,
    pixels_per_unit: float,
) -> tuple[Picture, Picture, Picture, Picture]:
    """The same hand with a sleeve: wider than the arm, with folds and a cuff."""
    x, y = grid(pixels_per_unit)
    assert person.sleeve is not None
    edge = person.cuff + 0.02 * np.sin(x * 9 + rng.uniform(0, 6))
    half = 0.185 + (person.cuff - y) * 0.075
    cloth = np.minimum(half - np.abs(x), edge - y)
    coarse = rng.normal(0, 1, (22, 6)).astype(np.float32)
    folds = cv2.resize(coarse, x.shape[::-1], interpolation=cv2.INTER_CUBIC) * 0.013
    rise = np.sqrt(np.clip(1 - (x / np.maximum(half, 0.05)) ** 2, 0, 1)) * 0.17 + 0.05 + folds
    on = cloth > 0
    weave = 1 + 0.05 * rng.normal(0, 1, x.shape).astype(np.float32)
    hem = 1 - 0.25 * np.exp(-(((edge - y - 0.06) / 0.012) ** 2))
    dressed = linear(person.sleeve) * (weave * hem)[..., None]
    return (
        np.where(on, rise, height).astype(np.float32),
        np.maximum(inside, cloth).astype(np.float32),
        np.where(on[..., None], dressed, albedo).astype(np.float32),
        np.where(on, 0.0, gloss).astype(np.float32),
    )
