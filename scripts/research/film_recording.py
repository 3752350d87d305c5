"""Encode a rendered recording as H.264, as a phone would: the three films of docs/research/video.md.

Times of the film are those of the recording, so its events.csv and truth.csv hold for the film. With --variable, frames
are 1 to 2 times the usual distance apart, as phones record in poor light.

    flipdetect render --recording books/a --seconds 180 --turns 40 --height 480 --fps 12
    python scripts/research/film_recording.py --recording books/a --output films/a.mp4
    python scripts/research/film_recording.py --recording books/b --output films/b.mp4 --size 720 1280 --fps 24
"""

import csv
from bisect import bisect_right
from fractions import Fraction
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


def main(
    recording: Annotated[Path, Option(help="Folder with frames/ and truth.csv.")],
    output: Annotated[Path, Option(help="The film, such as films/a.mp4.")],
    size: Annotated[tuple[int, int], Option(help="Width and height.")] = (1080, 1920),
    fps: float = 30.0,
    crf: Annotated[int, Option(help="x264's quality, 0 best to 51.")] = 23,
    variable: Annotated[bool, Option("--variable", help="Space the frames unevenly.")] = False,
) -> None:
    """Encode a rendered recording as H.264."""
    with (recording / "truth.csv").open(encoding="utf-8", newline="") as file:
        pictures = sorted((float(row["time_s"]), row["path"]) for row in csv.DictReader(file))
    seconds = [second for second, _ in pictures]
    end_s = seconds[-1] + (seconds[-1] - seconds[0]) / (len(seconds) - 1)
    gaps = np.full(int(end_s * fps), 1 / fps)
    if variable:
        gaps *= np.random.default_rng(0).uniform(1.0, 2.0, len(gaps))
    times = [time for time in np.concatenate([[0.0], np.cumsum(gaps)]).tolist() if time < end_s - 1e-6]
    with replacing(output) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = size
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", TIME_BASE
        # Phones set a key frame about every second.
        stream.options = {"crf": str(crf), "preset": "veryfast", "g": str(max(1, round(fps)))}
        shown, picture = -1, None
        for time_s in progress_bar(times, desc=output.name, unit="frame"):
            place = max(0, bisect_right(seconds, time_s + 1e-6) - 1)
            if place != shown:
                picture = decode_frame(recording / pictures[place][1])
                picture = cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)
                shown = place
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time_s / TIME_BASE), TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    typer.run(main)
