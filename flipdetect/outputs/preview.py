"""A small annotated copy of a film that shows what was found, to check it before the results are used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from flipdetect.atomic import writing
from flipdetect.errors import ConfigError, DataError
from flipdetect.outputs.tables import clock
from flipdetect.records import VideoResult

HEIGHTS = {".mp4": 480, ".gif": 320}
"""Suffix -> largest height of the film in pixels; a margin around it and a strip below it are added."""
MP4_RATE_HZ, GIF_RATE_HZ = 10.0, 4.0
GIF_FRAMES = 300
"""A GIF is held in memory until it is complete, and takes some 10 MB with so many frames."""

TURN, GROUND = (213, 94, 0), (16, 18, 20)
BAR, TRACK = (86, 180, 233), (70, 74, 78)
PAPER = (255, 255, 255)
LONGEST_S = 60.0
"""A frame is shown no longer than this: stamps may leap by hours, which neither format can hold."""
CLOCK_RATE = 90_000  # ticks per second of an MP4's time stamps
CRF = "26"


def preview_rate(path: Path, duration_s: float) -> float:
    """Frames per second of a preview; fewer for a GIF of a long film, as its number of frames is limited.

    Raises:
        ConfigError: if the suffix is not .mp4 or .gif.
    """
    if path.suffix.lower() not in HEIGHTS:
        raise ConfigError(f"a preview is written as .mp4 or .gif, got {path.name!r}")
    if path.suffix.lower() == ".mp4":
        return MP4_RATE_HZ
    return min(GIF_RATE_HZ, (GIF_FRAMES - 1) / max(1.0, duration_s))


def write_preview(path: Path, frames: Iterable[tuple[float, NDArray[np.uint8]]], result: VideoResult) -> None:
    """Write frames with a bar of the probability, time and number of the turn below them, and a border during turns.

    Nothing covers the film. Frames keep their times, but for pauses of more than a minute. Where the size changes,
    frames are fitted into the first one's. An MP4 (H.264) goes to the disk as it is made. Heights are limited by
    `HEIGHTS`.

    Args:
        frames: seconds and (H, W, 3) uint8 RGB, at most `preview_rate` per second.

    Raises:
        ConfigError: if the suffix is another one, or the encoder is missing.
        DataError: if the file cannot be written, there is no frame, or a GIF would get more than `GIF_FRAMES`.
    """
    rate = preview_rate(path, result.duration_s)
    annotated = _annotate(frames, result, HEIGHTS[path.suffix.lower()])
    with writing(path) as part:
        first = next(annotated, None)
        if first is None:
            raise DataError(f"{path}: there is no frame to show in the preview")
        (_write_mp4 if path.suffix.lower() == ".mp4" else _write_gif)(part, chain([first], annotated), rate)


def _annotate(
    frames: Iterable[tuple[float, NDArray[np.uint8]]], result: VideoResult, highest: int
) -> Iterator[tuple[float, Image.Image]]:
    scored = [score for score in result.scores if score.probability is not None]
    times = np.array([score.time_s for score in scored])
    values = np.array([score.probability for score in scored])
    first: tuple[int, int] | None = None
    shown_s, last_s = 0.0, 0.0
    for time_s, frame in frames:
        picture = Image.fromarray(np.ascontiguousarray(frame))
        scale = min(highest / picture.height, 1.0)
        # H.264 stores colour at half size: both sides are even.
        size = (max(round(picture.width * scale / 2) * 2, 2), max(round(picture.height * scale / 2) * 2, 2))
        if picture.size != size:
            picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
        if first is None:
            first, last_s = size, time_s
        elif size != first:
            picture = ImageOps.pad(picture, first)
        shown_s, last_s = shown_s + min(time_s - last_s, LONGEST_S), time_s
        probability = float(np.interp(time_s, times, values)) if len(times) else None
        turning = any(event.start_s <= time_s <= event.end_s for event in result.events)
        turns = sum(event.start_s <= time_s for event in result.events)
        # The margin and the strip below: all lengths follow the picture's size, and are even.
        unit = min(picture.size)
        border, pad, bar = max(unit // 96 * 2, 4), max(unit // 80 * 2, 4), max(unit // 64 * 2, 6)
        font: Any = ImageFont.load_default(max(unit / 17, 11))
        strip = bar + 3 * pad + round(font.size * 0.625) * 2
        width, height = picture.width + 2 * border, picture.height + 2 * border + strip
        framed = Image.new("RGB", (width, height), GROUND)
        draw = ImageDraw.Draw(framed)
        if turning:
            draw.rectangle((0, 0, width - 1, height - strip - 1), fill=TURN)
        framed.paste(picture, (border, border))
        left, base = border + pad, height - 2 * pad - 1
        right = max(width - border - pad - 1, left)  # of very narrow pictures
        draw.rectangle((left, base - bar, right, base), fill=TRACK)
        if probability is not None:
            end = left + round(min(max(probability, 0.0), 1.0) * (right - left))
            draw.rectangle((left, base - bar, end, base), fill=TURN if turning else BAR)
        line = base - bar - pad // 2
        draw.text((left, line), clock(time_s, 1), font=font, fill=PAPER, anchor="ld")
        words = f"turn {turns}" if turning else f"{turns} turn" + ("" if turns == 1 else "s")
        draw.text((right, line), words, font=font, fill=(255, 178, 102) if turning else PAPER, anchor="rd")
        yield shown_s, framed


def _write_mp4(path: Path, frames: Iterable[tuple[float, Image.Image]], rate: float) -> None:
    av: Any = import_module("av")
    # Without bitexact the file would name the library that wrote it, and its release.
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        try:
            stream: Any = container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
        except (ValueError, av.FFmpegError) as error:
            raise ConfigError("this build of PyAV has no libx264; write a .gif, or install PyAV from PyPI") from error
        stream.pix_fmt = "yuv420p"
        # Without it, x264's code for this processor gives another file each time (in its macroblock tree).
        stream.options = {"crf": CRF, "preset": "veryfast", "x264-params": "cpu-independent=1"}
        stream.codec_context.time_base = Fraction(1, CLOCK_RATE)
        stream.codec_context.thread_count = 1
        last = -1
        for time_s, picture in frames:
            if last < 0:
                stream.width, stream.height = picture.size
            frame = av.VideoFrame.from_image(picture)
            frame.time_base = Fraction(1, CLOCK_RATE)
            last = frame.pts = max(round(time_s * CLOCK_RATE), last + 1)
            frame.duration = max(round(CLOCK_RATE / rate), 1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _write_gif(path: Path, frames: Iterable[tuple[float, Image.Image]], rate: float) -> None:
    pictures: list[Image.Image] = []
    times: list[float] = []
    for time_s, picture in frames:
        if len(pictures) == GIF_FRAMES:
            raise DataError(f"a GIF holds {GIF_FRAMES} frames at most; write an .mp4, or take fewer frames")
        pictures.append(picture.quantize(128, dither=Image.Dither.NONE))
        times.append(time_s)
    ends = [*times[1:], times[-1] + 1 / rate]
    # Viewers take times in hundredths of a second, and slow down what is shorter than two of them.
    lengths = [max(round((end - start) * 100) * 10, 20) for start, end in zip(times, ends, strict=True)]
    pictures[0].save(
        path, format="GIF", save_all=True, append_images=pictures[1:], duration=lengths, loop=0, disposal=1
    )
