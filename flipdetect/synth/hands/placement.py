"""Hands in the scene: a person's mesh posed in the world at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.camera import Camera
from flipdetect.synth.hands.gestures import ELBOW_Z, HandTrack
from flipdetect.synth.hands.person import HandMesh
from flipdetect.synth.hands.shape import Floats, Indices, Pose, about, bone_transforms, fingertips, skin
from flipdetect.synth.render.rasterizer import SUBPIXEL_BITS, fixed_point
from flipdetect.synth.turn import Turn

STEEPEST = 0.5
"""Rise of an arm over its length."""

ARM_ROLL = 0.7
"""Share of a hand's roll in which the forearm takes part."""

HOVER = 0.03
"""Height of the anchor of a hand that lies on something above its lowest point, in page widths."""


@dataclass(frozen=True, eq=False)
class PosedHand:
    """A hand's mesh in the world.

    Attributes:
        vertices: (V, 3) world points.
        faces: (F, 3) triangles, counter-clockwise as seen from outside.
        anchor: (3,) world point that it touches or hovers over.
        size: length of the hand in page widths.
    """

    track: HandTrack
    mesh: HandMesh
    vertices: Floats
    faces: Indices
    anchor: Floats
    size: float

    def facing(self, eye: Floats) -> tuple[Indices, Floats]:
        """Triangles (N,) that face the eye, the farthest first; and normals (F, 3) of all, twice as long as areas."""
        return _facing(self, tuple(eye.tolist()))


@lru_cache(maxsize=8)
def _facing(hand: PosedHand, eye: tuple[float, ...]) -> tuple[Indices, Floats]:
    a, b, c = (hand.vertices[hand.faces[:, corner]] for corner in range(3))
    (x, y, z), (u, v, w) = (b - a).T, (c - a).T
    across = np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=1)
    toward = eye - a
    seen = np.flatnonzero(np.einsum("ij,ij->i", across, toward) > 0)
    away = eye - (a[seen] + b[seen] + c[seen]) / 3
    return seen[np.argsort(-np.einsum("ij,ij->i", away, away))], across


def pose_hand(
    track: HandTrack, mesh: HandMesh, poses: dict[str, Pose], size: float, time: float, turn: Turn, grip: Floats
) -> PosedHand:
    """A hand at `time` seconds.

    Args:
        poses: what the track's poses look like in this clip.
        grip: (3,) the point of the sheet (or of an imagined one) that a following hand holds.
    """
    anchor = track.anchor(time, turn, grip)
    first, second, share = track.poses_at(time, turn)
    pose = poses[first].mixed(poses[second], share)
    reach = max(float(np.linalg.norm(anchor[:2] - np.array(track.elbow))), 0.6)
    rise = float(np.arctan(np.clip((anchor[2] - ELBOW_Z) / reach, -STEEPEST, STEEPEST)))
    hand = about("x", pose.pitch) @ about("y", pose.roll)
    bend = -track.wrist if track.left else track.wrist
    arm = about("z", -bend) @ about("x", rise) @ about("y", ARM_ROLL * pose.roll)
    transforms = bone_transforms(mesh.bones, pose, hand.T @ arm)
    vertices = skin(mesh.vertices, mesh.weights, transforms) @ hand.T
    touching = hand @ (pose.touch @ fingertips(mesh.bones, transforms))
    lowest = float(vertices[mesh.body, 2].min())
    faces = mesh.faces
    if track.left:
        vertices, touching, faces = vertices * [-1, 1, 1], touching * [-1, 1, 1], faces[:, ::-1]
    yaw = about("z", track.direction(anchor))
    vertices = size * vertices @ yaw.T
    place = anchor - size * yaw @ touching
    lying = anchor[2] - HOVER - size * lowest
    place[2] = pose.contact * lying + (1 - pose.contact) * place[2]
    return PosedHand(track, mesh, vertices + place, faces, anchor, size)


def draw_outline(mask: NDArray[np.uint8], view: Camera, hand: PosedHand, *, thumb: bool = False) -> None:
    """Draw what a camera sees of a hand, or of its thumb alone, as 1 into a mask (h, w), in place."""
    seen, _ = hand.facing(view.eye)
    if thumb:
        seen = seen[hand.mesh.thumb[seen]]
    corners = view.project(hand.vertices)[hand.faces[seen]]
    for outline in fixed_point(corners[in_picture(corners, mask.shape)]):
        cv2.fillConvexPoly(mask, outline, 1, cv2.LINE_8, SUBPIXEL_BITS)


def in_picture(corners: Floats, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(N,) which triangles (N, 3, 2) may show in a picture of `shape`."""
    x, y = np.ascontiguousarray(corners.transpose(2, 1, 0))
    inside = [(part.max(axis=0) > -1) & (part.min(axis=0) < end) for part, end in ((x, shape[1]), (y, shape[0]))]
    return np.asarray(inside[0] & inside[1])
