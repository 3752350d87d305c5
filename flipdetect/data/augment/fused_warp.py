"""Flips, an affine and a perspective transform in a row as one warp: faster, and interpolated once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, TypeAlias

import albumentations
import cv2
import numpy as np
import numpy.typing as npt

Transform: TypeAlias = albumentations.BasicTransform | albumentations.BaseCompose
Image = npt.NDArray[np.uint8]
Matrix = npt.NDArray[np.float64]

FLIPS = (albumentations.HorizontalFlip, albumentations.VerticalFlip)
WARPS = (albumentations.Affine, albumentations.Perspective)
SHARED = ("interpolation", "mask_interpolation", "border_mode")


class FusedWarp(albumentations.DualTransform):
    """Applies the product of its parts' matrices.

    The parts sample their parameters themselves, in their order, so that the same random numbers give the same picture
    as the parts one after the other, but for interpolation.
    """

    def __init__(self, parts: Sequence[albumentations.DualTransform]) -> None:
        super().__init__(p=1.0)
        self.parts = tuple(parts)
        warp: Any = next(part for part in parts if isinstance(part, WARPS))
        self.interpolation, self.mask_interpolation, self.border_mode = (getattr(warp, name) for name in SHARED)

    def set_random_state(self, random_generator: np.random.Generator, py_random: random.Random) -> None:
        """Let the parts draw from the same generators."""
        super().set_random_state(random_generator, py_random)
        for part in self.parts:
            part.set_random_state(random_generator, py_random)

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The matrix of the parts that are applied this time."""
        matrix = np.eye(3)
        for part in self.parts:
            if part.should_apply():
                matrix = _matrix(part, params, data) @ matrix
        return {"matrix": matrix}

    def apply(self, img: Image, matrix: Matrix, **params: Any) -> Image:
        """Warp a frame."""
        return self._warp(img, matrix, self.interpolation)

    def apply_to_mask(self, mask: Image, matrix: Matrix, **params: Any) -> Image:
        """Warp a mask."""
        return self._warp(mask, matrix, self.mask_interpolation)

    def _warp(self, image: Image, matrix: Matrix, flags: int) -> Image:
        size, options = image.shape[1::-1], {"flags": flags, "borderMode": self.border_mode}
        if matrix[2, :2].any():
            warped = cv2.warpPerspective(image, matrix, size, **options)
        else:
            warped = cv2.warpAffine(image, matrix[:2], size, **options)
        return np.asarray(warped, np.uint8).reshape(image.shape)  # OpenCV drops the last axis of a grey frame


def fuse_warps(transforms: Sequence[Transform]) -> list[Transform]:
    """The same transforms, with a `FusedWarp` for each run of them that can be one."""
    runs: list[list[Any]] = [[]]
    for transform in transforms:
        if not _is_one_warp([*runs[-1], transform]):
            runs.append([])
        runs[-1].append(transform)
    fused: list[Transform] = []
    for run in runs:
        whole = len(run) > 1 and any(type(part) in WARPS for part in run)
        fused += [FusedWarp(run)] if whole else run
    return fused


def _is_one_warp(parts: Sequence[Any]) -> bool:
    """Whether parts are flips, and warps to the frame's own size that continue it alike beyond its border.

    An affine transform comes before other warps: after one, it would show what that one left outside.
    """
    warps = [part for part in parts if type(part) not in FLIPS]
    return (
        all(type(part) in WARPS and not part.fit_output and getattr(part, "keep_size", True) for part in warps)
        and all(part.border_mode != cv2.BORDER_CONSTANT for part in warps)
        and len({tuple(getattr(part, name) for name in SHARED) for part in warps}) <= 1
        and albumentations.Affine not in map(type, warps[1:])
    )


def _matrix(part: albumentations.DualTransform, params: dict[str, Any], data: dict[str, Any]) -> Matrix:
    """From positions in the frame to positions after the part, in pixels, homogeneous: (3, 3)."""
    height, width = params["shape"][:2]
    if type(part) is albumentations.HorizontalFlip:
        return np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]])
    if type(part) is albumentations.VerticalFlip:
        return np.array([[1.0, 0, 0], [0, -1, height - 1], [0, 0, 1]])
    found = part.get_params_dependent_on_data(params, data)
    matrix: Matrix = found["matrix"]
    if type(part) is albumentations.Perspective:  # it gives the size that the part of the frame had
        matrix = np.diag([width / found["max_width"], height / found["max_height"], 1.0]) @ matrix
    return matrix
