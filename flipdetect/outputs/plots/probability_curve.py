"""A video's probabilities over time as a curve, with fewer points for drawing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flipdetect.records import FrameScore, VideoResult

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def probability_curve(scores: Sequence[FrameScore], result: VideoResult) -> Curve:
    """Times and probabilities of one video's frames, in order of time.

    Frames without a time are spread evenly over the video's length if none has one, and else left out.

    Args:
        scores: of frames of this video.
        result: of the video; its length is used where times are missing.

    Returns:
        Times in seconds and probabilities, both (N,) float64; a probability is NaN where a frame has none.
    """
    if scores and all(score.time_s is None for score in scores):
        times = np.linspace(0.0, result.duration_s, len(scores))
        timed = list(scores)
    else:
        timed = [score for score in scores if score.time_s is not None]
        times = np.array([score.time_s for score in timed], dtype=np.float64)
    values = np.array([np.nan if each.probability is None else each.probability for each in timed], dtype=np.float64)
    order = np.argsort(times, kind="stable")
    return times[order], values[order]


def time_range(result: VideoResult, times: NDArray[np.float64]) -> tuple[float, float]:
    """First and last second of what is to be drawn: frames, turns and stills; never of no length.

    Args:
        result: of the video.
        times: (N,) seconds of its frames, ascending; if there is none, the video's length counts from 0.
    """
    seen = [float(times[0]), float(times[-1])] if len(times) else [0.0, result.duration_s]
    seen += [time for event in result.events for time in (event.start_s, event.end_s)]
    seen += [still.time_s for still in result.stills if still.time_s is not None]
    start, end = min(seen), max(seen)
    return start, end if end > start else start + 1.0


def decimated(times: NDArray[np.float64], values: NDArray[np.float64], most: int) -> Curve:
    """At most about `most` points of a curve: of each stretch of time its first, lowest and highest value, and a gap.

    Args:
        times: (N,) seconds, ascending.
        values: (N,), NaN where there is none.
        most: points to keep.

    Returns:
        Times and values that were there before, (M,) each; all of them if N is no more than `most`.
    """
    if len(times) <= most:
        return times, values
    buckets = max(most // 4, 1)
    share = (times - times[0]) / max(times[-1] - times[0], 1e-9)
    ends = np.searchsorted(share, np.arange(1, buckets) / buckets)
    keep: set[int] = {0, len(times) - 1}
    for stretch in np.split(np.arange(len(times)), ends):
        if stretch.size:
            part = values[stretch]
            missing = np.isnan(part)
            keep.add(int(stretch[0]))
            if not missing.all():
                keep |= {int(stretch[np.nanargmin(part)]), int(stretch[np.nanargmax(part)])}
            if missing.any():
                keep.add(int(stretch[missing.argmax()]))
    kept = np.array(sorted(keep))
    return times[kept], values[kept]
