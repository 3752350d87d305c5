"""A decoded frame to upright RGB pixels: scaled, turned, with square pixels and in standard dynamic range."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import av.filter
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.errors import ConfigError, FrameError
from flipdetect.sources.image import MAX_PIXELS
from flipdetect.sources.video.tone import HLG, PQ, to_standard_range

# Matrix coefficients as H.273 numbers them, by the name that FFmpeg's scale filter gives them.
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_FULL_RANGE = 2
# Beyond this a pixel aspect ratio is an accident.
_MAX_STRETCH = 4


@dataclass(frozen=True, slots=True)
class Turn:
    """One of the eight ways to lay a picture: swap its axes, then mirror it left-right, then top-bottom."""

    swap: bool = False
    mirror: bool = False
    flip: bool = False

    @property
    def degrees(self) -> int:
        """Degrees counter-clockwise: 0, 90, 180 or 270; mirrored pictures have that of their first axis."""
        if self.swap:
            return 90 if self.flip else 270
        return 180 if self.mirror and self.flip else 0

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Turn `(H, W, C)` pixels; the result is contiguous."""
        if self.swap:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirror:
            pixels = pixels[:, ::-1]
        if self.flip:
            pixels = pixels[::-1]
        return np.ascontiguousarray(pixels)


def turn_by_matrix(matrix: NDArray[np.int32]) -> Turn:
    """The turn that a display matrix asks for, `(9,) int32` as in ISO/IEC 14496-12 (a b u c d v x y w).

    A stored pixel (p, q) is shown at (a p + c q, b p + d q). Other angles become the nearest quarter.
    """
    a, b, c, d = (int(matrix[place]) for place in (0, 1, 3, 4))
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(swap=True, mirror=c < 0, flip=b < 0)
    return Turn(mirror=a < 0, flip=d < 0)


def turn_of(frame: av.VideoFrame) -> Turn:
    """The turn that makes a frame upright."""
    # A PyAV frame whose side data was looked at refers to itself, and keeps its megabytes until the garbage
    # collector runs. A tiny copy has the same side data.
    attached: Any = frame.reformat(width=16, height=16, format="gray").side_data
    try:
        return turn_by_matrix(np.frombuffer(attached["DISPLAYMATRIX"], np.int32))
    except KeyError:
        return Turn()


def display_size(frame: av.VideoFrame, stream: av.VideoStream, turn: Turn) -> tuple[int, int]:
    """(height, width) of a frame upright and with square pixels: stretched, never shrunk, so that nothing is lost."""
    height, width = frame.height, frame.width
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    if aspect > 0 and Fraction(1, _MAX_STRETCH) <= aspect <= _MAX_STRETCH:
        width = round(width * max(aspect, Fraction(1)))
        height = round(height / min(aspect, Fraction(1)))
    return (width, height) if turn.swap else (height, width)


def check_request(min_size: tuple[int, int] | None, channels: int) -> None:
    """Refuse what cannot be delivered.

    Raises:
        ConfigError: if `min_size` or `channels` is impossible.
    """
    if channels not in (1, 3):
        raise ConfigError(f"a frame has 1 channel (grey) or 3 (RGB), not {channels}")
    if min_size is not None and min(min_size) < 1:
        raise ConfigError(f"min_size must be (height, width) of at least one pixel each, got {min_size}")


class Converter:
    """Turns the frames of one stream to pixels. Not safe to share between threads.

    The colour matrix and range are those the file names; one that names none is taken as players do: BT.709
    if it is larger than standard definition, else BT.601, limited range. Transparent pixels are laid on
    white, as `decode_frame` does. High dynamic range is brought down by `tone.to_standard_range`. Interlaced
    pictures stay as they are.
    """

    def __init__(self, name: str, stream: av.VideoStream, min_size: tuple[int, int] | None, channels: int) -> None:
        """Prepare; `name` is the file's for messages, `min_size` and `channels` are as in `open_video`."""
        self._name = name
        self._stream = stream
        self._min_size = min_size
        self._channels = channels
        self._transfer = int(stream.codec_context.color_trc)
        self._key: tuple[object, ...] = ()
        self._turn = Turn()
        self._entry: Any = None
        self._exit: Any = None
        self._graph: Any = None

    def pixels(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """`(H, W, channels) uint8` of a frame.

        Raises:
            FrameError: if the frame is larger than `MAX_PIXELS`.
            av.FFmpegError: if it cannot be converted.
        """
        high = self._transfer in (PQ, HLG)
        clear = any(component.is_alpha for component in frame.format.components)
        key = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range)
        if key != self._key:
            self._turn = turn_of(frame)
            self._build(frame, *self._stored_size(frame), "rgb48le" if high else "rgba" if clear else "rgb24")
            self._key = key
        self._entry.push(frame)
        raw: NDArray[Any] = self._exit.pull().to_ndarray()
        if high:
            raw = to_standard_range(raw, self._transfer)
        elif clear:
            alpha = raw[..., 3:].astype(np.uint16)
            raw = ((raw[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        upright = self._turn.apply(raw)
        if self._channels == 1:
            # The luma of decode_frame, so that a model of grey frames meets the same greys.
            upright = np.array(Image.fromarray(upright).convert("L"))[..., None]
        return upright

    def _stored_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(height, width) to scale the frame to before it is turned."""
        if frame.width * frame.height > MAX_PIXELS:
            raise FrameError(
                f"{self._name}: a frame has {frame.width} x {frame.height} pixels, the limit is {MAX_PIXELS:,}; "
                "save it smaller"
            )
        height, width = display_size(frame, self._stream, self._turn)
        if self._min_size is not None:
            scale = max(self._min_size[0] / height, self._min_size[1] / width)
            if scale < 1:
                height = max(self._min_size[0], math.floor(height * scale + 0.5))
                width = max(self._min_size[1], math.floor(width * scale + 0.5))
        return (width, height) if self._turn.swap else (height, width)

    def _build(self, frame: av.VideoFrame, height: int, width: int, target: str) -> None:
        """A filter graph of one scaler. The scaler is asked for each thing by name: PyAV's own differ by version."""
        same = (frame.height, frame.width) == (height, width)
        # Area averaging shrinks without jags, like the resizing that follows; it rounds down if not told otherwise.
        options = f"{width}:{height}:flags=" + ("bicubic" if same else "area+accurate_rnd")
        if not frame.format.is_rgb:
            full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
            options += f":in_color_matrix={_matrix(frame)}:in_range={'pc' if full else 'tv'}:out_range=pc"
        graph = av.filter.Graph()
        entry = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=self._stream.time_base
        )
        scale, form, leave = graph.add("scale", options), graph.add("format", target), graph.add("buffersink")
        entry.link_to(scale)
        scale.link_to(form)
        form.link_to(leave)
        graph.configure()
        self._graph, self._entry, self._exit = graph, entry, leave


def _matrix(frame: av.VideoFrame) -> str:
    """The name of the frame's colour matrix, guessed as players do where the file names none."""
    guess = "bt709" if frame.width >= 1280 or frame.height > 576 else "bt601"
    return _MATRICES.get(int(frame.colorspace), guess)
