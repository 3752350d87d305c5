"""The timeline of a video as a PNG image."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.records import VideoResult


def draw_timeline(result: VideoResult, thumbnails: Mapping[int, NDArray[np.uint8]] | None = None) -> bytes:
    """Draw one video: probability over time, turns shaded and numbered, the chosen frames above at their times.

    The image is 2100 pixels wide; long videos and many spreads get more rows, 30 at most. Flawed stills have a frame, a
    sign and a note; those that repeat an earlier spread are paler.

    Args:
        result: of the video, with its scores.
        thumbnails: spread -> (H, W, 3) uint8 RGB of any size; None marks spreads by numbers instead.

    Returns:
        A PNG file.
    """
    from flipdetect.outputs.plots.canvas import figure_to_array
    from flipdetect.outputs.plots.probability_curve import probability_curve
    from flipdetect.outputs.plots.video_timeline import plot_timeline

    curve = probability_curve(result.scores, result)
    buffer = io.BytesIO()
    # Not optimised: that takes longer than the drawing, and saves little on photographs.
    Image.fromarray(figure_to_array(plot_timeline(result, curve, thumbnails))).save(buffer, format="PNG")
    return buffer.getvalue()
