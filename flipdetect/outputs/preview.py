"""A small annotated video that shows what was found, for a look before the results are used."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from flipdetect.atomic import writing
from flipdetect.errors import ConfigError, DataError
from flipdetect.outputs.still_files import check_picture
from flipdetect.outputs.text import clock

MAX_HEIGHT, GIF_HEIGHT = 480, 320
GIF_FRAMES = 300
"""Frames of a GIF, which must all be held in memory: 30 seconds at 10 frames per second, some 10 MB."""

TURN = (213, 94, 0)
BAR, TRACK = (86, 180, 233), (70, 74, 78)
PAPER = (255, 255, 255)
CLOCK_RATE = 90_000  # ticks per second of an MP4's time stamps
CRF = "26"


class PreviewWriter:
    """Writes frames to a preview: a coloured border while a page is turned, a bar of probability, time and counter.

    The file is written whole or not at all: if the `with` block ends in an exception, there is none. Frames keep
    their times; an MP4 (H.264) goes to the disk as it is made, a GIF is held in memory and is therefore limited to
    `GIF_FRAMES` frames. Pictures are reduced to a height of 480 pixels at most, in a GIF to 320.

    Args:
        path: `.mp4` or `.gif`.
        fps: frames per second, about; the last frame is shown for 1 / fps.
        size: (width, height) in pixels of the frames that will come.

    Raises:
        ConfigError: if the suffix names no such format, fps is not above 0, or the encoder is missing.
        DataError: if the file cannot be written, or the block ends without a frame.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        kinds: dict[str, type[_Mp4] | type[_Gif]] = {".mp4": _Mp4, ".gif": _Gif}
        kind = kinds.get(path.suffix.lower())
        if kind is None:
            raise ConfigError(f"a preview is written as .mp4 or .gif, got {path.name!r}")
        if not 0 < fps < 1000:
            raise ConfigError(f"a preview needs its frames per second, more than 0, got {fps}")
        if min(size) < 1:
            raise ValueError(f"a size of at least 1 pixel is needed, got {size}")
        self._encoder_type = kind
        self._path = path
        self._fps = fps
        self._size = size
        highest = GIF_HEIGHT if kind is _Gif else MAX_HEIGHT
        scale = min(highest / size[1], 1.0)
        # H.264 stores colour at half size: both sides are even.
        self.width, self.height = (max(round(side * scale / 2) * 2, 2) for side in size)
        self._painter = _Painter(self.width, self.height)
        self._stack = ExitStack()
        self._encoder: _Encoder | None = None
        self._frames = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            part = stack.enter_context(writing(self._path))
            self._encoder = self._encoder_type(part, self._fps, (self.width, self.height))
            stack.push(self._close)
            self._stack = stack.pop_all()
        return self

    def write(
        self,
        frame: NDArray[np.uint8],
        time_s: float,
        probability: float | None,
        turning: bool,
        event_number: int | None = None,
    ) -> None:
        """Append a frame.

        Args:
            frame: (H, W, 3) uint8 RGB of the size given.
            time_s: its second; does not go back.
            probability: 0 to 1; None leaves the bar empty.
            turning: whether a page is being turned.
            event_number: how many turns have begun so far; None leaves the counter out.

        Raises:
            DataError: if the disk is full, or a GIF would get more than `GIF_FRAMES` frames.
            ValueError: outside the `with` block, or if the frame is of another size.
        """
        if self._encoder is None:
            raise ValueError("a PreviewWriter writes only inside its with block")
        check_picture(frame)
        if (frame.shape[1], frame.shape[0]) != self._size:
            raise ValueError(f"a frame of {frame.shape[1]}x{frame.shape[0]} came, {self._size} was announced")
        picture = Image.fromarray(np.ascontiguousarray(frame))
        if picture.size != (self.width, self.height):
            picture = picture.resize((self.width, self.height), Image.Resampling.BILINEAR, reducing_gap=2.0)
        self._painter.paint(picture, time_s, probability, turning, event_number)
        self._encoder.add(picture, time_s)
        self._frames += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._stack.__exit__(kind, error, trace)

    def _close(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        encoder, self._encoder = self._encoder, None
        if encoder is None:
            return
        encoder.close(finish=kind is None and self._frames > 0)
        if kind is None and not self._frames:
            raise DataError(f"{self._path}: no frame came that a preview could show")


class _Painter:
    """Draws on a reduced picture; all lengths follow its height."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        unit = min(width, height)
        self._border = max(unit // 48, 3)
        self._pad = max(unit // 40, 4)
        self._bar = max(unit // 32, 5)
        self._font: Any = ImageFont.load_default(max(unit / 17, 11))

    def paint(
        self, picture: Image.Image, time_s: float, probability: float | None, turning: bool, number: int | None
    ) -> None:
        draw = ImageDraw.Draw(picture, "RGBA")
        top = self._height - self._bar - 3 * self._pad - round(self._font.size * 1.25)
        draw.rectangle((0, top, self._width, self._height), fill=(16, 18, 20, 190))
        left, right = self._border + self._pad, self._width - self._border - self._pad - 1
        base = self._height - self._border - self._pad - 1
        draw.rectangle((left, base - self._bar, right, base), fill=TRACK)
        if probability is not None:
            share = min(max(probability, 0.0), 1.0)
            draw.rectangle(
                (left, base - self._bar, left + round(share * (right - left)), base), fill=TURN if turning else BAR
            )
        line = base - self._bar - self._pad // 2
        draw.text((left, line), clock(time_s, 1), font=self._font, fill=PAPER, anchor="ld")
        if number is not None:
            word = f"turn {number}" if turning else _count(number)
            draw.text((right, line), word, font=self._font, fill=(255, 178, 102) if turning else PAPER, anchor="rd")
        if turning:
            draw.rectangle((0, 0, self._width - 1, self._height - 1), outline=TURN, width=self._border)


def _count(number: int) -> str:
    return f"{number} turn" + ("" if number == 1 else "s")


class _Encoder(Protocol):
    def add(self, picture: Image.Image, time_s: float) -> None: ...

    def close(self, *, finish: bool) -> None: ...


class _Mp4:
    """H.264 in an MP4 file with the frames' own times."""

    def __init__(self, path: Path, fps: float, size: tuple[int, int]) -> None:
        import av

        self._av: Any = av
        self._length = max(round(CLOCK_RATE / fps), 1)
        self._origin: float | None = None
        self._last = -1
        # Without bitexact the file would name the library that wrote it, and its release.
        self._container = av.open(
            str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}
        )
        try:
            self._stream: Any = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        except (ValueError, av.FFmpegError) as error:
            self._container.close()
            raise ConfigError("this build of PyAV has no libx264; write a .gif, or install PyAV from PyPI") from error
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": CRF, "preset": "veryfast"}
        self._stream.codec_context.time_base = Fraction(1, CLOCK_RATE)
        self._stream.codec_context.thread_count = 1

    def add(self, picture: Image.Image, time_s: float) -> None:
        self._origin = time_s if self._origin is None else self._origin
        frame = self._av.VideoFrame.from_image(picture)
        frame.time_base = Fraction(1, CLOCK_RATE)
        self._last = frame.pts = max(round((time_s - self._origin) * CLOCK_RATE), self._last + 1)
        frame.duration = self._length
        self._container.mux(self._stream.encode(frame))

    def close(self, *, finish: bool) -> None:
        try:
            if finish:
                self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()


class _Gif:
    """An animation that repeats for ever."""

    def __init__(self, path: Path, fps: float, _size: tuple[int, int]) -> None:
        self._path = path
        self._length_ms = 1000 / fps
        self._pictures: list[Image.Image] = []
        self._times: list[float] = []

    def add(self, picture: Image.Image, time_s: float) -> None:
        if len(self._pictures) == GIF_FRAMES:
            raise DataError(f"a GIF holds {GIF_FRAMES} frames at most; write an .mp4, or take fewer frames")
        self._pictures.append(picture.quantize(128, dither=Image.Dither.NONE))
        self._times.append(time_s)

    def close(self, *, finish: bool) -> None:
        pictures, self._pictures = self._pictures, []
        if not finish:
            return
        ends = [*self._times[1:], self._times[-1] + self._length_ms / 1000]
        # Viewers take times in hundredths of a second, and slow down what is shorter than two of them.
        lengths = [max(round((end - start) * 100) * 10, 20) for start, end in zip(self._times, ends, strict=True)]
        pictures[0].save(
            self._path, format="GIF", save_all=True, append_images=pictures[1:], duration=lengths, loop=0, disposal=1
        )
