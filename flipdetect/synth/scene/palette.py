"""Colours: display values to linear light and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def linear(colour: NDArray[np.generic] | tuple[float, float, float]) -> NDArray[np.float32]:
    """Linear light (float32, 0 to 1) of display colours (0 to 255), by the usual exponent 2.2."""
    return np.asarray((np.asarray(colour, np.float32) / 255) ** np.float32(2.2), np.float32)
