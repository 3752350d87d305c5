"""Small videos whose frames say their number."""

import os
import threading
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np

from flipdetect.sources.video import open_video

SIZE = (48, 64)
BITS = 8


def numbered(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A picture that says its number: black and white bars, one for each bit, the lowest first."""
    image = np.zeros((*size, 3), np.uint8)
    for bit in range(BITS):
        image[:, bit * size[1] // BITS : (bit + 1) * size[1] // BITS] = 255 * (number >> bit & 1)
    return image


def number_of(image: np.ndarray) -> int:
    bars = image[image.shape[0] // 2, image.shape[1] // BITS // 2 :: image.shape[1] // BITS, 0]
    return sum(1 << bit for bit in range(BITS) if bars[bit] > 127)


def write(
    path: Path,
    images,
    *,
    rate=25,
    codec="libx264",
    pix_fmt="yuv420p",
    stamps=None,
    unit=1000,
    options=None,
    container_format=None,
    sound_s=0.0,
    setup=lambda stream: None,
    container_options=None,
) -> Path:
    """A video of RGB pictures; stamps in 1/unit s."""
    images = iter(images)
    first = next(images)
    images = chain([first], images)
    stamped = (
        ((round(number * unit / rate), image) for number, image in enumerate(images))
        if stamps is None
        else zip(stamps, images, strict=True)
    )
    with av.open(str(path), "w", format=container_format, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = Fraction(1, unit)
        stream.options = options or ({"preset": "ultrafast", "g": "12"} if codec == "libx264" else {})
        setup(stream)
        sound = container.add_stream("aac", rate=8000, layout="mono") if sound_s else None
        for stamp, image in stamped:
            frame = av.VideoFrame.from_ndarray(image, format="rgba" if image.shape[2] == 4 else "rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, unit)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            add_sound(container, sound, sound_s)
    return path


def add_sound(container, stream, seconds):
    for start in range(0, int(8000 * seconds), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


B_FRAMES = {"preset": "ultrafast", "bf": "3", "g": "30", "x264-params": "b-adapt=0:scenecut=0"}


def read(path, **options):
    with open_video(path, **options) as video:
        return list(video)


def decoders() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("decode ")]


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208
