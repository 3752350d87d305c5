"""Encode a rendered recording as a phone would: H.264 at the size, frame rate and quality of a film.

The recording is a folder that `python -m flipdetect.synth --recording DIR` wrote. Pictures are enlarged to the film's
size; where the film has more frames a second than the recording, each is shown several times. Times of the film are
those of the recording, so its events.csv and truth.csv hold for the film.

With --variable, frames are spaced unevenly, as phones do in poor light: 1 to 2 times the usual distance.

Examples:
    python -m flipdetect.synth --recording books/a --seconds 180 --turns 40 --height 480 --fps 15
    python scripts/film_recording.py --recording books/a --output films/a.mp4
    python scripts/film_recording.py --recording books/b --output films/b.mp4 --size 720 1280 --fps 24
"""

from __future__ import annotations

import argparse
import csv
import logging
import sys
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import DataError, FlipdetectError

logger = logging.getLogger("flipdetect")

TIME_BASE = Fraction(1, 90_000)
KEY_FRAME_S = 1.0
"""Phones set a key frame about every second."""


def main(args: Sequence[str] | None = None) -> int:
    """Encode as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recording", type=Path, required=True, help="folder with frames/ and truth.csv")
    parser.add_argument("--output", type=Path, required=True, help="the film, such as films/a.mp4")
    parser.add_argument("--size", type=int, nargs=2, default=(1080, 1920), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--fps", type=float, default=30.0, help="frames per second (default: %(default)s)")
    parser.add_argument("--crf", type=int, default=23, help="x264's quality, 0 best to 51 (default: %(default)s)")
    parser.add_argument("--variable", action="store_true", help="space the frames unevenly")
    parser.add_argument("--seed", type=int, default=0, help="of the uneven spacing")
    options = parser.parse_args(args)
    if min(options.size) < 16 or any(side % 2 for side in options.size):
        parser.error(f"--size is {options.size[0]} x {options.size[1]}; give even numbers from 16")
    if not 0 < options.fps <= 240:
        parser.error(f"--fps is {options.fps}; give more than 0 and at most 240")
    try:
        _film(options)
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    return 0


def _film(options: argparse.Namespace) -> None:
    import av
    import cv2

    from flipdetect.atomic import replacing
    from flipdetect.progress import progress_bar
    from flipdetect.sources.image import decode_frame

    moments = _moments(options.recording / "truth.csv")
    times = _times(moments[-1][0] + (moments[-1][0] - moments[0][0]) / max(1, len(moments) - 1), options)
    width, height = options.size
    with replacing(options.output) as part, av.open(str(part), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(options.fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = TIME_BASE
        gop = max(1, round(options.fps * KEY_FRAME_S))
        stream.options = {"crf": str(options.crf), "preset": "veryfast", "g": str(gop)}
        held: tuple[Path | None, Any] = (None, None)
        for time_s in progress_bar(times, desc=options.output.name, unit="frame"):
            path = options.recording / _shown(moments, time_s)
            if held[0] != path:
                picture = cv2.resize(decode_frame(path), (width, height), interpolation=cv2.INTER_CUBIC)
                held = (path, picture)
            frame = av.VideoFrame.from_ndarray(held[1], format="rgb24")
            frame.pts, frame.time_base = round(time_s / TIME_BASE), TIME_BASE
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _moments(table: Path) -> list[tuple[float, str]]:
    """Second and file of each frame of the recording, in order."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            found = sorted((float(row["time_s"]), row["path"]) for row in csv.DictReader(file))
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{table} is no table of a rendered recording: {error}") from error
    if len(found) < 2:
        raise DataError(f"{table} holds {len(found)} frames; render a recording first")
    return found


def _times(end_s: float, options: argparse.Namespace) -> list[float]:
    """Seconds at which the film has frames."""
    import numpy as np

    step = 1 / options.fps
    if not options.variable:
        return [place * step for place in range(int(end_s / step))]
    gaps = step * np.random.default_rng(options.seed).uniform(1.0, 2.0, int(end_s / step) + 1)
    return [float(time) for time in np.concatenate([[0.0], np.cumsum(gaps)]) if time < end_s]


def _shown(moments: list[tuple[float, str]], time_s: float) -> str:
    """The file of the last picture taken by then."""
    place = bisect_right(moments, (time_s + 1e-6, "\U0010ffff")) - 1
    return moments[max(0, place)][1]


if __name__ == "__main__":
    sys.exit(main())
