"""Training augmentation: albumentations listed in YAML, with a separate random stream for every frame and epoch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

# Otherwise albumentations looks for newer versions on a package index when it is imported.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations

from flipdetect.errors import ConfigError

Transform: TypeAlias = albumentations.BasicTransform | albumentations.BaseCompose


class Augmentation:
    """A chain of albumentations transforms on uint8 frames at input size.

    The random numbers of a call depend on its seed alone, not on the worker process or on earlier calls: a resumed
    training sees the frames that an uninterrupted one would have seen.

    Attributes:
        chain: the transforms as one.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.chain = albumentations.Compose(list(transforms))

    def __call__(self, frame: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
        """(H, W, C) uint8 -> the same shape and type.

        Raises:
            ConfigError: if the chain changes the shape or type, as a crop without a resize does.
        """
        self.chain.set_random_seed(seed)
        return self._checked(frame, self.chain(image=frame)["image"])

    def with_mask(
        self, frame: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], seed: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """A frame (H, W, C) uint8, augmented as without a mask, and its mask (H, W, 3) uint8, transformed alike.

        Only geometric transforms change the mask; beyond the border it continues as the frame does. What is painted
        over the frame (`CoarseDropout`) is not painted over the mask, unless that transform sets `fill_mask`.

        Raises:
            ConfigError: if the chain changes the shape or type, as a crop without a resize does.
        """
        self.chain.set_random_seed(seed)
        result = self.chain(image=frame, mask=mask)
        return self._checked(frame, result["image"]), self._checked(mask, result["mask"])

    @staticmethod
    def _checked(frame: npt.NDArray[np.uint8], result: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if result.ndim == 2:
            result = result[:, :, None]  # some transforms drop the last axis of a grey frame
        if result.shape != frame.shape or result.dtype != np.uint8:
            raise ConfigError(
                f"data.augment turned a frame of shape {frame.shape}, uint8, into {result.shape}, {result.dtype}; "
                "its transforms must keep size and type (end a crop with a resize to the input size, leave "
                "normalisation and ToTensorV2 out: data.preprocess does that)"
            )
        return result
