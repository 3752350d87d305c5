"""Pictures of posed hands: triangles to pixels, light on skin, and laying them over the canvas."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.camera import Camera, Picture
from flipdetect.synth.hands.gestures import HandTrack
from flipdetect.synth.hands.placement import PosedHand, in_picture
from flipdetect.synth.hands.shape import Floats, Indices
from flipdetect.synth.hands.skin import Texture, vertex_normals
from flipdetect.synth.render.rasterizer import SUBPIXEL_BITS, Light, dim, fixed_point, gather

CONTACT = 0.05
"""How far below a hand, in page widths, lies what it touches: its closest shadow falls there."""

HALO_SHRINK = 2
"""That shadow is drawn at half size: it is soft."""

HALO_DEPTH = 0.4
HALO_MARGIN = 0.02
"""How far beyond the hand that shadow may reach, as a share of the frame's height."""

FINEST = 500
"""Hands of small frames are drawn finer than these, as if the frame were so many pixels long."""

MARGIN = 0.08
"""How far beyond the frame hands are drawn, as a share of its long side: shadows fall into it, and hands move."""

STEEPEST = 0.6
"""Slope of the plane on which a hand's picture stands while the shutter is open."""

WRINKLES_FROM = 220
"""Pixels per hand length from which on the relief of the skin is drawn."""

SHADE_STEPS = (0.04, 0.09, 0.16, 0.26)
"""Distances towards the lamp, in hand lengths, at which something higher throws its shadow on a hand."""


@dataclass(frozen=True, eq=False)
class HandPicture:
    """A lit hand as the camera sees it at one instant.

    Attributes:
        colours: (h, w, 4) float32 linear colour times coverage, and coverage.
        alpha: (h, w) float32 coverage, 0 to 1.
        thumb: (h, w) float32 coverage of the thumb alone, 0 to 1.
        world: (4, 3) from a pixel (x, y, 1) of the picture to a homogeneous world point.
    """

    colours: Picture
    alpha: Picture
    thumb: Picture
    world: Floats
    anchor: Floats


@dataclass(frozen=True, eq=False)
class PlacedHand:
    """A picture of a hand, moved on to where the hand is a little later.

    Attributes:
        world: (4, 3) from a pixel (x, y, 1) of the picture to a homogeneous world point.
        rise: of the anchor above the desk, in page widths.
    """

    track: HandTrack
    picture: HandPicture
    world: Floats
    rise: float


def place_hand(track: HandTrack, picture: HandPicture, anchor: Floats) -> PlacedHand:
    """The hand of a picture with its anchor at a world point (3,)."""
    moved = picture.world + np.outer(np.append(anchor - picture.anchor, 0.0), picture.world[3])
    return PlacedHand(track, picture, moved, float(anchor[2]))


def picture_hand(hand: PosedHand, texture: Texture, light: Light, view: Camera, size: tuple[int, int]) -> HandPicture:
    """The picture of a hand in a frame of `size` (W, H) pixels, drawn finer than the frame if that is small."""
    scale = max(1.0, FINEST / max(size))
    pixels = (view.project(hand.vertices) + 0.5) * scale - 0.5
    margin = MARGIN * max(size) * scale
    low = np.maximum(np.floor(pixels.min(axis=0)) - 2, -margin).astype(int)
    high = np.minimum(np.ceil(pixels.max(axis=0)) + 3, np.array(size) * scale + margin).astype(int)
    # The picture stands on the plane nearest to the hand that is not too steep: (4, 3) from (x, y, 1) to world points.
    points = hand.vertices[:: max(1, len(hand.vertices) // 300)]
    middle = points.mean(axis=0)
    x, y, z = (points - middle).T
    slopes, *_ = np.linalg.lstsq(np.stack([x, y], axis=1), z, rcond=None)
    a, b = np.clip(slopes, -STEEPEST, STEEPEST)
    plane = np.array([[1, 0, 0], [0, 1, 0], [a, b, middle[2] - a * middle[0] - b * middle[1]], [0, 0, 1.0]])
    to_frame = np.array(
        [[1 / scale, 0, (low[0] + 0.5) / scale - 0.5], [0, 1 / scale, (low[1] + 0.5) / scale - 0.5], [0, 0, 1]]
    )
    world = plane @ np.linalg.inv(view.matrix @ plane) @ to_frame
    if (high - low).min() < 4:
        nothing = np.zeros((4, 4), np.float32)
        return HandPicture(np.zeros((4, 4, 4), np.float32), nothing, nothing, world, hand.anchor)
    shape = (int(high[1] - low[1]), int(high[0] - low[0]))
    marks, where, attributes = _rasterize(hand, view.eye, pixels - low, shape)
    soft = np.zeros((*shape, 4), np.float32)
    if where.size:
        soft.reshape(-1, 4)[where, :3] = _lit(attributes, where, shape, texture, light, hand, world)
        soft.reshape(-1, 4)[where, 3] = 1
        soft = np.asarray(cv2.GaussianBlur(soft, (3, 3), 0.5 + 0.1 * (scale > 1)), np.float32)
    thumb = np.append(False, hand.mesh.thumb).astype(np.float32)[marks]
    thumb = np.asarray(cv2.GaussianBlur(thumb, (3, 3), 0.6), np.float32)
    return HandPicture(soft, np.ascontiguousarray(soft[..., 3]), thumb, world, hand.anchor)


def _rasterize(
    hand: PosedHand, eye: Floats, pixels: Floats, shape: tuple[int, int]
) -> tuple[NDArray[np.int32], Indices, Picture]:
    """Draw a hand's triangles.

    Returns:
        Numbers (h, w) of the triangles seen, 0 for none; the flat indices (N,) of pixels with one; and there (N, 6)
        normal, height above the desk, and texture coordinates.
    """
    order, across = hand.facing(eye)
    corners = pixels[hand.faces[order]]
    shown = in_picture(corners, shape)
    order, corners = order[shown], corners[shown]
    marks = np.zeros(shape, np.int32)
    for number, outline in zip(range(1, len(order) + 1), fixed_point(corners), strict=True):
        cv2.fillConvexPoly(marks, outline, number, cv2.LINE_8, SUBPIXEL_BITS)
    where = np.flatnonzero(marks)
    # From here on triangles that are hidden do not count.
    numbers = marks.ravel()[where] - 1
    drawn = np.flatnonzero(np.bincount(numbers, minlength=len(order)))
    places = np.zeros(len(order), np.intp)
    places[drawn] = np.arange(len(drawn))
    order, corners, triangle = order[drawn], corners[drawn], places[numbers]
    faces, uv = hand.faces[order], hand.mesh.uv[order]
    normals = vertex_normals(len(hand.vertices), hand.faces, across)
    values = np.concatenate(
        [normals[faces], hand.vertices[faces][:, :, 2:], uv[:, ::-1] if hand.track.left else uv], axis=2
    )
    system = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], axis=2)
    flat = np.abs(np.linalg.det(system)) < 1e-3
    system[flat] = np.eye(3)
    solved = np.linalg.inv(system) @ values
    solved[flat, :2], solved[flat, 2] = 0, values[flat].mean(axis=1)
    rows, columns = np.divmod(where, shape[1])
    place = np.stack([columns, rows, np.ones_like(rows)]).astype(np.float32)
    tables = np.ascontiguousarray(solved.transpose(1, 2, 0).astype(np.float32))
    seen = np.empty((6, len(where)), np.float32)
    for axis in range(6):
        seen[axis] = sum(tables[part, axis].take(triangle) * place[part] for part in range(3))
    # Beyond its border a triangle seen at a slant would run away.
    for axis in (4, 5):
        low, high = values[:, :, axis].min(axis=1), values[:, :, axis].max(axis=1)
        np.clip(seen[axis], low.take(triangle), high.take(triangle), out=seen[axis])
    marks.ravel()[where] = order[triangle] + 1
    return marks, where, seen.T


def _lit(
    attributes: Picture,
    where: Indices,
    shape: tuple[int, int],
    texture: Texture,
    light: Light,
    hand: PosedHand,
    world: Floats,
) -> Picture:
    """Linear colours (N, 3) of the hand's surface in the pixels `where` under the scene's light."""
    # World directions of the picture's rows and columns in its middle, and page widths per pixel.
    x, y = shape[1] / 2, shape[0] / 2
    points = world @ np.array([[x, x + 1, x], [y, y, y + 1], [1, 1, 1]], np.float64)
    points = points[:3] / points[3]
    across, down = points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]
    step = float(np.linalg.norm(across))
    across, down = across / step, down / np.linalg.norm(down)
    unit = hand.size / step
    normals = attributes[:, :3].copy()
    u, v = attributes[:, 4:].T * texture.height.shape[0] - 0.5
    albedo, gloss, height = gather([texture.albedo, texture.gloss, texture.height], u, v)
    if unit > WRINKLES_FROM:
        relief = np.zeros(shape, np.float32)
        relief.ravel()[where] = height
        for axis, (dx, dy) in zip((across, down), ((1, 0), (0, 1)), strict=True):
            slope = cv2.Sobel(relief, cv2.CV_32F, dx, dy, scale=unit / 8).ravel()[where]
            normals -= np.clip(slope, -0.7, 0.7)[:, None] * axis.astype(np.float32)
    normals /= np.sqrt(np.einsum("ij,ij->i", normals, normals))[:, None] + np.float32(1e-6)
    floor = float(hand.vertices[hand.mesh.body, 2].min())
    high = np.asarray((attributes[:, 3] - floor) / hand.size, np.float32)
    rise = np.zeros(shape, np.float32)
    rise.ravel()[where] = high
    lamp = np.asarray(light.direction, np.float32)
    hollow, shade = _hollow(rise, unit).ravel()[where], _self_shadow(rise, lamp, (across, down), unit).ravel()[where]
    facing = normals @ lamp / max(float(lamp[2]), 0.5)
    # Light enters skin and leaves it nearby: the dark side is never black, and the border glows red.
    direct = np.clip(facing * 0.88 + 0.12, 0, 1.4) * shade
    glow = np.clip(0.35 - np.abs(facing - 0.1), 0, 1) * ((gloss > 0.05) & (gloss < 0.55)) * shade
    # What faces the page gets the light that it sends back.
    sky = (0.60 + 0.40 * normals[:, 2]) * hollow
    brightness = light.ambient * sky + (1 - light.ambient) * direct * np.sqrt(hollow)
    colour = albedo * (brightness[:, None] + glow[:, None] * np.array([0.3, 0.06, 0.0], np.float32))
    half = lamp + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    shine = np.clip(normals @ half, 0, 1)
    sharp = shine**4
    shine = (0.5 * sharp**3 + 0.8 * sharp**12) * gloss * shade * np.float32(0.45 * (1 - light.ambient))
    edge = (1 - np.clip(normals[:, 2], 0, 1)) ** 3 * np.minimum(gloss, 0.2) * hollow * np.float32(0.5 * light.ambient)
    return np.asarray(colour + (shine + edge)[:, None], np.float32)


def _hollow(rise: Picture, unit: float) -> Picture:
    """Share of the sky's light (h, w) left in hollows and between fingers, from heights in hand lengths."""
    small = cv2.resize(rise, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    around, wide = (
        cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma * unit / 4), rise.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for sigma in (0.045, 0.12)
    )
    left = 1 + np.minimum(rise - around, 0.02) * 6.0 + np.minimum(rise - wide, 0.02) * 1.5
    return np.asarray(np.clip(left, 0.34, 1.06), np.float32)


def _self_shadow(rise: Picture, lamp: Picture, axes: tuple[Floats, Floats], unit: float) -> Picture:
    """Share of the lamp's light (h, w) that the hand itself lets through."""
    level = lamp[:2] / (np.linalg.norm(lamp[:2]) + 1e-6)
    climb = float(lamp[2] / (np.linalg.norm(lamp[:2]) + 1e-6))
    toward = np.array([level @ axes[0][:2], level @ axes[1][:2]])
    small = cv2.resize(rise, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    left = np.ones_like(small)
    for distance in SHADE_STEPS:
        x, y = toward * distance * unit / 2
        shift = np.array([[1, 0, x], [0, 1, y]], np.float32)
        higher = cv2.warpAffine(small, shift, small.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        over = np.clip((higher - small - distance * climb) / (0.02 + 0.25 * distance), 0, 1)
        np.minimum(left, 1 - 0.75 * over, out=left)
    left = cv2.GaussianBlur(left, (0, 0), max(0.6, 0.008 * unit))
    return np.asarray(cv2.resize(left, rise.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


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
    colours = cv2.warpPerspective(hand.picture.colours, shift @ place, size, flags=cv2.INTER_LINEAR)
    dim(part, (1 - HALO_DEPTH * halo) * (1 - cv2.extractChannel(colours, 3)))
    cv2.add(part, cv2.cvtColor(colours, cv2.COLOR_RGBA2RGB), dst=part)


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
    colours = cv2.warpPerspective(hand.picture.colours, place, size, flags=cv2.INTER_LINEAR)
    cover = cv2.warpPerspective(hand.picture.thumb, place, size, flags=cv2.INTER_LINEAR)[..., None]
    part *= 1 - cover * colours[..., 3:]
    part += cover * colours[..., :3]
