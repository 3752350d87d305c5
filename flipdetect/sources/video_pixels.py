"""A decoded frame becomes upright RGB pixels: scaled, rotated, with square pixels and in standard dynamic range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import av
import av.filter
import cv2
import numpy as np
from numpy.typing import NDArray

from flipdetect.errors import FrameError
from flipdetect.sources.image import MAX_PIXELS

# Matrix coefficients as H.273 numbers them, by the name that FFmpeg's scale filter gives them.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
# Their weights of red and blue, and the formats of 8 bits whose planes `_reduce` scales.
_WEIGHTS = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593)}
_PLANAR = ("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p")
_FULL_RANGE = 2
# A larger pixel aspect ratio is an error in the file.
_MAX_STRETCH = 4

# Transfer characteristics as ITU-T H.273 numbers them.
PQ, HLG = 16, 18

# BT.2408: luminance of diffuse white (paper) in HDR, and the peak that phones master to, in cd/m2.
WHITE_NITS = 203.0
PEAK_NITS = 1000.0
# Levels below this share of white are kept, so that paper keeps its tone; highlights are compressed.
_KNEE = 0.7

_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_LIGHT = np.arange(4096) / 4095
_SRGB = np.where(_LIGHT <= 0.0031308, 12.92 * _LIGHT, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)
# (4096,) uint8: sRGB code of each light from 0 to 1.
_CODES = np.round(255 * _SRGB).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight orientations of a picture: swap its axes, then mirror it left-right, then top-bottom."""

    swap: bool = False
    mirror: bool = False
    flip: bool = False

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn `(H, W, C)` pixels; the result is contiguous."""
        pixels = pixels.swapaxes(0, 1) if self.swap else pixels
        return np.ascontiguousarray(pixels[:: -1 if self.flip else 1, :: -1 if self.mirror else 1])

    def undo(self, values: NDArray[Any]) -> NDArray[Any]:
        """Turn `(H, W)` values of an upright picture back."""
        values = values[:: -1 if self.flip else 1, :: -1 if self.mirror else 1]
        return np.ascontiguousarray(values.T if self.swap else values)


def orientation_of_matrix(matrix: NDArray[np.int32]) -> Orientation:
    """The orientation that a display matrix asks for, `(9,) int32` as in ISO/IEC 14496-12 (a b u c d v x y w).

    A stored pixel (p, q) is shown at (a p + c q, b p + d q). Other angles become the nearest quarter.
    """
    a, b, c, d = (int(matrix[place]) for place in (0, 1, 3, 4))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(swap=True, mirror=c < 0, flip=b < 0)
    return Orientation(mirror=a < 0, flip=d < 0)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation that makes a frame upright."""
    # A PyAV frame whose side data was read refers to itself, and keeps its megabytes until the garbage collector
    # runs. A tiny copy has the same side data.
    attached: Any = frame.reformat(width=16, height=16, format="gray").side_data
    try:
        return orientation_of_matrix(np.frombuffer(attached["DISPLAYMATRIX"], np.int32))
    except KeyError:
        return Orientation()


def display_size(frame: av.VideoFrame, stream: av.VideoStream, orientation: Orientation) -> tuple[int, int]:
    """(height, width) of a frame upright and with square pixels: stretched, never shrunk, so that nothing is lost."""
    height, width = frame.height, frame.width
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if aspect > 0 and Fraction(1, _MAX_STRETCH) <= aspect <= _MAX_STRETCH:
        width = round(width * max(aspect, Fraction(1)))
        height = round(height / min(aspect, Fraction(1)))
    return (width, height) if orientation.swap else (height, width)


class Converter:
    """Turns the frames of one stream to pixels. Not safe to share between threads.

    Colour matrix and range are those named in the file; if it names none, they are guessed as players do: BT.709 above
    standard definition, else BT.601, limited range. Transparent pixels are laid on white, as `decode_frame` does. High
    dynamic range is converted by `to_standard_range`. Interlaced pictures stay as they are.
    """

    def __init__(self, name: str, stream: av.VideoStream, min_size: tuple[int, int] | None) -> None:
        """Prepare; `name` is the file's, for messages; `min_size` is as in `open_video`."""
        self._name, self._stream, self._min_size = name, stream, min_size
        self._transfer = int(stream.codec_context.color_trc)
        self._key: tuple[object, ...] = ()
        self._orientation, self._size = Orientation(), (0, 0)
        self._graph: Any = None
        self._matrix: NDArray[np.float32] | None = None  # of frames that `_reduce` converts

    def pixels(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """`(H, W, 3) uint8` of a frame.

        Raises:
            FrameError: if the frame is larger than `MAX_PIXELS`.
            av.FFmpegError: if it cannot be converted.
        """
        high = self._transfer in (PQ, HLG)
        clear = any(component.is_alpha for component in frame.format.components)
        key = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range)
        if key != self._key:
            self._orientation = orientation_of(frame)
            self._size = self._stored_size(frame)
            self._matrix = None
            if frame.format.name in _PLANAR and not high and self._size[0] < frame.height:
                self._matrix = _rgb_matrix(*_colours(frame))
            if self._matrix is None:
                self._build(frame, *self._size, "rgb48le" if high else "rgba" if clear else "rgb24")
            self._key = key
        if self._matrix is not None:
            return self._orientation.apply(_reduce(frame, self._size, self._matrix))
        self._graph.push(frame)
        raw: NDArray[Any] = self._graph.pull().to_ndarray()
        if high:
            raw = to_standard_range(raw, self._transfer)
        elif clear:
            alpha = raw[..., 3:].astype(np.uint16)
            raw = ((raw[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return self._orientation.apply(raw)

    def as_stored(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values `(H, W)` of the last upright frame as the frame is stored."""
        return self._orientation.undo(values)

    def _stored_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(height, width) to scale the frame to before it is turned."""
        if frame.width * frame.height > MAX_PIXELS:
            raise FrameError(
                f"{self._name}: a frame has {frame.width} x {frame.height} pixels, the limit is {MAX_PIXELS:,}; "
                "save it smaller"
            )
        height, width = display_size(frame, self._stream, self._orientation)
        if self._min_size is not None:
            scale = max(self._min_size[0] / height, self._min_size[1] / width)
            if scale < 1:
                scale = 1 / math.floor(1 / scale) if scale <= 0.5 else scale  # averages of whole blocks of pixels
                height = max(self._min_size[0], math.floor(height * scale + 0.5))
                width = max(self._min_size[1], math.floor(width * scale + 0.5))
        return (width, height) if self._orientation.swap else (height, width)

    def _build(self, frame: av.VideoFrame, height: int, width: int, target: str) -> None:
        """A filter graph of one scaler with explicit options: the defaults of PyAV's own scaler differ by version."""
        same = (frame.height, frame.width) == (height, width)
        # Area averaging shrinks without aliasing, like the resizing that follows; by default it rounds down.
        options = f"{width}:{height}:flags=" + ("bicubic" if same else "area+accurate_rnd")
        if not frame.format.is_rgb:
            matrix, full = _colours(frame)
            options += f":in_color_matrix={matrix}:in_range={'pc' if full else 'tv'}:out_range=pc"
        self._graph = graph = av.filter.Graph()
        entry = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._stream.time_base
        )
        graph.link_nodes(entry, graph.add("scale", options), graph.add("format", target), graph.add("buffersink"))
        graph.configure()


def _colours(frame: av.VideoFrame) -> tuple[str, bool]:
    """The name of a frame's colour matrix, and whether its range is full."""
    # Where the file names no matrix, it is guessed as players do.
    guess = "bt709" if frame.width >= 1280 or frame.height > 576 else "bt601"
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    return _MATRICES.get(int(frame.colorspace), guess), full


def _rgb_matrix(name: str, full: bool) -> NDArray[np.float32] | None:
    """(3, 4): what 8-bit luma and colour differences, and 1, are multiplied by to become RGB (ITU-T H.273, 8.3)."""
    if name not in _WEIGHTS:
        return None
    red, blue = _WEIGHTS[name]
    green = 1 - red - blue
    differences = np.array([
        [0, 2 * (1 - red)],
        [-2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
        [2 * (1 - blue), 0],
    ])  # fmt: skip
    scaled = np.hstack([np.full((3, 1), 1.0 if full else 255 / 219), differences * (1.0 if full else 255 / 224)])
    zero = np.array([0.0 if full else 16.0, 128.0, 128.0])
    return np.hstack([scaled, -(scaled @ zero)[:, None]]).astype(np.float32)


def _reduce(frame: av.VideoFrame, size: tuple[int, int], matrix: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A frame of planes of 8 bits at a smaller (height, width): planes are scaled first, a quarter of FFmpeg's time."""
    planes = []
    for plane in frame.planes:
        stored = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width]
        how = cv2.INTER_AREA if size[0] < plane.height else cv2.INTER_LINEAR
        same = stored.shape == size
        planes.append(stored if same else cv2.resize(stored, size[::-1], interpolation=how))
    return np.asarray(cv2.transform(cv2.merge(planes), matrix), np.uint8)


def to_standard_range(pixels: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """Convert BT.2100 pixels (high dynamic range) to what an SDR screen would show.

    Decodes (BT.2100), converts BT.2020 to BT.709 primaries (BT.2407, clipped), compresses highlights by an extended
    Reinhard curve above a knee on the largest channel, which keeps hues, and encodes as sRGB. FFmpeg's own way
    (zscale) is missing from PyAV's builds, and in NumPy the pixels are the same on every machine.

    Args:
        pixels: `(H, W, 3) uint16` RGB, full range.
        transfer: `PQ` or `HLG`.

    Returns:
        `(H, W, 3) uint8` RGB.
    """
    light = _decoding(transfer)[pixels]
    if transfer == HLG:
        # The display's part of the system gamma, 1.2 at 1000 cd/m2.
        luma = np.maximum(light @ _BT2020_LUMA, 1e-6)
        light *= (luma**0.2)[..., None] * (PEAK_NITS / WHITE_NITS)
    light = np.clip(light @ _BT2020_TO_BT709.T, 0, PEAK_NITS / WHITE_NITS).astype(np.float32)
    brightest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    # Identity below the knee, then smoothly up to 1 at the peak.
    room = 1 - _KNEE
    peak = (PEAK_NITS / WHITE_NITS - _KNEE) / room
    over = np.maximum(brightest - _KNEE, 0) / room
    light *= (np.minimum(brightest, _KNEE) + room * over * (1 + over / peak**2) / (1 + over)) / brightest
    codes: NDArray[np.uint8] = _CODES[np.clip(light * 4095 + 0.5, 0, 4095).astype(np.uint16)]
    return codes


@cache
def _decoding(transfer: int) -> NDArray[np.float32]:
    """`(65536,)`: light of each code; 1 is diffuse white for PQ, and the scene's peak for HLG."""
    code = np.arange(65536) / 65535
    if transfer == PQ:
        power = code ** (32 / 2523)
        nits = 10000 * (np.maximum(power - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * power)) ** (16384 / 2610)
        return (nits / WHITE_NITS).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)
