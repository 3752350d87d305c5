"""Hands in the scene: where their pictures lie in the world, and how they are laid over the canvas."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from flipdetect.synth.camera import Camera, Picture
from flipdetect.synth.hands.appearance import HandPicture
from flipdetect.synth.hands.gestures import ELBOW_Z, HandTrack
from flipdetect.synth.hands.shape import LEFT, TOP
from flipdetect.synth.render.rasterizer import dim
from flipdetect.synth.sheet import Floats

CONTACT = 0.05
"""How far below a hand, in page widths, lies what it touches: its closest shadow falls there."""

HALO_SHRINK = 2
"""That shadow is drawn at half size: it is soft."""

HALO_DEPTH = 0.4
HALO_MARGIN = 0.02
"""How far beyond the hand that shadow may reach, as a share of the frame's height."""

STEEPEST = 0.5
"""Rise of an arm over its length; more would show the flat picture of the hand as what it is."""


@dataclass(frozen=True)
class PlacedHand:
    """A hand at one instant.

    Attributes:
        track: its part in the clip.
        picture: of the hand, unlit.
        colours: (h, w, 4) float32 the same lit, with coverage.
        world: (4, 3) from a pixel (x, y, 1) of the picture to a homogeneous world point.
        rise: of the anchor above the desk, in page widths.
    """

    track: HandTrack
    picture: HandPicture
    colours: Picture
    world: Floats
    rise: float


def place_hand(track: HandTrack, picture: HandPicture, colours: Picture, anchor: Floats, size: float) -> PlacedHand:
    """A hand of `size` page widths whose anchor is at a world point (3,), on a plane that falls to the elbow."""
    world = hand_to_world(track, picture.anchor, anchor, size) @ picture_to_hand(picture.scale)
    return PlacedHand(track, picture, colours, world, float(anchor[2]))


def picture_to_hand(scale: float) -> Floats:
    """(3, 3) from a pixel (x, y, 1) of a hand's picture of `scale` pixels per hand length to hand space."""
    return np.array([[1 / scale, 0, LEFT + 0.5 / scale], [0, -1 / scale, TOP - 0.5 / scale], [0, 0, 1]])


def hand_to_world(track: HandTrack, touching: tuple[float, float], anchor: Floats, size: float) -> Floats:
    """(4, 3) from a point (x, y, 1) of hand space to a homogeneous world point.

    Args:
        track: the hand's.
        touching: the point of hand space that lies at the anchor.
        anchor: (3,) world point.
        size: length of the hand in page widths.
    """
    turn = track.direction(anchor)
    cos, sin = np.cos(turn), np.sin(turn)
    reach = max(float(np.linalg.norm(anchor[:2] - np.array(track.elbow))), 0.6)
    slope = float(np.clip((anchor[2] - ELBOW_Z) / reach, -STEEPEST, STEEPEST))
    ax, ay = touching
    return np.array(
        [
            [size * cos, -size * sin, anchor[0] - size * (cos * ax - sin * ay)],
            [size * sin, size * cos, anchor[1] - size * (sin * ax + cos * ay)],
            [0, slope * size, anchor[2] - slope * size * ay],
            [0, 0, 1],
        ]
    )


def draw_hand(canvas: Picture, view: Camera, hand: PlacedHand) -> None:
    """Lay a hand over the canvas (H, W, 3), in place, above a soft shadow on what it touches."""
    place = view.matrix @ hand.world
    corner, part = _part_in_view(canvas, place, hand.picture.alpha.shape)
    if part.size == 0:
        return
    size = (part.shape[1], part.shape[0])
    shift = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]], [0, 0, 1.0]])
    below = view.matrix @ (hand.world - np.outer([0, 0, CONTACT, 0], hand.world[3]))
    shrunk = (-(-size[0] // HALO_SHRINK), -(-size[1] // HALO_SHRINK))
    smaller = np.diag([1 / HALO_SHRINK, 1 / HALO_SHRINK, 1.0]) @ shift
    halo = cv2.warpPerspective(hand.picture.alpha, smaller @ below, shrunk, flags=cv2.INTER_LINEAR)
    halo = cv2.GaussianBlur(halo, (0, 0), max(0.6, 0.004 * max(canvas.shape[:2])))
    halo = cv2.resize(halo, size, interpolation=cv2.INTER_LINEAR)
    colours = cv2.warpPerspective(hand.colours, shift @ place, size, flags=cv2.INTER_LINEAR)
    light, cover = np.ascontiguousarray(colours[..., :3]), colours[..., 3]
    shown = np.ascontiguousarray(part)
    dim(shown, (1 - HALO_DEPTH * halo) * (1 - cover))
    part[:] = cv2.add(shown, light)


def _part_in_view(canvas: Picture, place: Floats, shape: tuple[int, ...]) -> tuple[tuple[int, int], Picture]:
    """Left top corner (x, y) and view of the canvas where a picture of `shape`, placed by `place`, may show."""
    height, width = shape[:2]
    outline = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], np.float64) @ place.T
    if outline[:, 2].min() <= 1e-6:
        return (0, 0), canvas
    pixels = outline[:, :2] / outline[:, 2:]
    margin = HALO_MARGIN * max(canvas.shape[:2])
    left, top = (int(max(0, value)) for value in pixels.min(axis=0) - margin)
    right, bottom = (int(max(0, value)) for value in pixels.max(axis=0) + margin)
    return (left, top), canvas[top:bottom, left:right]


def draw_thumb(canvas: Picture, view: Camera, hand: PlacedHand) -> None:
    """Lay the thumb alone over the canvas, in place: it holds the sheet from above."""
    place = view.matrix @ hand.world
    corner, part = _part_in_view(canvas, place, hand.picture.thumb.shape)
    if part.size == 0:
        return
    size = (part.shape[1], part.shape[0])
    place = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]], [0, 0, 1.0]]) @ place
    colours = cv2.warpPerspective(hand.colours, place, size, flags=cv2.INTER_LINEAR)
    cover = cv2.warpPerspective(hand.picture.thumb, place, size, flags=cv2.INTER_LINEAR)[..., None]
    part *= 1 - cover * colours[..., 3:]
    part += cover * colours[..., :3]
