"""What a phone, a desk or a file format may do to a frame, as pure functions on uint8 RGB frames.

Each takes a frame (H, W, 3) uint8 RGB and returns a new one of the same shape and type; equal frames give equal
results. Strengths that are lengths are shares of the frame's shorter side, so that they mean the same at any size.
Where a rotated or shrunken picture leaves the frame's edge uncovered, the picture is mirrored at the edge, as in
training's augmentation: black corners would be a cue of their own.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import numpy.typing as npt

from flipdetect.errors import ConfigError

Frame = npt.NDArray[np.uint8]

CLEAN = "clean"


@dataclass(frozen=True)
class Perturbation:
    """A named change of frames.

    Attributes:
        name: as tables show it, with its strength.
        apply: (H, W, 3) uint8 RGB -> the same shape and type.
    """

    name: str
    apply: Callable[[Frame], Frame]


def identity(frame: Frame) -> Frame:
    """The frame as it is."""
    return frame.copy()


def brightness(frame: Frame, factor: float) -> Frame:
    """Multiply all values: 1.15 is 15% brighter; what exceeds full scale is clipped, as a sensor does.

    Raises:
        ConfigError: if the factor is negative.
    """
    if factor < 0:
        raise ConfigError(f"a brightness factor must not be negative, got {factor}")
    return _to_uint8(frame.astype(np.float32) * factor)


def contrast(frame: Frame, factor: float) -> Frame:
    """Stretch (above 1) or compress (below 1) values around the frame's mean.

    Raises:
        ConfigError: if the factor is negative.
    """
    if factor < 0:
        raise ConfigError(f"a contrast factor must not be negative, got {factor}")
    mean = float(frame.mean())
    return _to_uint8((frame.astype(np.float32) - mean) * factor + mean)


def greyscale(frame: Frame) -> Frame:
    """Luma (Rec. 601) in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)


def saturation(frame: Frame, factor: float) -> Frame:
    """Mix each pixel with its luma (Rec. 601): 0 is grey, 1 the frame itself, above 1 more colour.

    Raises:
        ConfigError: if the factor is negative.
    """
    if factor < 0:
        raise ConfigError(f"a saturation factor must not be negative, got {factor}")
    grey = greyscale(frame).astype(np.float32)
    return _to_uint8(grey + (frame.astype(np.float32) - grey) * factor)


def hue_shift(frame: Frame, degrees: float) -> Frame:
    """Turn the colour wheel of HSV: red becomes yellow at 60 degrees; greys stay."""
    hsv = np.asarray(cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2HSV), np.float32)
    hsv[..., 0] = (hsv[..., 0] + degrees) % 360
    return _to_uint8(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.float32) * 255)


def crop(frame: Frame, share: float) -> Frame:
    """Keep the middle, that share of each side, enlarged to the old size: a phone held closer.

    Raises:
        ConfigError: if the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"a share that is kept lies above 0 and at most at 1, got {share}")
    return zoom(frame, 1 / share)


def mirror(frame: Frame) -> Frame:
    """Exchange left and right."""
    return np.ascontiguousarray(frame[:, ::-1])


def half_turn(frame: Frame) -> Frame:
    """Rotate by 180 degrees: the desk seen from its other side."""
    return np.ascontiguousarray(frame[::-1, ::-1])


def rotate(frame: Frame, degrees: float) -> Frame:
    """Rotate about the centre, counter-clockwise, keeping the size."""
    return _warp(frame, degrees, 1.0)


def zoom(frame: Frame, factor: float) -> Frame:
    """Enlarge about the centre and crop (above 1), or shrink and fill from mirrored edges (below 1).

    Raises:
        ConfigError: if the factor is not positive.
    """
    if factor <= 0:
        raise ConfigError(f"a zoom factor must be positive, got {factor}")
    return _warp(frame, 0.0, factor)


def blur(frame: Frame, share: float) -> Frame:
    """Gaussian blur with a standard deviation of that share of the shorter side; 0 does nothing.

    Raises:
        ConfigError: if the share is negative.
    """
    if share < 0:
        raise ConfigError(f"a blur must not be negative, got {share}")
    if share == 0:
        return identity(frame)
    sigma = share * min(frame.shape[:2])
    return cv2.GaussianBlur(frame, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101).astype(np.uint8, copy=False)


def noise(frame: Frame, deviation: float) -> Frame:
    """Add independent Gaussian noise to each value; the stream is seeded by the frame's own pixels.

    Args:
        frame: (H, W, 3) uint8 RGB.
        deviation: standard deviation in levels of 255.

    Raises:
        ConfigError: if the deviation is negative.
    """
    if deviation < 0:
        raise ConfigError(f"a noise deviation must not be negative, got {deviation}")
    stream = np.random.default_rng(zlib.crc32(frame.tobytes()))
    return _to_uint8(frame.astype(np.float32) + stream.normal(0.0, deviation, frame.shape).astype(np.float32))


def jpeg(frame: Frame, quality: int) -> Frame:
    """Compress as JPEG and read back.

    Raises:
        ConfigError: if the quality is not 1 to 100.
    """
    if not 1 <= quality <= 100:
        raise ConfigError(f"a JPEG quality lies between 1 and 100, got {quality}")
    _, data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[:, :, ::-1])


def low_resolution(frame: Frame, share: float) -> Frame:
    """Shrink to that share of each side, averaging, and enlarge to the old size again.

    Raises:
        ConfigError: if the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"a share of the resolution lies above 0 and at most at 1, got {share}")
    height, width = frame.shape[:2]
    small = cv2.resize(
        frame, (max(1, round(width * share)), max(1, round(height * share))), interpolation=cv2.INTER_AREA
    )
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _warp(frame: Frame, degrees: float, scale: float) -> Frame:
    height, width = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, scale)
    warped = cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )  # fmt: skip
    return warped.astype(np.uint8, copy=False)


def _to_uint8(values: npt.NDArray[np.float32]) -> Frame:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


BASIC: tuple[Perturbation, ...] = (
    Perturbation("brightness +15%", partial(brightness, factor=1.15)),
    Perturbation("brightness -15%", partial(brightness, factor=0.85)),
    Perturbation("greyscale", greyscale),
    Perturbation("hue +20 degrees", partial(hue_shift, degrees=20)),
    Perturbation("hue -20 degrees", partial(hue_shift, degrees=-20)),
    Perturbation("mirrored", mirror),
    Perturbation("rotated 180 degrees", half_turn),
)
"""What every model is measured under."""

MORE: tuple[Perturbation, ...] = (
    Perturbation("brightness +30%", partial(brightness, factor=1.3)),
    Perturbation("brightness -30%", partial(brightness, factor=0.7)),
    Perturbation("contrast +25%", partial(contrast, factor=1.25)),
    Perturbation("contrast -25%", partial(contrast, factor=0.75)),
    Perturbation("contrast -50%", partial(contrast, factor=0.5)),
    Perturbation("blur 0.5% of width", partial(blur, share=0.005)),
    Perturbation("blur 1% of width", partial(blur, share=0.01)),
    Perturbation("blur 2% of width", partial(blur, share=0.02)),
    Perturbation("noise 5 levels", partial(noise, deviation=5)),
    Perturbation("noise 10 levels", partial(noise, deviation=10)),
    Perturbation("noise 20 levels", partial(noise, deviation=20)),
    Perturbation("JPEG quality 60", partial(jpeg, quality=60)),
    Perturbation("JPEG quality 30", partial(jpeg, quality=30)),
    Perturbation("JPEG quality 10", partial(jpeg, quality=10)),
    Perturbation("rotated +10 degrees", partial(rotate, degrees=10)),
    Perturbation("rotated -10 degrees", partial(rotate, degrees=-10)),
    Perturbation("zoom 0.85", partial(zoom, factor=0.85)),
    Perturbation("zoom 1.15", partial(zoom, factor=1.15)),
    Perturbation("zoom 1.3", partial(zoom, factor=1.3)),
    Perturbation("1/2 resolution", partial(low_resolution, share=1 / 2)),
    Perturbation("1/3 resolution", partial(low_resolution, share=1 / 3)),
    Perturbation("1/4 resolution", partial(low_resolution, share=1 / 4)),
)
"""Further ones, several at more than one strength."""


@dataclass(frozen=True)
class Family:
    """One kind of change at several strengths, for a curve.

    Attributes:
        title: for readers.
        axis: what the strengths are.
        clean: the strength that changes nothing; it may be one that no change has, as the end of a scale.
        strengths: ascending, without `clean`.
        change: frame and strength -> frame.
    """

    title: str
    axis: str
    clean: float
    strengths: tuple[float, ...]
    change: Callable[[Frame, float], Frame]

    def perturbations(self) -> list[Perturbation]:
        """One per strength."""
        return [
            Perturbation(f"{self.title} {strength:g}", partial(_at, change=self.change, strength=strength))
            for strength in self.strengths
        ]


def _at(frame: Frame, change: Callable[[Frame, float], Frame], strength: float) -> Frame:
    return change(frame, strength)


def _jpeg(frame: Frame, quality: float) -> Frame:
    return jpeg(frame, round(quality))


def _blur(frame: Frame, percent: float) -> Frame:
    return blur(frame, percent / 100)


FAMILIES: tuple[Family, ...] = (
    Family("Brightness", "factor", 1.0, (0.5, 0.7, 0.85, 1.15, 1.3, 1.6), brightness),
    Family("Contrast", "factor", 1.0, (0.4, 0.6, 0.8, 1.25, 1.6), contrast),
    Family("Colour, down to grey", "saturation", 1.0, (0.0, 0.33, 0.67, 1.5), saturation),
    Family("Hue", "degrees", 0.0, (-40, -20, -10, 10, 20, 40), hue_shift),
    Family("Blur", "% of the shorter side", 0.0, (0.25, 0.5, 1, 2), _blur),
    Family("Noise", "levels of 255", 0.0, (5, 10, 20, 40), noise),
    Family("JPEG", "quality", 100.0, (5, 15, 30, 60, 80), _jpeg),
    Family("Rotation", "degrees", 0.0, (-20, -10, -5, 5, 10, 20), rotate),
    Family("Crop", "share of each side kept", 1.0, (0.6, 0.7, 0.8, 0.9), crop),
    Family("Resolution", "share of each side", 1.0, (0.15, 0.25, 0.33, 0.5), low_resolution),
)
"""For the curves of a report: every kind of change from mild to strong."""
