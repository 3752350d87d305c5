"""Encode a rendered recording as H.264, as a phone would: the three films of docs/research/video.md.

Times of the film are those of the recording, so its events.csv and truth.csv hold for the film. With --variable, frames
are 1 to 2 times the usual distance apart, as phones record in poor light. With --blend, --noise and --bitrate, a film
costs a decoder what one of a phone does: `scripts/benchmark.py films`.

    flipdetect render --recording books/a --seconds 180 --turns 40 --height 480 --fps 12
    python scripts/research/film_recording.py --recording books/a --output films/a.mp4
    python scripts/research/film_recording.py --recording books/b --output films/b.mp4 --size 720 1280 --fps 24
"""

import csv
from bisect import bisect_right
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import av
import cv2
import numpy as np
import typer
from typer import Option

from flipdetect.atomic import replacing
from flipdetect.progress import progress_bar
from flipdetect.sources.image import decode_frame

TIME_BASE = Fraction(1, 90_000)
SPARE = 64


def main(
    recording: Annotated[Path, Option(help="Folder with frames/ and truth.csv.")],
    output: Annotated[Path, Option(help="The film, such as films/a.mp4.")],
    size: Annotated[tuple[int, int], Option(help="Width and height.")] = (1080, 1920),
    fps: float = 30.0,
    crf: Annotated[int, Option(help="x264's quality, 0 best to 51.")] = 23,
    variable: Annotated[bool, Option("--variable", help="Space the frames unevenly.")] = False,
    seconds: Annotated[float, Option(help="Length of the film at most.")] = 1e9,
    key_every: Annotated[float, Option(help="Seconds between key frames; phones set one about every second.")] = 1.0,
    noise: Annotated[float, Option(help="Standard deviation of the sensor's noise, of 255.")] = 0.0,
    bitrate: Annotated[float, Option(help="Mbit/s, instead of --crf.")] = 0.0,
    codec: Annotated[str, Option(help="libx264 or libx265.")] = "libx264",
    blend: Annotated[bool, Option("--blend", help="Blend neighbouring pictures instead of repeating one.")] = False,
) -> None:
    """Encode a rendered recording as H.264, or HEVC."""
    with (recording / "truth.csv").open(encoding="utf-8", newline="") as file:
        pictures = sorted((float(row["time_s"]), row["path"]) for row in csv.DictReader(file))
    starts = [second for second, _ in pictures]
    end_s = min(starts[-1] + (starts[-1] - starts[0]) / (len(starts) - 1), seconds)
    gaps = np.full(int(end_s * fps), 1 / fps)
    if variable:
        gaps *= np.random.default_rng(0).uniform(1.0, 2.0, len(gaps))
    times = [time for time in np.concatenate([[0.0], np.cumsum(gaps)]).tolist() if time < end_s - 1e-6]
    with replacing(output) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = size
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TIME_BASE
        group = str(max(1, round(fps * key_every)))
        stream.options = {"preset": "veryfast" if codec == "libx264" else "ultrafast", "g": group}
        if bitrate:  # constant, and without B-frames, as phones do
            stream.bit_rate = round(bitrate * 1e6)
            stream.options |= {"maxrate": f"{1.2 * bitrate}M", "bufsize": f"{2 * bitrate}M", "bf": "0"}
            stream.options |= (
                {"sc_threshold": "0"} if codec == "libx264" else {"x265-params": "scenecut=0:log-level=none"}
            )
        else:
            stream.options |= {"crf": str(crf)}

        @lru_cache(maxsize=2)
        def picture(place: int) -> np.ndarray:
            read = cv2.resize(decode_frame(recording / pictures[place][1]), size, interpolation=cv2.INTER_CUBIC)
            return cv2.cvtColor(read, cv2.COLOR_RGB2YUV_I420)

        rng = np.random.default_rng(0)
        # Larger than a frame: each gets another part of it.
        grain = rng.normal(0, noise, (size[1] + SPARE, size[0] + SPARE)).astype(np.int16) if noise else None
        for time_s in progress_bar(times, desc=output.name, unit="frame"):
            place = max(0, bisect_right(starts, time_s + 1e-6) - 1)
            pixels = picture(place)
            if blend and place + 1 < len(starts):
                share = (time_s - starts[place]) / (starts[place + 1] - starts[place])
                pixels = cv2.addWeighted(pixels, 1 - share, picture(place + 1), share, 0)
            if grain is not None:
                down, right = rng.integers(SPARE, size=2)
                luma = pixels[: size[1]] + grain[down : down + size[1], right : right + size[0]]
                pixels = np.vstack([np.clip(luma, 0, 255).astype(np.uint8), pixels[size[1] :]])
            frame = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
            frame.pts, frame.time_base = round(time_s / TIME_BASE), TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    typer.run(main)
