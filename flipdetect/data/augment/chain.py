"""Augmentation: albumentations, listed in YAML, with a separate random stream for every frame and epoch."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence

# Otherwise albumentations looks for newer versions on a package index when it is imported.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations
import numpy as np
import numpy.typing as npt

from flipdetect.data.augment.fused_warp import Transform, fuse_warps
from flipdetect.errors import ConfigError


def draw_from(chain: albumentations.Compose, seed: int) -> None:
    """Let the transforms of a chain draw from one stream.

    `chain.set_random_seed` would give each of them the same numbers: all would be applied, or none.
    """
    chain.set_random_state(np.random.default_rng(seed), random.Random(seed))  # nosec B311: no secret is drawn


class Augmentation:
    """A chain of albumentations transforms on uint8 frames at input size.

    The random numbers of a call depend on its seed alone, not on the worker process or on earlier calls: a resumed
    training sees the frames that an uninterrupted one would have seen.
    """

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)
        self.chain = albumentations.Compose(fuse_warps(self.transforms))

    def check(self, shape: tuple[int, int, int]) -> None:
        """Apply every transform once to a frame of a shape (H, W, C), also those that are seldom applied.

        Raises:
            ConfigError: if one cannot be applied, such as a crop that is larger than the frame.
        """
        frame = np.zeros(shape, np.uint8)
        for transform in self.transforms:
            try:
                frame = transform(force_apply=True, image=frame)["image"]
            except Exception as error:
                raise ConfigError(
                    f"data.augment {type(transform).__name__} cannot be applied to frames of shape {shape}: "
                    f"{' '.join(str(error).split())}; change it, or data.preprocess"
                ) from error

    def __call__(
        self, frame: npt.NDArray[np.uint8], seed: int, mask: npt.NDArray[np.uint8] | None = None
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """A frame (H, W, C) uint8, and its mask (H, W, 3) uint8 if it has one, moved alike; shapes and types stay.

        Only geometric transforms change the mask; beyond the border it continues as the frame does. What is painted
        over the frame (`CoarseDropout`) is not painted over the mask, unless that transform sets `fill_mask`.

        Raises:
            ConfigError: if the chain changes the shape or type, as a crop without a resize does.
        """
        draw_from(self.chain, seed)
        result = self.chain(image=frame) if mask is None else self.chain(image=frame, mask=mask)
        return self.kept(result["image"], frame), result.get("mask")

    @staticmethod
    def kept(changed: npt.NDArray[np.uint8], frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """An augmented frame; a `ConfigError` if its shape or type are not those of the frame before."""
        if changed.ndim == 2:
            changed = changed[:, :, None]  # some transforms drop the last axis of a grey frame
        if changed.shape != frame.shape or changed.dtype != np.uint8:
            raise ConfigError(
                f"data.augment turned a frame of shape {frame.shape}, uint8, into {changed.shape}, {changed.dtype}; "
                "its transforms must keep size and type (end a crop with a resize to the input size, leave "
                "normalisation and ToTensorV2 out: data.preprocess does that)"
            )
        return changed
