"""The texture of a person's hands: skin with knuckles, nails, creases, veins and hair, and the sleeve's cloth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.hands.person import DIAL_ISLAND, GOLD_ISLAND, ISLANDS, SKIN_ISLAND, STEEL_ISLAND, Person, in_atlas
from flipdetect.synth.hands.shape import FINGERS, Floats, blend_people, load_rig

Picture = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Atlas:
    """Where on a hand each pixel of the texture lies, and what is there; pictures are (t, t) float32.

    Attributes:
        place: (t, t, 3) in hand space, of a mean hand at rest.
        palm: 0 on the back of the hand, 1 on the palm.
        knuckles: 0 to 1 at the joints of the fingers.
        tips: 0 to 1 at fingertips.
        nails: 0 to 1.
        rims: 0 to 1 at the free ends of nails.
        creases: -1 to 1, the wrinkles of joints as heights.
        arm: 0 on the hand to 1 on the forearm.
        around: angle about the arm, in radians.
    """

    place: Picture
    palm: Picture
    knuckles: Picture
    tips: Picture
    nails: Picture
    rims: Picture
    creases: Picture
    arm: Picture
    around: Picture


@dataclass(frozen=True, eq=False)
class Texture:
    """What a hand's surface is like: (t, t, 3) linear colour, (t, t) height and gloss, all float32."""

    albedo: Picture
    height: Picture
    gloss: Picture


@lru_cache(maxsize=2)
def lay_out(size: int) -> Atlas:
    """The atlas of `size` pixels."""
    rig = load_rig()
    vertices, bones = blend_people(np.full(12, 1 / 12))
    a, b, c = (vertices[rig.faces[:, corner]] for corner in range(3))
    normals = vertex_normals(len(vertices), rig.faces, np.cross(b - a, c - a))
    owner = rig.weights.argmax(axis=1)
    marks = np.zeros((size, size), np.int32)
    corners = in_atlas(rig.uv) * size - 0.5
    for index, triangle in enumerate(np.round(corners * 16).astype(np.int32)):
        cv2.fillConvexPoly(marks, triangle, index + 1, cv2.LINE_8, 4)
    # Pixels between the islands take what is nearest.
    _, labels = cv2.distanceTransformWithLabels(
        (marks == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    inside = np.flatnonzero(marks)
    nearest = np.zeros(labels.max() + 1, np.intp)
    nearest[labels.ravel()[inside]] = inside
    pixel = nearest[labels.ravel()]
    triangle = marks.ravel()[pixel] - 1
    x, y = (pixel % size).astype(np.float64), (pixel // size).astype(np.float64)
    shares = barycentric(corners, triangle, x, y)
    faces = rig.faces[triangle]
    place = np.einsum("nk,nkc->nc", shares, vertices[faces])
    normal = np.einsum("nk,nkc->nc", shares, normals[faces])
    bone = owner[faces[np.arange(len(faces)), shares.argmax(axis=1)]]
    maps = _features(place, normal, bone, bones)

    def picture(values: Floats) -> Picture:
        return np.asarray(values.reshape(size, size, -1).squeeze(), np.float32)

    return Atlas(picture(place), *(picture(values) for values in maps))


def barycentric(corners: Floats, triangle: NDArray[np.integer], x: Floats, y: Floats) -> Floats:
    """(N, 3) shares of the corners (F, 3, 2) of given triangles (N,) at points x, y (N,)."""
    a, b, c = (corners[triangle, k] for k in range(3))
    whole = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    whole = np.where(np.abs(whole) < 1e-9, 1e-9, whole)
    second = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (y - a[:, 1]) * (c[:, 0] - a[:, 0])) / whole
    third = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) / whole
    return np.asarray(np.clip(np.stack([1 - second - third, second, third], axis=1), 0, 1))


def vertex_normals(count: int, faces: NDArray[np.integer], across: Floats) -> Floats:
    """(V, 3) unit normals of `count` vertices: the mean of those of the triangles around, vectors (F, 3), by area."""
    total = sum(
        np.stack([np.bincount(faces[:, corner], across[:, axis], count) for axis in range(3)], axis=1)
        for corner in range(3)
    )
    return np.asarray(total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12))


def _features(place: Floats, normal: Floats, bone: NDArray[np.intp], bones: Floats) -> tuple[Floats, ...]:
    rig = load_rig()
    back = np.clip(normal[:, 2] * 1.6 + 0.5, 0, 1)
    knuckles, tips, nails, rims, creases = (np.zeros(len(place)) for _ in range(5))
    for finger in ("finger1", *FINGERS):
        wide = 1.25 if finger == "finger1" else 0.82 if finger == "finger5" else 1.0
        for number in (1, 2, 3):
            index = rig.bones.index(f"{finger}-{number}")
            own = np.isin(bone, (index, index - 1)) if number > 1 else np.ones(len(place), bool)
            local = (place - bones[index, :3, 3]) @ bones[index, :3, :3]
            radius = 0.075 if number == 1 else 0.055
            here = np.exp(-((local**2).sum(axis=1)) / (1.3 * radius) ** 2) * own
            if not (finger == "finger1" and number == 1):
                knuckles += here * (0.35 + 0.65 * back)
            if number > 1:
                along = local[:, 1]
                fold = np.cos(along * 2 * np.pi / 0.021) * np.exp(-((along / 0.034) ** 2))
                line = -np.exp(-(((np.abs(along) - 0.006) / 0.006) ** 2))
                creases += own * np.where(back > 0.5, fold, line) * (np.abs(local[:, 0]) < 0.09)
            if number == 3:
                dorsal = np.clip(-(normal @ bones[index, :3, 2]) * 3 - 0.9, 0, 1) * (bone == index)
                reach = local[bone == index, 1].max()
                centre, half = reach - 0.058 * wide, 0.05 * wide
                across, along = local[:, 0] / (0.040 * wide), (local[:, 1] - centre) / half
                plate = np.clip((1.15 - (np.abs(across) ** 3 + np.abs(along) ** 3)) * 4, 0, 1) * dorsal
                nails = np.maximum(nails, plate)
                rims = np.maximum(rims, plate * np.clip((along - 0.62) * 8, 0, 1))
                tips += np.clip((local[:, 1] - reach + 0.11) / 0.08, 0, 1) * (bone == index)
    arm = np.clip(-place[:, 1] * 4 + 0.2, 0, 1)
    around = np.arctan2(place[:, 2], place[:, 0] + 0.09 * np.clip(-place[:, 1], 0, 2))
    return 1 - back, np.clip(knuckles, 0, 1), np.clip(tips, 0, 1), nails, rims, creases, arm, around


def paint_texture(person: Person, size: int) -> Texture:
    """The texture of a person's hands, `size` pixels square."""
    atlas, rng = lay_out(size), np.random.default_rng([person.seed, 1])
    x, y = atlas.place[..., 0], atlas.place[..., 1]
    tone = np.asarray(person.skin, np.float32)
    dark = (person.tone - 1) / 9
    mottle = 0.05 * _noise(rng, x, y, 0.2) + (0.025 + 0.035 * person.age) * _noise(rng, x, y + 3 * atlas.palm, 0.05)
    flush = _noise(rng, x + 5, y + 3 * atlas.palm, 0.16)
    albedo = tone * (1 + mottle[..., None])
    # Palms hold hardly any pigment: with dark skin they are much lighter than the back of the hand.
    pale = np.array([0.50, 0.27, 0.19], np.float32) * (0.9 - 0.35 * dark)
    inner = atlas.palm[..., None] * (0.35 + 0.35 * dark) * (1 - 0.85 * atlas.arm[..., None])
    albedo = albedo * (1 - inner) + pale * (1 + mottle[..., None]) * inner
    red = np.clip(0.75 * atlas.knuckles + 0.65 * atlas.tips + 0.3 * np.maximum(flush, 0) + 0.25 * atlas.palm, 0, 1.3)
    albedo = albedo * (
        1 - red[..., None] * np.array([0.05, 0.36, 0.34], np.float32) * person.redness * (1 - 0.5 * dark)
    )
    # Knuckles of dark skin are darker still.
    albedo = albedo * (1 - 0.35 * dark * (atlas.knuckles * (1 - atlas.palm)))[..., None]
    wrinkled = atlas.creases * (0.5 + person.age)
    albedo = albedo * (1 + 0.16 * np.clip(wrinkled, -1, 0.3))[..., None]
    vein = np.exp(-((_noise(rng, x * 1.6, y * 0.55, 0.12) / 0.13) ** 2)) * np.clip(1 - atlas.palm * 2, 0, 1)
    vein = vein * np.clip(1 - atlas.knuckles * 2, 0, 1) * (y < 0.6) * (0.25 + 0.75 * person.age)
    albedo = albedo * (1 - vein[..., None] * np.array([0.09, 0.04, 0.02], np.float32))
    spots = np.clip(_noise(rng, x, y, 0.022) * 1.4 - 2.6, 0, 1) * np.clip(person.age * 2 - 0.6, 0, 1) * (1 - atlas.palm)
    albedo = albedo * (1 - 0.4 * spots)[..., None]
    if person.hair > 0:
        strands = _noise(rng, atlas.around, y * 0.18, 0.035)
        zone = atlas.arm * np.clip(1.2 - atlas.palm, 0, 1) * person.hair
        albedo = albedo * (1 - np.clip(strands * 0.5 - 0.25, 0, 0.5) * zone)[..., None]
    plate = np.clip(tone * (1.1 + 0.5 * dark) + np.array([0.06, 0.03, 0.03], np.float32), 0, 0.85)
    if person.nails is not None:
        plate = np.asarray(person.nails, np.float32)
    albedo = albedo + atlas.nails[..., None] * (0.85 if person.nails is not None else 0.7) * (plate - albedo)
    if person.nails is None:
        albedo = albedo + 0.6 * atlas.rims[..., None] * (
            np.array([0.72, 0.66, 0.56], np.float32) * (1 - 0.4 * dark) - albedo
        )
    height = 0.0028 * wrinkled + 0.003 * vein + 0.004 * atlas.nails + 0.0005 * _noise(rng, x, y, 0.015)
    gloss = 0.10 + 0.10 * dark + 0.4 * atlas.nails + 0.03 * atlas.knuckles
    texture = Texture(
        *(np.ascontiguousarray(part, np.float32) for part in (np.clip(albedo, 0.004, 0.95), height, gloss))
    )
    _weave(rng, person, texture)
    texture.albedo[_pixels(SKIN_ISLAND, size, margin=2)] = tone * 0.97
    return texture


def _noise(rng: np.random.Generator, x: Picture, y: Picture, step: float) -> Picture:
    """Smooth noise of unit variance over the plane, with bumps about `step` apart; it repeats."""
    grid = rng.normal(0, 1.35, (64, 64)).astype(np.float32)
    along, down = (part / step + 31.5 for part in (x, y))
    along, down = (np.asarray(part - 63 * np.floor(part / 63), np.float32) for part in (along, down))
    return np.asarray(cv2.remap(grid, along, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP), np.float32)


def _weave(rng: np.random.Generator, person: Person, texture: Texture) -> None:
    """Paint cloth, ring and watch into their places of the texture."""
    rows, columns = _pixels(ISLANDS["cloth"], len(texture.height), margin=2)
    shape = texture.height[rows, columns].shape
    colour = (np.array(person.sleeve or (90, 90, 90), np.float32) / 255) ** 2.2
    coarse = cv2.resize(rng.normal(0, 1, (12, 9)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    fine = rng.normal(0, 1, shape).astype(np.float32)
    v, u = np.meshgrid(np.linspace(0, 1, shape[0]), np.linspace(0, 1, shape[1]), indexing="ij")
    count, strength = 3 * round(person.weave[0] * 3), person.weave[1]
    stripes = np.sign(np.sin(2 * np.pi * count * u)) + 0.8 * np.sign(np.sin(2 * np.pi * count * 2 * v))
    cloth = colour * (1 + 0.07 * coarse + 0.05 * fine + strength * stripes)[..., None]
    texture.albedo[rows, columns] = np.clip(cloth, 0.004, 0.9)
    texture.height[rows, columns] = 0.002 * fine
    texture.gloss[rows, columns] = 0.0
    shade = 0.02 + 0.4 * (person.watch[1] if person.watch is not None else 0.6)
    for island, metal, gloss in (
        (STEEL_ISLAND, (shade, shade, shade * 1.05), 0.6),
        (GOLD_ISLAND, (0.55, 0.36, 0.10), 0.9),
        (DIAL_ISLAND, (0.04 + 0.7 * (shade < 0.2),) * 3, 0.8),
    ):
        rows, columns = _pixels(island, len(texture.height), margin=2)
        texture.albedo[rows, columns], texture.height[rows, columns] = metal, 0.0
        texture.gloss[rows, columns] = gloss


def _pixels(island: tuple[float, float, float, float], size: int, margin: int) -> tuple[slice, slice]:
    """Rows and columns of an island of the texture, with some pixels around it."""
    left, top, right, bottom = (round(edge * size) for edge in island)
    return slice(top - margin, bottom + margin), slice(left - margin, right + margin)
