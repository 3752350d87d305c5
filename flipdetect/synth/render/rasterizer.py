"""Drawing bent sheets, polygons and pictures into one sample of a frame (float32, linear light), lit by one lamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.camera import Camera, Picture
from flipdetect.synth.sheet import Floats, Sheet

BRIGHTEST = 1.45
"""Paper turned straight at a low lamp would outshine the desk more than a phone's exposure shows."""


@dataclass(frozen=True)
class Light:
    """The light over a desk; a flat surface has brightness 1.

    Attributes:
        direction: (3,) unit vector towards the lamp.
        ambient: share of the light that comes from everywhere, 0 to 1.
        softness: blur of a shadow, as a share of the height of what casts it.
        through: share of the lamp's light that passes through a sheet of paper.
    """

    direction: tuple[float, ...]
    ambient: float
    softness: float
    through: float

    def shade(self, normals: Floats) -> Floats:
        """Brightness (N,) of paper with unit normals (N, 3) towards the viewer."""
        lamp = np.asarray(self.direction)
        facing = normals @ lamp / lamp[2]
        direct = np.maximum(facing, 0) + self.through * np.maximum(-facing, 0)
        hemisphere = 0.62 + 0.38 * normals[:, 2]
        return np.asarray(np.minimum(self.ambient * hemisphere + (1 - self.ambient) * direct, BRIGHTEST))

    def shadow_of(self, points: Floats, plane_z: float) -> Floats:
        """Where points (..., 3) throw their shadow on the plane z = `plane_z`: (..., 3)."""
        lamp = np.asarray(self.direction)
        above = np.maximum(points[..., 2:] - plane_z, 0)
        shadow = points - lamp * (above / lamp[2])
        shadow[..., 2] = plane_z
        return np.asarray(shadow)


def linear(colour: NDArray[np.generic] | tuple[float, ...]) -> NDArray[np.float32]:
    """Linear light (float32, 0 to 1) of display colours (0 to 255), by the usual exponent 2.2."""
    return np.asarray((np.asarray(colour, np.float32) / 255) ** np.float32(2.2), np.float32)


SUBPIXEL_BITS = 4
SHADE_STEPS = 256
SHADE_LEVELS = 9
"""Heights on a page at which its shading is computed; in between it hardly changes, and is mixed."""

REMAP_COLUMNS = 256
"""Pixels are gathered in rows of this length: cv2.remap takes pictures of up to 32767 columns only."""


def fixed_point(pixels: Floats) -> NDArray[np.int32]:
    """Pixel coordinates as OpenCV's fixed-point integers, kept within what it can draw."""
    return np.asarray(np.clip(pixels, -4000, 8000) * (1 << SUBPIXEL_BITS), np.int32)


def dim(canvas: NDArray[Any], share: NDArray[Any]) -> None:
    """Multiply the colours of a canvas (H, W, 3) by shares (H, W), in place."""
    cv2.multiply(canvas, cv2.merge([share, share, share]), dst=canvas)


def gather(pictures: Sequence[Picture], x: Floats | Picture, y: Floats | Picture) -> list[Picture]:
    """Values (N, C), or (N,), of pictures (h, w, C), or (h, w), at points x, y (N,) in pixels, between which to mix."""
    places = np.zeros((2, -(-len(x) // REMAP_COLUMNS) * REMAP_COLUMNS), np.float32)
    places[0, : len(x)], places[1, : len(y)] = x, y
    columns, rows = places.reshape(2, -1, REMAP_COLUMNS)
    found = []
    for picture in pictures:
        seen = cv2.remap(picture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        found.append(np.asarray(seen.reshape(-1, *picture.shape[2:])[: len(x)], np.float32))
    return found


def strips(pixels: Floats) -> Floats:
    """(N - 1, 4, 2) outlines of the strips between rulings given as (N, 2, 2)."""
    return np.stack([pixels[:-1, 0], pixels[:-1, 1], pixels[1:, 1], pixels[1:, 0]], axis=1)


Page = tuple[Sheet, Picture]
"""A sheet and its (h, 2 w, 3) float32 picture: the front page, then the back page, each as a reader sees it."""


def draw_sheets(canvas: Picture, camera: Camera, pages: list[Page], light: Light, height: float) -> None:
    """Draw sheets in place that are turned together, or one alone, nearer strips over farther ones.

    Args:
        canvas: (H, W, 3) float32.
        pages: at most five, from the leftmost to the rightmost; they must not cross one another.
        height: of the page, in page widths.
    """
    points = [sheet.points() for sheet, _ in pages]
    outlines = fixed_point(camera.project(np.concatenate([strips(part) for part in points])))
    (left, top), part = _part_of(canvas, outlines)
    if part.size == 0:
        return
    centres, behind = _facing(camera, pages)
    marks = np.zeros(part.shape[:2], np.uint8)
    _mark(marks, outlines, _far_to_near(camera, centres, behind), (left, top))
    first = 0
    for page, back in zip(pages, behind, strict=True):
        own = cv2.inRange(marks, first + 1, first + len(back))
        where = np.flatnonzero(own)
        strip = marks.ravel()[where].astype(np.intp) - (first + 1)
        first += len(back)
        if not where.size:
            continue
        x, y, along, across = _unroll(camera, page, height, strip, back, where, part.shape[1], (left, top))
        maps = np.zeros((3, *own.shape), np.float32)
        maps.reshape(3, -1)[:, where] = x, y, _shading(page[0], light, along, across, back[strip])
        seen = cv2.remap(page[1], maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        dim(seen, maps[2])
        cv2.copyTo(seen, own, part)


@dataclass(frozen=True, eq=False)
class LyingSheet:
    """A sheet that lies still while the shutter is open: which part of its picture is seen where, found once.

    Attributes:
        corners: (N, 4, 3) world points of its strips.
        picture: (h, w, 4) float32, in the scene's light; four channels are looked up quicker than three.
        x, y: (H, W) float32 place in that picture that each pixel of a view shows, and pixels next to the sheet.
        plane: (3, 3) homography to that view from the plane at height `z`, about where the sheet lies.
    """

    corners: Floats
    picture: Picture
    x: Picture
    y: Picture
    plane: Floats
    z: float


def shade_page(page: Page, light: Light, height: float) -> Page:
    """A sheet that lies still, its picture (h, 2 w, 4) as the light shows it."""
    sheet, atlas = page
    width = atlas.shape[1] // 2
    along = np.linspace(0, 1, width, dtype=np.float32)
    along, back = np.concatenate([along, along[::-1]]), np.repeat([False, True], width)
    levels = np.stack(
        [
            _shading(sheet, light, along, np.full_like(along, across), back)
            for across in np.linspace(height / 2, -height / 2, SHADE_LEVELS).tolist()
        ]
    )
    place = np.linspace(0, SHADE_LEVELS - 1, len(atlas))
    mix = np.maximum(1 - np.abs(place[:, None] - np.arange(SHADE_LEVELS)), 0).astype(np.float32)
    lit = atlas.copy()
    dim(lit, mix @ levels)
    return sheet, np.asarray(cv2.cvtColor(lit, cv2.COLOR_RGB2RGBA), np.float32)


def lay_sheet(camera: Camera, page: Page, height: float, z: float, size: tuple[int, int], reach: int) -> LyingSheet:
    """What a view shows of a sheet, shaded already, that lies still.

    Args:
        z: about its height above the desk, in page widths.
        size: (W, H) of the frame.
        reach: pixels by which the views in which it will be drawn differ from this one.
    """
    corners = strips(page[0].points())
    pixels = camera.project(corners)
    low = np.floor(np.clip(pixels.min(axis=(0, 1)), 0, size)) - reach
    high = np.ceil(np.clip(pixels.max(axis=(0, 1)), 0, size)) + reach + 1
    view = camera.warped(np.array([[1, 0, -low[0]], [0, 1, -low[1]], [0, 0, 1]]))
    centres, (back,) = _facing(view, [page])
    marks = np.zeros((high - low).astype(int)[::-1], np.uint8)
    _mark(marks, fixed_point(view.project(corners)), _far_to_near(view, centres, [back]))
    # Other views show the sheet a little beyond its outline in this one.
    around = cv2.dilate(marks, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    cv2.copyTo(marks, marks, around)
    where = np.flatnonzero(around)
    x, y = maps = np.zeros((2, *marks.shape), np.float32)
    strip = around.ravel()[where].astype(np.intp) - 1
    maps.reshape(2, -1)[:, where] = _unroll(view, page, height, strip, back, where, marks.shape[1])[:2]
    return LyingSheet(corners, page[1], x, y, view.plane(z), z)


def draw_lying(canvas: Picture, camera: Camera, lying: LyingSheet) -> None:
    """Draw a sheet that lies still into a canvas (H, W, 3), in place, as seen by a camera near that of `lay_sheet`."""
    outlines = fixed_point(camera.project(lying.corners))
    (left, top), part = _part_of(canvas, outlines)
    if part.size == 0:
        return
    mask = np.zeros(part.shape[:2], np.uint8)
    _mark(mask, outlines, np.arange(len(outlines)), (left, top))
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
    warp = shift @ camera.plane(lying.z) @ np.linalg.inv(lying.plane)
    x, y = (
        cv2.warpPerspective(places, warp, mask.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for places in (lying.x, lying.y)
    )
    seen = cv2.remap(lying.picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cv2.copyTo(cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB), mask, part)


def _part_of(canvas: Picture, outlines: NDArray[np.int32]) -> tuple[tuple[int, int], Picture]:
    """Left top corner (x, y) and view of the canvas around outlines (N, 4, 2) in fixed point."""
    low = np.maximum(outlines.min(axis=(0, 1)) >> SUBPIXEL_BITS, 0).tolist()
    high = np.maximum((outlines.max(axis=(0, 1)) >> SUBPIXEL_BITS) + 2, 0).tolist()
    return (low[0], low[1]), canvas[low[1] : high[1], low[0] : high[0]]


def _facing(camera: Camera, pages: list[Page]) -> tuple[list[Floats], list[NDArray[np.bool_]]]:
    """Of the strips of each sheet, the centres (N, 3), and whether (N,) they show their back page to the camera."""
    points = [sheet.points() for sheet, _ in pages]
    centres = [(part[:-1].mean(axis=1) + part[1:].mean(axis=1)) / 2 for part in points]
    behind = [
        np.asarray(np.sum((sheet.normals[:-1] + sheet.normals[1:]) / 2 * (camera.eye - middle), axis=1) < 0)
        for (sheet, _), middle in zip(pages, centres, strict=True)
    ]
    return centres, behind


def _mark(
    marks: NDArray[np.uint8], outlines: NDArray[np.int32], order: NDArray[np.intp], corner: tuple[int, int] = (0, 0)
) -> None:
    """Draw outlines (N, 4, 2) into a picture, in place, one over the other, as their numbers from 1."""
    outlines = outlines - (np.array(corner, np.int32) << SUBPIXEL_BITS)
    for index in order.tolist():
        cv2.fillConvexPoly(marks, outlines[index], index + 1, cv2.LINE_8, SUBPIXEL_BITS)


def _unroll(
    camera: Camera,
    page: Page,
    height: float,
    strip: NDArray[np.intp],
    back: NDArray[np.bool_],
    where: NDArray[np.intp],
    width: int,
    corner: tuple[int, int] = (0, 0),
) -> tuple[Picture, Picture, Picture, Picture]:
    """What the pixels `where` of a part of the frame, `width` wide, show of a sheet whose strips are known there.

    Returns:
        (N,) x and y in the sheet's picture, and distance from the spine and y on the flat sheet.
    """
    rows, columns = np.divmod(where, width)
    along, across = _paper_coordinates(camera, page[0], strip, columns + corner[0], rows + corner[1])
    # The back page is printed the other way round.
    last = page[1].shape[0] - 1, page[1].shape[1] // 2 - 1
    x = np.where(back[strip], last[1] + 1 + (1 - along) * last[1], along * last[1])
    return x, np.clip(0.5 - across / height, 0, 1) * last[0], along, across


def _far_to_near(camera: Camera, centres: list[Floats], behind: list[NDArray[np.bool_]]) -> NDArray[np.intp]:
    """Order in which the strips of all sheets, numbered one sheet after the other, must be drawn.

    The sheets lie one above the other: stretches that turn the same side to the camera are drawn sheet by sheet.
    """
    distance = [np.linalg.norm(middle - camera.eye, axis=1) for middle in centres]
    if len(centres) == 1:
        return np.argsort(-distance[0])
    count = max(len(part) for part in distance)
    far = np.stack([np.pad(part, (0, count - len(part)), mode="edge") for part in distance]).mean(axis=0)
    back = behind[len(behind) // 2]
    back = np.pad(back, (0, count - len(back)), mode="edge")
    stretch = np.concatenate([[0], np.cumsum(back[1:] != back[:-1])])
    nearness = np.argsort(np.argsort([-far[stretch == index].mean() for index in range(stretch[-1] + 1)]))
    strip_rank = np.argsort(np.argsort(-far))
    keys = []
    for place, part in enumerate(distance):
        # Seen from its back, from the right, the rightmost sheet is the nearest.
        height = np.where(back, place, len(distance) - 1 - place)
        keys.append(((nearness[stretch] * len(distance) + height) * count + strip_rank)[: len(part)])
    return np.argsort(np.concatenate(keys))


def _paper_coordinates(
    camera: Camera, sheet: Sheet, strip: NDArray[np.intp], columns: NDArray[np.intp], rows: NDArray[np.intp]
) -> tuple[Picture, Picture]:
    """Distance from the spine and y on the flat sheet, for pixels whose strips are known."""
    lens = camera.matrix[:, :3]
    seen = np.empty((len(sheet.rulings) - 1, 3, 3))
    seen[:, :, 0] = sheet.rulings[:-1] @ lens.T
    seen[:, :, 1] = sheet.rulings[1:] @ lens.T
    seen[:, :, 2] = lens @ sheet.tip + camera.matrix[:, 3]
    flat = np.zeros_like(seen)
    flat[:, :2, 0], flat[:, :2, 1] = sheet.flat_rulings[:-1], sheet.flat_rulings[1:]
    flat[:, :2, 2], flat[:, 2, 2] = sheet.flat_tip, 1
    # A strip seen exactly edge-on has no inverse; its few pixels may take any nearby colour.
    edge_on = np.abs(np.linalg.det(seen)) < 1e-12
    seen[edge_on] += np.eye(3) * 1e-3
    back = np.ascontiguousarray((flat @ np.linalg.inv(seen)).astype(np.float32).reshape(-1, 9).T)
    x, y = columns.astype(np.float32), rows.astype(np.float32)
    along, across, scale = (
        back[row].take(strip) * x + back[row + 1].take(strip) * y + back[row + 2].take(strip) for row in (0, 3, 6)
    )
    scale[scale == 0] = 1e-9
    return np.clip(along / scale, 0, 1), across / scale


def _shading(sheet: Sheet, light: Light, along: Picture, across: Picture, back: NDArray[np.bool_]) -> Picture:
    """Brightness (N,) at flat coordinates, smooth across strips."""
    tangents = np.abs(sheet.flat_rulings[:, 0] / sheet.flat_rulings[:, 1])
    steps = np.linspace(0, tangents[-1], SHADE_STEPS)
    front = np.interp(steps, tangents, light.shade(sheet.normals))
    behind = np.interp(steps, tangents, light.shade(-sheet.normals))
    table = np.concatenate([front, behind]).astype(np.float32)
    tangent = along / np.abs(across - np.float32(sheet.flat_tip[1]))
    index = np.clip(tangent * ((SHADE_STEPS - 1) / tangents[-1]), 0, SHADE_STEPS - 1).astype(np.intp)
    return np.asarray(table[index + SHADE_STEPS * back], np.float32)
