"""Whose hands they are: shape, skin, sleeve, ring and watch; and the mesh that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.hands.shape import Floats, Indices, blend_people, load_rig

SKIN_TONES = (
    (238, 206, 190), (232, 194, 174), (226, 184, 158), (214, 170, 140), (198, 150, 120),
    (166, 120, 92), (140, 98, 76), (112, 76, 60), (86, 60, 50), (66, 48, 42),
)  # fmt: skip
"""Display colours of skin as phones show it, for the ten tones of the Monk scale (Monk, 2019), from very light to very
dark. The scale's own swatches have neither the red of blood, nor the light that dark skin's surface gives back."""

ISLANDS = {"hand": (0.0, 0.0, 1.0, 0.72), "arm": (0.0, 0.74, 0.3, 1.0), "cloth": (0.32, 0.74, 0.74, 0.95)}
SKIN_ISLAND = (0.32, 0.97, 0.74, 0.985)
STEEL_ISLAND, GOLD_ISLAND, DIAL_ISLAND = (0.77, 0.76, 0.83, 0.98), (0.85, 0.76, 0.90, 0.98), (0.92, 0.76, 0.98, 0.98)
"""Where (left, top, right, bottom) the texture holds what; all but skin and cloth are of one colour."""

HAND_UV, ARM_UV = (0.361, 0.011, 0.555, 0.197), (0.009, 0.763, 0.115, 0.874)
"""The same in the rig's own texture coordinates."""

BARE_ARM_END, ARM_END = -0.95, -3.4
"""y at which the rig's forearm is continued by a plain tube, and where that ends: beyond the frame."""

SEGMENTS = 20


@dataclass(frozen=True)
class Person:
    """Whose hands they are.

    Attributes:
        tone: 1 to 10 on the Monk scale.
        skin: (3,) linear colour.
        redness: of knuckles and fingertips, 0 to 1.
        sleeve: (3,) display colour of the clothes, or None for a bare arm.
        cuff: y of the sleeve's end in hand space.
        hair: darkness of hair on the forearm, 0 to 1.
        size: length of a hand, wrist to fingertip, in page widths.
        shares: (12,) of the rig's people in the shape; they sum to 1.
        age: 0 young to 1 old: veins, wrinkles, spots.
        weave: size of the cloth's pattern, and how strong it is.
        nails: (3,) linear colour of nail varnish, or None.
        ring: finger (2 index to 5 little) with a ring and whether it is golden, or None.
        watch: side (True left) and darkness of a wrist watch, or None.
        seed: of what is random about skin and cloth.
    """

    tone: int
    skin: tuple[float, float, float]
    redness: float
    sleeve: tuple[float, float, float] | None
    cuff: float
    hair: float
    size: float
    shares: tuple[float, ...]
    age: float
    weave: tuple[float, float]
    nails: tuple[float, float, float] | None
    ring: tuple[int, bool] | None
    watch: tuple[bool, float] | None
    seed: int


@dataclass(frozen=True, eq=False)
class HandMesh:
    """A person's right hand at rest, dressed.

    Attributes:
        vertices: (V, 3) in hand space.
        bones: (B, 4, 4) at rest.
        weights: (V, B) of the skinning.
        uv: (F, 3, 2) texture coordinates, 0 to 1.
        thumb: (F,) whether a triangle belongs to the thumb's two outer bones.
        body: (V,) whether a vertex belongs to hand or fingers, not to arm or dress.
    """

    vertices: Floats
    bones: Floats
    weights: Floats
    faces: Indices
    uv: Floats
    thumb: NDArray[np.bool_]
    body: NDArray[np.bool_]


def sample_person(rng: np.random.Generator, own: np.random.Generator) -> Person:
    """Skin, clothes and hand size of a person.

    Args:
        rng: of the source, from which book and light are drawn as well.
    """
    tone, shift = int(rng.integers(len(SKIN_TONES))), rng.normal(0, 5, 3)
    sleeve = 0.6 * rng.uniform(15, 215) + 0.4 * rng.uniform(15, 215, 3)
    dressed, redness, cuff = rng.random() < 0.6, rng.uniform(0.3, 1.0), rng.uniform(-0.9, -0.12)
    hair, size = rng.choice([0.0, 0.0, 0.6, 1.0]), rng.uniform(0.8, 1.12)
    skin = (np.clip(np.array(SKIN_TONES[tone]) + 0.5 * shift, 12, 250) / 255) ** 2.2
    skin = np.clip(skin * np.exp(own.normal(0, 0.05, 3)), 0.008, 0.85)
    shares = own.dirichlet(np.full(12, 0.35))
    shares[[0, 6]] *= 0.2  # hands of children
    varnish = own.uniform(0.02, 0.6, 3) * np.array([1.0, 0.35, 0.4]) if own.random() < 0.12 else None
    return Person(
        tone=tone + 1,
        skin=_triple(skin),
        redness=float(redness),
        sleeve=_triple(sleeve) if dressed else None,
        cuff=float(cuff),
        hair=float(hair),
        size=float(size),
        shares=tuple((shares / shares.sum()).tolist()),
        age=float(own.beta(1.2, 1.8)),
        weave=(float(own.uniform(0.5, 3.0)), float(own.choice([0.0, 0.04, 0.1, 0.3]))),
        nails=None if varnish is None else _triple(varnish),
        ring=(int(own.integers(2, 6)), bool(own.random() < 0.6)) if own.random() < 0.25 else None,
        watch=(bool(own.random() < 0.75), float(own.random())) if own.random() < 0.2 else None,
        seed=int(own.integers(2**31)),
    )


def _triple(values: Floats) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))


def build_mesh(person: Person, *, left: bool) -> HandMesh:
    """The person's hand at rest with what is on it; a left hand is mirrored only when it is posed."""
    rig = load_rig()
    vertices, bones = blend_people(np.array(person.shares))
    dominant = rig.weights.argmax(axis=1)
    # Along the forearm, at each y: centre x, z and half widths x, z.
    stations, sections = np.linspace(-1.05, -0.06, 12), np.zeros((12, 4))
    for section, y in zip(sections, stations, strict=True):
        near = vertices[np.abs(vertices[:, 1] - y) < 0.07]
        low, high = near[:, [0, 2]].min(axis=0), near[:, [0, 2]].max(axis=0)
        section[:] = [*(low + high) / 2, *(high - low) / 2]
    faces, uv = rig.faces, in_atlas(rig.uv)
    thumb_bones = [rig.bones.index(name) for name in ("finger1-2", "finger1-3")]
    thumb = np.asarray(np.isin(dominant[faces], thumb_bones).all(axis=1))
    body = np.asarray(vertices[:, 1] > 0.02)
    # What a sleeve hides is not drawn.
    end = person.cuff - 0.06 if person.sleeve is not None else ARM_END
    kept = vertices[faces, 1].max(axis=1) > end
    parts = [(vertices, rig.weights, faces[kept], uv[kept])]
    rng = np.random.default_rng(person.seed)
    if person.sleeve is None:
        y = np.array([BARE_ARM_END, -1.1, -1.3, -1.7, -2.3, ARM_END])
        wide = np.array([0.9, 1.0, 1.03, 1.12, 1.25, 1.4])
        parts.append(_tube(_rings(y, wide, 0.0, stations, sections), 0, SKIN_ISLAND))
    else:
        parts.append(_sleeve(rng, person, stations, sections))
    if person.watch is not None and person.watch[0] == left and (person.sleeve is None or person.cuff < -0.35):
        parts += _watch(stations, sections)
    if person.ring is not None:
        parts.append(_ring(person.ring, bones, vertices, dominant))
    offsets = np.cumsum([0, *(len(part[0]) for part in parts)])
    return HandMesh(
        vertices=np.concatenate([part[0] for part in parts]),
        bones=bones,
        weights=np.concatenate([part[1] for part in parts]),
        faces=np.concatenate([part[2] + offset for part, offset in zip(parts, offsets, strict=False)]),
        uv=np.concatenate([part[3] for part in parts]),
        thumb=np.concatenate([thumb[kept], np.zeros(sum(len(part[2]) for part in parts[1:]), bool)]),
        body=np.concatenate([body, np.zeros(offsets[-1] - len(body), bool)]),
    )


Part = tuple[Floats, Floats, Indices, Floats]
"""Vertices, weights, faces and texture coordinates."""


def in_atlas(uv: Floats) -> Floats:
    """The rig's texture coordinates, moved to where the texture holds hand and arm."""
    moved = np.empty_like(uv)
    arm = uv[:, :, 1].mean(axis=1) > 0.5
    for chosen, source, target in ((~arm, HAND_UV, ISLANDS["hand"]), (arm, ARM_UV, ISLANDS["arm"])):
        for axis in (0, 1):
            share = (uv[chosen, :, axis] - source[axis]) / (source[axis + 2] - source[axis])
            moved[chosen, :, axis] = target[axis] + (0.015 + 0.97 * share) * (target[axis + 2] - target[axis])
    return moved


def _rings(y: Floats, wide: Floats, more: float, stations: Floats, sections: Floats) -> Floats:
    """(R, SEGMENTS, 3) rings around the forearm at y, `wide` times as wide as it and `more` further out."""
    slope = (sections[0, :2] - sections[5, :2]) / (stations[0] - stations[5])
    centre = np.stack([np.interp(y, stations, sections[:, axis]) for axis in (0, 1)], axis=1)
    centre += np.minimum(y - stations[0], 0)[:, None] * slope
    half = np.stack([np.interp(y, stations, sections[:, axis]) for axis in (2, 3)], axis=1) * wide[:, None] + more
    around = np.linspace(0, 2 * np.pi, SEGMENTS + 1)[:-1]
    x = centre[:, :1] + half[:, :1] * np.cos(around)
    z = centre[:, 1:] + half[:, 1:] * np.sin(around)
    return np.stack([x, np.repeat(y[:, None], SEGMENTS, axis=1), z], axis=2)


def _tube(rings: Floats, bone: int, island: tuple[float, float, float, float]) -> Part:
    """The mesh between rings (R, S, 3) that go around counter-clockwise as seen from the hand, towards the elbow."""
    count, segments = rings.shape[:2]
    r, s = np.meshgrid(np.arange(count - 1), np.arange(segments), indexing="ij")
    corners = [
        ((r + down) * segments + (s + along) % segments).ravel() for down, along in ((0, 0), (0, 1), (1, 1), (1, 0))
    ]
    u = [((s + along) / segments).ravel() for along in (0, 1, 1, 0)]
    v = [((r + down) / (count - 1)).ravel() for down in (0, 0, 1, 1)]
    x = [island[0] + share * (island[2] - island[0]) for share in u]
    y = [island[1] + share * (island[3] - island[1]) for share in v]
    places = [np.stack([a, b], axis=1) for a, b in zip(x, y, strict=True)]
    faces = np.concatenate([np.stack([corners[k] for k in order], axis=1) for order in ((0, 1, 2), (0, 2, 3))])
    uv = np.concatenate([np.stack([places[k] for k in order], axis=1) for order in ((0, 1, 2), (0, 2, 3))])
    weights = np.zeros((rings.shape[0] * segments, len(load_rig().bones)))
    weights[:, bone] = 1
    return rings.reshape(-1, 3), weights, faces, uv


def _sleeve(rng: np.random.Generator, person: Person, stations: Floats, sections: Floats) -> Part:
    """A tube around the arm with a hem and folds."""
    y = np.concatenate([[0.0, -0.012, -0.1, -0.11], -0.11 - np.cumsum(rng.uniform(0.05, 0.12, 34))]) + person.cuff
    y = np.maximum(y, ARM_END)
    loose = float(rng.uniform(0.015, 0.075))
    rings = _rings(y, np.full(len(y), 1.06), loose, stations, sections)
    middle = rings.mean(axis=1, keepdims=True)
    around = np.linspace(0, 2 * np.pi, SEGMENTS + 1)[:-1]
    folds = np.zeros(rings.shape[:2])
    for _ in range(5):
        turns, slant = int(rng.integers(1, 4)), rng.uniform(2, 9)
        wave = np.sin(turns * around + slant * y[:, None] * rng.choice([-1, 1]) * 2 + rng.uniform(0, 6))
        folds += np.maximum(wave, -0.3) * rng.uniform(0.02, 0.07)
    depth = np.clip(-(y - person.cuff) / 0.25, 0.12, 1) * (0.4 + 6 * loose)
    outward = 1 + folds * depth[:, None] + np.clip(-(y - person.cuff) * 0.12, 0, 0.35)[:, None]
    outward[:4] = outward[1]
    outward *= np.array([0.96, 1.0, 1.0, 0.95, *([1.0] * 34)])[:, None]
    return _tube(middle + (rings - middle) * outward[..., None], 0, ISLANDS["cloth"])


def _watch(stations: Floats, sections: Floats) -> list[Part]:
    """A strap around the wrist and a case on its back."""
    y = np.array([-0.13, -0.135, -0.235, -0.24])
    strap = _rings(y, np.array([0.9, 1.06, 1.06, 0.9]), 0.008, stations, sections)
    top = strap[1, :, 2].max() + 0.035
    centre = np.array([strap[1, :, 0].mean(), -0.185])
    around = np.linspace(0, 2 * np.pi, SEGMENTS + 1)[:-1]
    rings = []
    for radius, z in ((0.004, top), (0.085, top), (0.1, top), (0.105, top - 0.05)):
        ring = [centre[0] + radius * np.cos(around), centre[1] + radius * np.sin(around), np.full(SEGMENTS, z)]
        rings.append(np.stack(ring, axis=1))
    # Seen from above, the rings of the case go around the other way from those of an arm.
    case = np.stack(rings)[:, ::-1]
    parts = [_tube(strap, 1, STEEL_ISLAND), _tube(case[:2], 1, DIAL_ISLAND), _tube(case[1:], 1, STEEL_ISLAND)]
    return [(part[0], part[1], part[2][:, ::-1] if index else part[2], part[3]) for index, part in enumerate(parts)]


def _ring(ring: tuple[int, bool], bones: Floats, vertices: Floats, dominant: Indices) -> Part:
    """A band around the first bone of a finger."""
    rig = load_rig()
    bone = rig.bones.index(f"finger{ring[0]}-1")
    axes, head = bones[bone, :3, :3], bones[bone, :3, 3]
    length = float(np.linalg.norm(bones[bone + 1, :3, 3] - head))
    local = (vertices[dominant == bone] - head) @ axes
    near = local[np.abs(local[:, 1] - 0.55 * length) < 0.25 * length]
    low, high = near[:, [0, 2]].min(axis=0), near[:, [0, 2]].max(axis=0)
    centre, half = (low + high) / 2, (high - low) / 2
    around = np.linspace(0, 2 * np.pi, SEGMENTS + 1)[:-1]
    rings = []
    for along, more in ((0.022, 0.0), (0.018, 0.006), (-0.018, 0.006), (-0.022, 0.0)):
        x = centre[0] + (half[0] + more) * np.cos(around)
        z = centre[1] - (half[1] + more) * np.sin(around)
        points = np.stack([x, np.full(SEGMENTS, 0.55 * length + along), z], axis=1)
        rings.append(head + points @ axes.T)
    # The bone's own x and z point the other way: seen along it, the rings go around as those of an arm.
    vertices_, weights, faces, uv = _tube(np.stack(rings)[:, ::-1], bone, GOLD_ISLAND if ring[1] else STEEL_ISLAND)
    return vertices_, weights, faces, uv
