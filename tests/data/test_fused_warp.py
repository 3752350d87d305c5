"""Neighbouring flips and warps are one warp, with the same random numbers and the same picture."""

import random

import albumentations
import cv2
import numpy as np
import pytest

from flipdetect.data.augment.chain import Augmentation
from flipdetect.data.augment.fused_warp import FusedWarp, Transform, fuse_warps

MIRROR = cv2.BORDER_REFLECT_101


def affine(**settings: object) -> albumentations.Affine:
    given = {"scale": (0.8, 1.3), "translate_percent": (-0.1, 0.1), "rotate": (-15, 15), "shear": (-5, 5)}
    return albumentations.Affine(**{**given, "border_mode": MIRROR, "p": 0.7, **settings})


def perspective(**settings: object) -> albumentations.Perspective:
    return albumentations.Perspective(**{"scale": (0.02, 0.06), "border_mode": MIRROR, "p": 0.5, **settings})


def flips() -> list[Transform]:
    return [albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_is_that_of_the_transforms_in_a_row(channels: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (96, 54, channels), np.uint8)
    frame = cv2.GaussianBlur(noise, (0, 0), 3).reshape(noise.shape)
    frame = cv2.normalize(frame, None, 0, 255, cv2.NORM_MINMAX).reshape(noise.shape)
    mask = cv2.circle(np.zeros((96, 54, 3), np.uint8), (20, 40), 15, (255, 90, 0), -1)
    transforms = [*flips(), affine(), perspective(), albumentations.RandomBrightnessContrast(p=0.5)]
    one, row = Augmentation(transforms), albumentations.Compose(transforms)
    assert [type(part).__name__ for part in one.chain.transforms] == ["FusedWarp", "RandomBrightnessContrast"]
    for seed in range(60):
        row.set_random_state(np.random.default_rng(seed), random.Random(seed))
        expected = row(image=frame, mask=mask)
        image, moved = one(frame, seed, mask)
        assert image.shape == frame.shape
        assert np.abs(image.astype(int) - expected["image"].reshape(frame.shape)).mean() < 1
        assert moved is not None
        assert (moved != expected["mask"]).mean() < 0.01


@pytest.mark.parametrize(
    "transforms",
    [
        flips(),
        [affine()],
        [affine(), affine()],
        [perspective(), affine()],
        [affine(), perspective(border_mode=cv2.BORDER_REPLICATE)],
        [affine(border_mode=cv2.BORDER_CONSTANT), *flips()],
        [affine(), perspective(keep_size=False)],
        [affine(), albumentations.ToGray(), perspective()],
    ],
)
def test_what_would_look_different_stays_apart(transforms: list[Transform]) -> None:
    assert fuse_warps(transforms) == transforms


def test_an_affine_transform_after_a_perspective_begins_a_new_warp() -> None:
    kinds = [type(part) for part in fuse_warps([*flips(), perspective(), affine(), perspective(), *flips()])]
    assert kinds == [FusedWarp, FusedWarp]
