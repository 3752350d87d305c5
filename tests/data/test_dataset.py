"""Samples: what a frame becomes in training, and that every epoch can be repeated."""

from pathlib import Path

import albumentations
import numpy as np
import pytest
import torch

from flipdetect.data.augment.chain import Augmentation
from flipdetect.data.cache import decode_frames
from flipdetect.data.dataset import Draw, FrameDataset, stream_seed
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError
from flipdetect.records import ClassNames, FrameRecord
from tests.frame_sets import page_frame, write_frame

SPEC = PreprocessSpec(height=64, width=36)


@pytest.fixture
def records(tmp_path: Path) -> list[FrameRecord]:
    found = []
    for i in range(6):
        path = tmp_path / f"{i}.jpg"
        write_frame(path, page_frame(i >= 3, i, 320))
        found.append(FrameRecord(path, "flip" if i >= 3 else "notflip", f"video-{i}"))
    return found


def dataset(records: list[FrameRecord], augmentation: Augmentation | None = None) -> FrameDataset:
    frames = decode_frames([record.path for record in records], SPEC)
    return FrameDataset(records, frames, ClassNames(), augmentation, seed=3)


def noisy() -> Augmentation:
    return Augmentation([albumentations.GaussNoise(std_range=(0.1, 0.2), p=1.0), albumentations.HorizontalFlip(p=0.5)])


def test_evaluation_sample_is_bit_identical_to_what_inference_loads(records: list[FrameRecord]) -> None:
    frames = dataset(records)
    for i, record in enumerate(records):
        sample = frames[i]
        np.testing.assert_array_equal(sample["image"].numpy(), SPEC.load(record.path))
        assert sample["target"] == float(record.label == "flip")
        assert sample["index"] == i


def test_augmentation_depends_on_seed_epoch_and_frame_alone(records: list[FrameRecord]) -> None:
    one, other = dataset(records, noisy()), dataset(records, noisy())
    [other[i] for i in range(6)]  # what was drawn before must not matter
    torch.testing.assert_close(one[Draw(4, 2)]["image"], other[Draw(4, 2)]["image"], rtol=0, atol=0)
    assert not torch.equal(one[Draw(4, 2)]["image"], one[Draw(5, 2)]["image"])


def test_augmentation_that_changes_the_size_is_refused(records: list[FrameRecord]) -> None:
    with pytest.raises(ConfigError, match="size"):
        dataset(records, Augmentation([albumentations.CenterCrop(height=20, width=20)]))[0]


def test_grey_frames_keep_their_axis_under_augmentation() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (32, 32, 1), np.uint8)
    assert noisy()(frame, 1)[0].shape == (32, 32, 1)


def test_stream_seeds_of_neighbours_differ_and_are_fixed() -> None:
    seeds = {stream_seed(0, epoch, index) for epoch in range(50) for index in range(50)}
    assert len(seeds) == 2500
    assert stream_seed(1, 2, 3) == 3922471037


def test_transforms_draw_independently_of_each_other() -> None:
    frame = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(6, 4, 3)
    augmentation = Augmentation([albumentations.HorizontalFlip(p=0.5), albumentations.VerticalFlip(p=0.5)])
    found = {augmentation(frame, seed)[0].tobytes() for seed in range(40)}
    assert found == {view.tobytes() for view in (frame, frame[:, ::-1], frame[::-1], frame[::-1, ::-1])}
