"""A person's hand with forearm: a rigged mesh, posed by the angles of its bones (linear blend skinning).

Hand space, used throughout: the wrist is the origin, x runs across the hand from the index finger to the little finger,
y along the middle finger, z out of the back of the hand; the unit is the length from the wrist to the tip of the
straight middle finger. It is a right hand; a left hand is its mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

POSES = ("flat", "relaxed", "pinch", "point", "grip")

VERTEX_STEPS, WEIGHT_STEPS, UV_STEPS = 8192, 255, 65535
"""Steps per unit in which the mesh's vertices, skin weights and texture coordinates are stored."""

FINGERS = ("finger2", "finger3", "finger4", "finger5")
FANS = (0.9, 0.15, -0.6, -1.5)
"""By how much of the spread angle a finger leans towards the thumb."""

CURLS = {
    "flat": ((4, 8, 5), (2, 8, 5), (2, 9, 6), (4, 10, 6)),
    "relaxed": ((22, 26, 14), (24, 30, 16), (26, 34, 18), (26, 36, 18)),
    "pinch": ((26, 22, 12), (27, 25, 12), (24, 28, 14), (20, 28, 16)),
    "point": ((12, 12, 8), (58, 74, 36), (66, 78, 40), (68, 76, 40)),
    "grip": ((6, 10, 6), (4, 10, 6), (6, 12, 8), (8, 14, 8)),
}
"""Degrees by which the joints of index, middle, ring and little finger are bent, from the knuckle to the tip."""

SPREADS = {"flat": 0.14, "relaxed": 0.09, "pinch": 0.05, "point": 0.04, "grip": 0.1}
"""Mean angle in radians by which the fingers are spread."""

THUMBS = {
    "flat": (4, -20, 2, 4),
    "relaxed": (-4, -4, 12, 12),
    "pinch": (-16, 22, 14, 16),
    "point": (-24, 34, 30, 30),
    "grip": (-6, 26, 10, 10),
}
"""Degrees by which the thumb is led away from the palm's side, under the palm, and bent at its two joints."""

PITCHES = {"flat": 3.0, "relaxed": -4.0, "pinch": -14.0, "point": -12.0, "grip": 0.0}
"""Degrees by which a hand rises towards its fingers."""

ROLLS = {"flat": (0, 6), "relaxed": (8, 10), "pinch": (26, 16), "point": (6, 12), "grip": (172, 6)}
"""Mean and deviation of the degrees by which a hand is turned about its length, the thumb up for positive values."""


@dataclass(frozen=True, eq=False)
class Rig:
    """What all hands share, as the package's `hands.npz` holds it.

    Attributes:
        vertices: (12, V, 3) of twelve people at rest.
        rest: (12, B, 4, 4) their bones at rest: columns are the axes (y along the bone) and the head.
        weights: (V, B) share of each bone in each vertex; rows sum to 1.
        faces: (F, 3) triangles, counter-clockwise as seen from outside.
        uv: (F, 3, 2) texture coordinates, 0 to 1.
        parents: (B,) index of each bone's parent, -1 for none.
    """

    vertices: Floats
    rest: Floats
    weights: Floats
    faces: Indices
    uv: Floats
    parents: tuple[int, ...]
    bones: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Pose:
    """Angles of a hand's bones.

    Attributes:
        curls: (4, 3) radians by which fingers are bent, index to little finger, knuckle to tip.
        leans: (4,) radians by which fingers lean towards the thumb.
        thumb: (4,) radians: away from the palm's side, under the palm, and bent at two joints.
        pitch: radians by which the hand rises towards its fingers.
        roll: radians by which it is turned about its length.
        contact: 1 if the hand lies with its lowest point on what it touches, 0 if its touching point does.
        touch: (4,) shares of the tips of index, middle finger and thumb, and of the palm, in the touching point.
    """

    curls: Floats
    leans: Floats
    thumb: Floats
    pitch: float
    roll: float
    contact: float
    touch: Floats

    def mixed(self, other: Pose, share: float) -> Pose:
        """A pose on the way to another, 0 here to 1 there."""
        if share <= 0 or other is self:
            return self
        mix = {name: (1 - share) * value + share * getattr(other, name) for name, value in vars(self).items()}
        return Pose(**mix)


TOUCHES = {
    "flat": (0.4, 0.4, 0.0, 0.2),
    "relaxed": (0.4, 0.4, 0.0, 0.2),
    "pinch": (0.5, 0.0, 0.5, 0.0),
    "point": (1.0, 0.0, 0.0, 0.0),
    "grip": (0.0, 0.0, 1.0, 0.0),
}


@lru_cache(maxsize=1)
def load_rig() -> Rig:
    """The rigged mesh that ships with the package."""
    with (files("flipdetect.synth.hands") / "hands.npz").open("rb") as file, np.load(file, allow_pickle=False) as data:
        weights = data["weights"].astype(np.float64)
        return Rig(
            vertices=data["vertices"] / VERTEX_STEPS,
            rest=data["rest"].astype(np.float64),
            weights=weights / weights.sum(axis=1, keepdims=True),
            faces=data["faces"].astype(np.intp),
            uv=data["uv"] / UV_STEPS,
            parents=tuple(int(parent) for parent in data["parents"]),
            bones=tuple(str(bone) for bone in data["bones"]),
        )


def blend_people(shares: Floats) -> tuple[Floats, Floats]:
    """Vertices (V, 3) and bones (B, 4, 4) at rest of a hand between the people, by shares (12,) that sum to 1."""
    rig = load_rig()
    vertices, rest = np.tensordot(shares, rig.vertices, 1), np.tensordot(shares, rig.rest, 1)
    u, _, vt = np.linalg.svd(rest[:, :3, :3])
    rest[:, :3, :3] = u @ vt
    return vertices, rest


def sample_pose(rng: np.random.Generator, name: str) -> Pose:
    """One of `POSES`, a little different each time."""
    curls = np.array(CURLS[name], np.float64) * rng.uniform(0.7, 1.3) + rng.normal(0, 3.0, (4, 3))
    curls += rng.normal(0, 4.0, (4, 1))
    spread = SPREADS[name] * rng.uniform(0.2, 1.9)
    mean, deviation = ROLLS[name]
    return Pose(
        curls=np.deg2rad(np.clip(curls, -6, 95)),
        leans=spread * np.array(FANS) + rng.normal(0, 0.02, 4),
        thumb=np.deg2rad(np.array(THUMBS[name], np.float64) + rng.normal(0, [8, 6, 7, 8])),
        pitch=float(np.deg2rad(PITCHES[name] + rng.normal(0, 4))),
        roll=float(np.deg2rad(rng.normal(mean, deviation))),
        contact=float(name in ("flat", "relaxed")),
        touch=np.array(TOUCHES[name]),
    )


def bone_transforms(rest: Floats, pose: Pose, forearm: Floats) -> Floats:
    """(B, 4, 4) from each bone's place at rest to its place in the pose, the wrist standing still."""
    rig = load_rig()
    now = rest.copy()
    for bone in (0, 1):
        now[bone, :3, :3] = forearm @ rest[bone, :3, :3]
        now[bone, :3, 3] = forearm @ rest[bone, :3, 3]
    for finger, curls, lean in zip(FINGERS, pose.curls, pose.leans, strict=True):
        first = rig.bones.index(f"{finger}-1")
        # The knuckles keep their roll about the finger's length, so bent fingers converge.
        axes = about("z", float(lean)) @ _shortest(rest[first, :3, 1], np.array([0, 1.0, 0])) @ rest[first, :3, :3]
        for place, curl in enumerate(curls.tolist()):
            axes = axes @ about("x", curl)
            _attach(now, rest, first + place, rig.parents[first + place], axes)
    aside, under, *bends = pose.thumb.tolist()
    first = rig.bones.index("finger1-1")
    turned = about("z", aside) @ about("y", -under)
    axes = turned @ rest[first, :3, :3]
    _attach(now, rest, first, rig.parents[first], axes)
    for place, bend in enumerate(bends, 1):
        bone = first + place
        axes = axes @ rest[bone - 1, :3, :3].T @ rest[bone, :3, :3] @ about("x", bend)
        _attach(now, rest, bone, bone - 1, axes)
    return now @ np.linalg.inv(rest)


def skin(vertices: Floats, weights: Floats, transforms: Floats) -> Floats:
    """Vertices (V, 3) of a mesh whose bones have moved by `transforms` (B, 4, 4): linear blend skinning."""
    blended = (weights @ transforms[:, :3].reshape(len(transforms), 12)).reshape(-1, 3, 4)
    return np.asarray(np.einsum("vij,vj->vi", blended[:, :, :3], vertices) + blended[:, :, 3])


def fingertips(rest: Floats, transforms: Floats) -> Floats:
    """(4, 3) points of the posed hand: balls of index finger, middle finger and thumb, and the middle of the palm."""
    rig = load_rig()
    points = []
    for finger, length in (("finger2", 0.09), ("finger3", 0.10), ("finger1", 0.10)):
        bone = rig.bones.index(f"{finger}-3")
        points.append(transforms[bone] @ np.append(rest[bone, :3, 3] + length * rest[bone, :3, 1], 1.0))
    return np.stack([*points, np.array([0.0, 0.4, -0.05, 1.0])])[:, :3]


def about(axis: str, angle: float) -> Floats:
    """(3, 3) rotation by `angle` radians about "x", "y" or "z"."""
    cos, sin = np.cos(angle), np.sin(angle)
    if axis == "x":
        return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    if axis == "y":
        return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _attach(now: Floats, rest: Floats, bone: int, parent: int, axes: Floats) -> None:
    """Give a bone its axes; its head stays where the parent holds it."""
    offset = rest[parent, :3, :3].T @ (rest[bone, :3, 3] - rest[parent, :3, 3])
    now[bone, :3, 3] = now[parent, :3, 3] + now[parent, :3, :3] @ offset
    now[bone, :3, :3] = axes


def _shortest(start: Floats, end: Floats) -> Floats:
    """(3, 3) the smallest rotation from one unit vector to another."""
    cross, cos = np.cross(start, end), float(start @ end)
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cos))
