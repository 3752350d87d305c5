"""Drawing bent sheets, polygons and pictures into one sample of a frame (float32, linear light)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.synth.camera import Camera
from flipdetect.synth.light import Light
from flipdetect.synth.sheet import Floats, Sheet

Picture = NDArray[np.float32]

SUBPIXEL_BITS = 4
SHADE_STEPS = 256
REMAP_COLUMNS = 256
"""Pixels are gathered in rows of this length: cv2.remap takes pictures of up to 32767 columns only."""


def fixed_point(pixels: Floats) -> NDArray[np.int32]:
    """Pixel coordinates as OpenCV's fixed-point integers, kept within what it can draw."""
    return np.asarray(np.clip(pixels, -4000, 8000) * (1 << SUBPIXEL_BITS), np.int32)


def dim(canvas: Picture, share: Picture) -> None:
    """Multiply the colours of a canvas (H, W, 3) by shares (H, W), in place."""
    cv2.multiply(canvas, cv2.merge([share, share, share]), dst=canvas)


def strips(pixels: Floats) -> Floats:
    """(N - 1, 4, 2) outlines of the strips between rulings given as (N, 2, 2)."""
    return np.stack([pixels[:-1, 0], pixels[:-1, 1], pixels[1:, 1], pixels[1:, 0]], axis=1)


def draw_sheet(canvas: Picture, camera: Camera, sheet: Sheet, atlas: Picture, light: Light, height: float) -> None:
    """Draw a sheet in place, nearer strips over farther ones.

    Args:
        canvas: (H, W, 3) float32.
        camera: the view.
        sheet: the paper.
        atlas: (h, 2 w, 3) float32, the front page beside the back page, each as a reader sees it.
        light: over the desk.
        height: of the page, in page widths.
    """
    points = sheet.points()
    centres = (points[:-1].mean(axis=1) + points[1:].mean(axis=1)) / 2
    order = np.argsort(-np.linalg.norm(centres - camera.eye, axis=1))
    marks = np.zeros(canvas.shape[:2], np.uint8)
    outlines = fixed_point(strips(camera.project(points)))
    for index in order.tolist():
        cv2.fillConvexPoly(marks, outlines[index], index + 1, cv2.LINE_8, SUBPIXEL_BITS)
    where = np.flatnonzero(marks)
    if where.size == 0:
        return
    strip = marks.ravel()[where].astype(np.intp) - 1
    rows, columns = np.divmod(where, canvas.shape[1])
    along, across = _paper_coordinates(camera, sheet, strip, columns, rows)
    middle = (sheet.normals[:-1] + sheet.normals[1:]) / 2
    back = (np.sum(middle * (camera.eye - centres), axis=1) < 0)[strip]
    page = _sample(atlas, along, 0.5 - across / height, back)
    page *= _shading(sheet, light, along, across, back)[:, None]
    canvas.reshape(-1, 3)[where] = page


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


def _sample(atlas: Picture, u: Picture, v: Picture, back: NDArray[np.bool_]) -> Picture:
    """Colours (N, 3) of the page at flat coordinates; the back page is printed the other way round."""
    height, width = atlas.shape[0], atlas.shape[1] // 2
    x = np.where(back, width + (1 - u) * (width - 1), u * (width - 1))
    y = np.clip(v, 0, 1) * (height - 1)
    total = -(-len(x) // REMAP_COLUMNS) * REMAP_COLUMNS
    places = np.zeros((2, total), np.float32)
    places[0, : len(x)], places[1, : len(y)] = x, y
    grid = places.reshape(2, -1, REMAP_COLUMNS)
    colours = cv2.remap(atlas, grid[0], grid[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(colours.reshape(-1, 3)[: len(x)], np.float32)


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
