"""Preprocessing: a decoded frame becomes model input, in the same way in training and prediction.

It is described by `PreprocessSpec`, which is stored in checkpoints and exported models, so that prediction never has to
guess it. NumPy and OpenCV only: exported models run without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from flipdetect.errors import ConfigError
from flipdetect.sources.image import decode_frame

SPEC_VERSION = 1
"""Raised when the meaning of a field changes; a spec of another version is refused instead of guessed at."""

Fit = Literal["letterbox", "stretch", "crop"]

# Channel statistics of ImageNet (Deng et al., 2009), which pretrained weights expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

MAX_SIDE = 4096


@dataclass(frozen=True)
class PreprocessSpec:
    """How a decoded frame becomes model input.

    Attributes:
        height: of the model's input in pixels. The default is portrait 9:16, as phones film: a square input would spend
            its pixels on width, while the page edge, the cue, is lost in height.
        width: likewise.
        channels: 3 for RGB, 1 for grey.
        fit: "letterbox" keeps the aspect ratio and pads with the mean colour (nothing is cut off or distorted),
            "stretch" ignores the aspect ratio, "crop" keeps it and takes the centre.
        mean: per channel, in units of full scale (0 to 1).
        std: likewise.

    Raises:
        ConfigError: if a value is impossible.
    """

    height: int = 256
    width: int = 144
    channels: int = 3
    fit: Fit = "letterbox"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        for name, value in (("height", self.height), ("width", self.width)):
            if not 8 <= value <= MAX_SIDE:
                raise ConfigError(f"preprocess.{name} must lie between 8 and {MAX_SIDE} pixels, got {value}")
        if self.channels not in (1, 3):
            raise ConfigError(f"preprocess.channels must be 1 (grey) or 3 (RGB), got {self.channels}")
        if self.fit not in ("letterbox", "stretch", "crop"):
            raise ConfigError(f"preprocess.fit must be letterbox, stretch or crop, got {self.fit!r}")
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ConfigError(
                    f"preprocess.{name} needs one number per channel ({self.channels}), got {list(values)}"
                )
        if min(self.std) <= 0:
            raise ConfigError(f"preprocess.std must be positive, got {list(self.std)}")

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON types, with the version of their meaning."""
        plain = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}
        return {"version": SPEC_VERSION, **plain}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> PreprocessSpec:
        """The inverse of `to_dict`; a `ConfigError` if the version is another, or keys are missing or unknown."""
        values = dict(plain)
        version = values.pop("version", None)
        if version != SPEC_VERSION:
            raise ConfigError(
                f"this preprocessing spec has version {version}, this program reads version {SPEC_VERSION}; "
                "use the flipdetect release that wrote the model"
            )
        names = {field.name for field in fields(cls)}
        if set(values) != names:
            wrong = sorted(set(values) ^ names)
            raise ConfigError(f"the preprocessing spec has missing or unknown keys: {', '.join(wrong)}")
        values.update(mean=tuple(values["mean"]), std=tuple(values["std"]))
        return cls(**values)

    def read(self, source: Path | bytes) -> npt.NDArray[np.uint8]:
        """Decode a file (or its bytes) and bring it to the input size: (height, width, channels) uint8.

        A JPEG is scaled down while it is decoded, to twice the input size at least: the result then nearly equals that
        of a full decode (probabilities differ by less than 0.01).

        Raises:
            FrameError: if the file cannot be read as a frame.
        """
        return self.resize(decode_frame(source, min_size=(2 * self.height, 2 * self.width), channels=self.channels))

    def resize(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Bring a decoded frame (H, W, channels) uint8 to (height, width, channels) uint8."""
        if frame.ndim != 3 or frame.shape[2] != self.channels:
            raise ValueError(f"expected a frame of shape (H, W, {self.channels}), got {frame.shape}")
        (height, to_y, from_y, rows), (width, to_x, from_x, columns) = self._extents(*frame.shape[:2])
        scaled = frame
        if frame.shape[:2] != (height, width):
            # Area averaging is right for shrinking (no aliasing), and blocky for enlarging.
            shrinks = height <= frame.shape[0] and width <= frame.shape[1]
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            resized = cv2.resize(frame, (width, height), interpolation=how)
            scaled = resized.reshape(height, width, self.channels).astype(np.uint8, copy=False)
        # Centred on a canvas of the input size: padded where it is smaller, cut where it is larger.
        if (height, width) == (self.height, self.width):
            return scaled
        canvas: npt.NDArray[np.uint8] = np.empty((self.height, self.width, self.channels), np.uint8)
        canvas[:] = self.padding
        canvas[to_y : to_y + rows, to_x : to_x + columns] = scaled[from_y : from_y + rows, from_x : from_x + columns]
        return canvas

    def _extents(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """Along y and x, of a frame of a size: its scaled size, offsets on the canvas and in the frame, length."""
        sizes, rooms = (height, width), (self.height, self.width)
        ratios = [room / size for room, size in zip(rooms, sizes, strict=True)]
        if self.fit != "stretch":
            ratios = [min(ratios) if self.fit == "letterbox" else max(ratios)] * 2
        found = []
        for size, room, ratio in zip(sizes, rooms, ratios, strict=True):
            scaled = max(1, round(size * ratio))
            length = min(scaled, room)
            found.append((scaled, max(0, (room - scaled) // 2), max(0, (scaled - room) // 2), length))
        return found

    def unplace(self, maps: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
        """The part of a map of the model's input that covers the frame, as far as the map's resolution allows.

        (h, w) float32, covering the whole input -> (h', w') float32, at least 1x1, covering a frame of `height` by
        `width` pixels (with `fit: crop`, its centre).
        """
        if self.fit != "letterbox":
            return maps
        spans = []
        extents, rooms = self._extents(height, width), (self.height, self.width)
        for (_, offset, _, length), room, cells in zip(extents, rooms, maps.shape, strict=True):
            first = min(round(offset * cells / room), cells - 1)
            spans.append(slice(first, max(first + 1, round((offset + length) * cells / room))))
        return maps[spans[0], spans[1]]

    def placement(self, height: int, width: int) -> tuple[float, float, float, float]:
        """Where `resize` puts a frame of a size: factor along x and y, then offset along x and y.

        A point (x, y) of the frame, in pixels from its upper left corner, is at (x * factor_x + offset_x,
        y * factor_y + offset_y) in the input.
        """
        (tall, to_y, from_y, _), (wide, to_x, from_x, _) = self._extents(height, width)
        return wide / width, tall / height, float(to_x - from_x), float(to_y - from_y)

    def place_boxes(self, boxes: npt.NDArray[np.floating], height: int, width: int) -> npt.NDArray[np.float32]:
        """Boxes (N, 4) as (x0, y0, x1, y1) in pixels of a frame of a size -> in pixels of the input, not clipped."""
        placement = self.placement(height, width)
        return np.asarray(boxes.reshape(-1, 4) * (placement[:2] * 2) + placement[2:] * 2, np.float32)

    def unplace_boxes(self, boxes: npt.NDArray[np.floating], height: int, width: int) -> npt.NDArray[np.float32]:
        """The inverse of `place_boxes`, clipped to the frame."""
        placement = self.placement(height, width)
        found = (boxes.reshape(-1, 4) - placement[2:] * 2) / (placement[:2] * 2)
        return np.asarray(np.clip(found, 0, [width, height, width, height]), np.float32)

    @property
    def padding(self) -> npt.NDArray[np.uint8]:
        """The mean colour, (channels,) uint8: about zero after normalisation, so that padding carries no signal."""
        return np.round(np.asarray(self.mean) * 255).astype(np.uint8)

    def normalise(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(height, width, channels) uint8 -> (channels, height, width) float32, zero mean and unit deviation."""
        planes = np.empty((self.channels, *frame.shape[:2]), np.float32)
        for channel, levels in enumerate(self._levels):
            np.take(levels, frame[:, :, channel], out=planes[channel], mode="clip")
        return planes

    @cached_property
    def _levels(self) -> npt.NDArray[np.float32]:
        """The normalised value of each of the 256 levels, (channels, 256): a quarter of the time of computing it."""
        middle = np.asarray(self.mean, np.float32)[:, None] * 255
        scale = 1 / (np.asarray(self.std, np.float32)[:, None] * 255)
        return np.asarray((np.arange(256, dtype=np.float32) - middle) * scale, np.float32)

    def to_uint8(self, array: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Undo `normalise` for display: (channels, height, width) float32 -> (height, width, channels) uint8."""
        mean = np.asarray(self.mean, np.float32) * 255
        std = np.asarray(self.std, np.float32) * 255
        levels: npt.NDArray[np.float32] = np.clip(np.rint(array.transpose(1, 2, 0) * std + mean), 0, 255)
        return levels.astype(np.uint8)

    def load(self, source: Path | bytes) -> npt.NDArray[np.float32]:
        """`read` and `normalise`: a file becomes (channels, height, width) float32."""
        return self.normalise(self.read(source))
