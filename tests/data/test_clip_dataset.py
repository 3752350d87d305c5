"""Clips: the frames of a video in order, augmented alike, padded to one length."""

from collections.abc import Callable
from pathlib import Path

import albumentations
import numpy as np
import pytest
import torch

from flipdetect.data.clip_dataset import ClipDataset, ClipDrawing, clip_positions, spread
from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.dataset import Draw
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.rehearsal import MixIn
from flipdetect.errors import ConfigError
from flipdetect.records import FrameRecord
from tests.rendered_sets import make_rendered_set

SPEC = PreprocessSpec(height=32, width=24)
Make = Callable[..., FrameDataModule]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rendered_set(tmp_path_factory.mktemp("rendered"), books=8, frames=5, height=64)


@pytest.fixture
def make(rendered: Path) -> Make:
    def build(root: Path = rendered, **settings) -> FrameDataModule:
        settings = {"clips": ClipDrawing(frames=4), "preprocess": SPEC, "batch_size": 4} | settings
        data = FrameDataModule(str(root), num_workers=0, cache_dir=None, **settings)
        data.setup()
        return data

    return build


def record(video: str, frame: int | None, label: str = "flip") -> FrameRecord:
    return FrameRecord(Path(f"{video}_{frame}.jpg"), label, video, frame)


def test_a_clip_is_a_videos_frames_in_order_of_time() -> None:
    records = [record("a", 20), record("b", None), record("a", 3), record("b", None), record("a", 100)]
    assert clip_positions(records) == ((2, 0, 4), (1, 3))


def test_long_videos_are_sampled_evenly_and_short_ones_taken_whole() -> None:
    assert spread(3, 8) == [0, 1, 2]
    assert spread(25, 5) == [2, 7, 12, 17, 22]
    assert spread(5, 3) == [0, 2, 4]
    rng = np.random.default_rng(0)
    drawn = [spread(25, 5, rng) for _ in range(40)]
    assert len({tuple(each) for each in drawn}) > 30
    assert all(5 * place <= frame < 5 * place + 5 for each in drawn for place, frame in enumerate(each))


def test_a_batch_has_clips_with_their_own_and_their_frames_targets(make: Make) -> None:
    batch = next(iter(make(clips=ClipDrawing(frames=7)).val_dataloader()))
    assert batch["image"].shape[1:] == (7, 3, 32, 24)
    assert batch["image"].dtype == torch.float32
    assert batch["present"].tolist() == [[True] * 5 + [False] * 2] * len(batch["target"])
    assert not batch["image"][:, 5:].any()
    assert torch.equal(batch["frame_target"], batch["target"][:, None] * batch["present"])


def test_a_clip_with_one_flip_frame_is_a_flip(tmp_path: Path, make: Make) -> None:
    root = make_rendered_set(tmp_path / "set", books=6, frames=4, height=64, masks=False)
    table = root / "labels.csv"
    lines = table.read_text("utf-8").splitlines()
    # At rest at the start of its clip, as in a set of frames at a spacing.
    lines = [line.replace(",flip,book", ",notflip,book") if "_000000010.jpg" in line else line for line in lines]
    table.write_text("\n".join(lines) + "\n", "utf-8")
    data = make(root)
    dataset = data.val_dataloader().dataset
    assert isinstance(dataset, ClipDataset)
    flips = [i for i, record in enumerate(dataset.records) if record.video.startswith("flip/")]
    for i in flips:
        assert dataset.records[i].label == "flip"
        assert dataset[i]["target"] == 1
        assert dataset[i]["frame_target"].tolist() == [0, 1, 1, 1]
    assert flips
    assert {record.label for record in dataset.records} == {"flip", "notflip"}


def test_all_frames_of_a_clip_and_of_its_twin_are_augmented_alike(make: Make) -> None:
    augment = [albumentations.Rotate(limit=(-40, 40), p=1.0), albumentations.RandomBrightnessContrast(p=1.0)]
    data = make(augment=augment, pairs=True)
    dataset = data.train_dataloader().dataset
    assert isinstance(dataset, ClipDataset)
    frames = dataset._frames
    # One picture for every frame: what differs between the results is the augmentation alone.
    frames._positions = (0,) * len(frames)
    one = dataset[Draw(0, 0, pair=3)]["image"]
    assert all(torch.equal(frame, one[0]) for frame in one)
    assert torch.equal(dataset[Draw(0, 1, pair=3)]["image"], one)
    assert not torch.equal(dataset[Draw(0, 0, pair=4)]["image"], one)
    assert not torch.equal(dataset[Draw(1, 0, pair=3)]["image"], one)


def test_twins_stand_side_by_side_with_the_same_moments(make: Make) -> None:
    for batch in make(pairs=True, clips=ClipDrawing(frames=3)).train_dataloader():
        for first in range(0, len(batch["pair"]), 2):
            assert batch["pair"][first] == batch["pair"][first + 1] >= 0
            assert batch["target"][first] + batch["target"][first + 1] == 1
            assert batch["maps"].shape[1:] == (3, 3, 4, 3)
            assert batch["has_maps"].all()


def test_training_may_run_backwards_and_validation_never_does(make: Make) -> None:
    data = make(clips=ClipDrawing(frames=5, reverse=1.0))
    train, val = data.train_dataloader().dataset, data.val_dataloader().dataset
    assert isinstance(train, ClipDataset)
    assert isinstance(val, ClipDataset)
    assert train._choose(5, seed=1) == [4, 3, 2, 1, 0]
    assert val._choose(5, seed=1) == [0, 1, 2, 3, 4]


def test_index_names_a_frame_of_the_clip(make: Make) -> None:
    data = make()
    for batch in data.val_dataloader():
        for index, target in zip(batch["index"].tolist(), batch["target"].tolist(), strict=True):
            assert data.split.val[index].label == ("flip" if target else "notflip")


def test_the_checkpoint_will_know_how_clips_are_made(make: Make) -> None:
    assert make().describe()["clips"] == {"frames": 4, "reverse": 0.0}


def test_settings_that_cannot_work_are_refused(rendered: Path) -> None:
    with pytest.raises(ConfigError, match="frames must be at least 1"):
        ClipDrawing(frames=0)
    with pytest.raises(ConfigError, match="reverse"):
        ClipDrawing(reverse=1.5)
    with pytest.raises(ConfigError, match="mix_in"):
        FrameDataModule(str(rendered), clips=ClipDrawing(), mix_in=MixIn())
