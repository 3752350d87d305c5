"""Which parts of a frame speak for a flip: how far the model's log-odds fall when each is covered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flipdetect.events.score_history import log_odds
from flipdetect.inference.model import Inputs, Model

CELLS = 9
"""Places along the longer side that are covered, one after the other."""
BATCH = 16


def occlusion_map(model: Model, inputs: Inputs) -> npt.NDArray[np.float32]:
    """Cover a part of the frame after the other with the mean colour (Zeiler and Fergus, ECCV 2014).

    A cover is twice as wide and high as a cell, so neighbours overlap.

    Args:
        inputs: a preprocessed frame, (C, H, W) float32.

    Returns:
        (h, w) float32 over the model's input: log-odds that are lost; negative where the part speaks against a flip.
    """
    _, height, width = inputs.shape
    cell = max(height, width) / CELLS
    rows, columns = max(1, round(height / cell)), max(1, round(width / cell))
    covered = np.repeat(inputs[np.newaxis], rows * columns, axis=0)
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        top, left = (row - 0.5) * height / rows, (column - 0.5) * width / columns
        bottom, right = top + 2 * height / rows, left + 2 * width / columns
        covered[place, :, max(0, round(top)) : round(bottom), max(0, round(left)) : round(right)] = 0
    frames = np.concatenate([inputs[np.newaxis], covered])
    odds = np.concatenate(
        [log_odds(model.probabilities(frames[first : first + BATCH])) for first in range(0, len(frames), BATCH)]
    )
    return np.asarray(odds[0] - odds[1:], np.float32).reshape(rows, columns)
