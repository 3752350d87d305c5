"""The timeline of a video as a PNG file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.outputs.curve import probability_curve
from flipdetect.outputs.writing import writing
from flipdetect.records import FrameScore, VideoResult


def draw_timeline(
    path: Path,
    result: VideoResult,
    scores: Sequence[FrameScore],
    thumbnails: Mapping[int, NDArray[np.uint8]] | None = None,
) -> None:
    """Draw one video: probability over time, turns shaded and numbered, the chosen frames above at their times.

    The picture is 2100 pixels wide; long videos and many spreads get more rows, 30 at most. Flawed stills have a
    frame, a sign and a note; those that repeat an earlier spread are paler.

    Args:
        path: the PNG file.
        result: what was found in the video.
        scores: of its frames, in any order.
        thumbnails: spread -> (H, W, 3) uint8 RGB of any size; None marks spreads by numbers instead.

    Raises:
        DataError: if the file cannot be written.
    """
    from flipdetect.outputs.plots.canvas import figure_to_array
    from flipdetect.outputs.plots.timeline import plot_timeline

    picture = Image.fromarray(figure_to_array(plot_timeline(result, probability_curve(scores, result), thumbnails)))
    with writing(path) as part:
        # Not optimised: that takes longer than all the drawing, and saves little on photographs.
        picture.save(part, format="PNG")
