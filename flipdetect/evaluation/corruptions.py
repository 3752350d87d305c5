"""Corruptions by phone, desk or file format, as pure functions on frames.

Each takes a frame (H, W, 3) uint8 RGB and returns a new one of the same shape and dtype; equal frames give equal
results. Lengths are shares of the frame's shorter side, which no library offers: they mean the same at any size. Where
a rotated or shrunken picture leaves an edge uncovered it is mirrored, as in the augmentation of training.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

Frame = npt.NDArray[np.uint8]

CLEAN = "clean"


@dataclass(frozen=True)
class Corruption:
    """A named change of frames: (H, W, 3) uint8 RGB -> the same shape and dtype."""

    name: str
    apply: Callable[[Frame], Frame]


def brightness(frame: Frame, factor: float) -> Frame:
    """Multiply all values, and clip them as a sensor does."""
    return _to_uint8(frame.astype(np.float32) * factor)


def contrast(frame: Frame, factor: float) -> Frame:
    """Stretch (above 1) or compress (below 1) values around the frame's mean."""
    mean = float(frame.mean())
    return _to_uint8((frame.astype(np.float32) - mean) * factor + mean)


def greyscale(frame: Frame) -> Frame:
    """Luma (Rec. 601) in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)


def hue_shift(frame: Frame, degrees: float) -> Frame:
    """Rotate the hue of HSV: red becomes yellow at 60 degrees; greys stay."""
    hsv = np.asarray(cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2HSV), np.float32)
    hsv[..., 0] = (hsv[..., 0] + degrees) % 360
    return _to_uint8(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32) * 255)


def mirror(frame: Frame) -> Frame:
    """Exchange left and right."""
    return np.ascontiguousarray(frame[:, ::-1])


def half_turn(frame: Frame) -> Frame:
    """Rotate by 180 degrees: the desk seen from its other side."""
    return np.ascontiguousarray(frame[::-1, ::-1])


def rotate_and_zoom(frame: Frame, degrees: float = 0.0, factor: float = 1.0) -> Frame:
    """Rotate counter-clockwise and enlarge (factor above 1) about the centre, keeping the size."""
    height, width = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, factor)
    warped = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )  # fmt: skip
    return warped.astype(np.uint8, copy=False)


def blur(frame: Frame, share: float) -> Frame:
    """Gaussian blur with a standard deviation of that share of the shorter side."""
    sigma = share * min(frame.shape[:2])
    return cv2.GaussianBlur(frame, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101).astype(np.uint8, copy=False)


def noise(frame: Frame, deviation: float) -> Frame:
    """Add Gaussian noise of that many levels of 255 to each value; the frame's own pixels are the seed."""
    stream = np.random.default_rng(zlib.crc32(frame.tobytes()))
    return _to_uint8(frame.astype(np.float32) + stream.normal(0.0, deviation, frame.shape).astype(np.float32))


def jpeg(frame: Frame, quality: int) -> Frame:
    """Compress as JPEG of that quality, 1 to 100, and decode."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[:, :, ::-1])


def low_resolution(frame: Frame, share: float) -> Frame:
    """Shrink to that share of each side, averaging, and enlarge to the old size again."""
    height, width = frame.shape[:2]
    small = (max(1, round(width * share)), max(1, round(height * share)))
    shrunk = cv2.resize(frame, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _to_uint8(values: npt.NDArray[np.float32]) -> Frame:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


BASIC: tuple[Corruption, ...] = (
    Corruption("brightness +15%", partial(brightness, factor=1.15)),
    Corruption("brightness -15%", partial(brightness, factor=0.85)),
    Corruption("greyscale", greyscale),
    Corruption("hue +20 degrees", partial(hue_shift, degrees=20)),
    Corruption("hue -20 degrees", partial(hue_shift, degrees=-20)),
    Corruption("mirrored", mirror),
    Corruption("rotated 180 degrees", half_turn),
)
MORE: tuple[Corruption, ...] = (
    Corruption("brightness +30%", partial(brightness, factor=1.3)),
    Corruption("brightness -30%", partial(brightness, factor=0.7)),
    Corruption("contrast +25%", partial(contrast, factor=1.25)),
    Corruption("contrast -25%", partial(contrast, factor=0.75)),
    Corruption("contrast -50%", partial(contrast, factor=0.5)),
    Corruption("blur 0.5% of width", partial(blur, share=0.005)),
    Corruption("blur 1% of width", partial(blur, share=0.01)),
    Corruption("blur 2% of width", partial(blur, share=0.02)),
    Corruption("noise 5 levels", partial(noise, deviation=5)),
    Corruption("noise 10 levels", partial(noise, deviation=10)),
    Corruption("noise 20 levels", partial(noise, deviation=20)),
    Corruption("JPEG quality 60", partial(jpeg, quality=60)),
    Corruption("JPEG quality 30", partial(jpeg, quality=30)),
    Corruption("JPEG quality 10", partial(jpeg, quality=10)),
    Corruption("rotated +10 degrees", partial(rotate_and_zoom, degrees=10)),
    Corruption("rotated -10 degrees", partial(rotate_and_zoom, degrees=-10)),
    Corruption("zoom 0.85", partial(rotate_and_zoom, factor=0.85)),
    Corruption("zoom 1.15", partial(rotate_and_zoom, factor=1.15)),
    Corruption("zoom 1.3", partial(rotate_and_zoom, factor=1.3)),
    Corruption("1/2 resolution", partial(low_resolution, share=1 / 2)),
    Corruption("1/3 resolution", partial(low_resolution, share=1 / 3)),
    Corruption("1/4 resolution", partial(low_resolution, share=1 / 4)),
)
"""More kinds and strengths, for `--robustness full`."""
