"""From a folder to batches, with the split and the bad files accounted for."""

import logging
import shutil
from pathlib import Path

import albumentations
import pytest
import torch

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.rehearsal import EmbeddedData
from flipdetect.errors import ConfigError, DataError
from flipdetect.synth import SynthConfig
from tests.data.data_modules import data_module, train_batches
from tests.frame_sets import make_monreader_set
from tests.rendered_sets import make_rendered_set


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_monreader_set(tmp_path_factory.mktemp("set"), videos=8, frames=2)


def test_batches_have_the_promised_shapes(frames: Path) -> None:
    batch = next(iter(data_module(frames).train_dataloader()))
    assert batch["image"].shape == (4, 3, 64, 36)
    assert batch["image"].dtype == torch.float32
    assert batch["target"].shape == (4,)
    assert set(batch["target"].tolist()) <= {0.0, 1.0}


def test_split_file_gives_the_same_split_again(frames: Path, tmp_path: Path) -> None:
    first = data_module(frames, split_seed=5)
    first.split_csv(tmp_path / "splits.csv")
    again = data_module(frames, split_seed=6, split_file=str(tmp_path / "splits.csv"))
    assert {r.path for r in again.split.test} == {r.path for r in first.split.test}


def test_undecodable_file_is_a_problem_and_the_rest_goes_on(frames: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(frames, root)
    victim = root / "flip" / "0001_000000010.jpg"
    victim.write_bytes(victim.read_bytes()[:500])
    data = data_module(root, cache_dir=str(tmp_path / "cache"))
    assert [problem.path for problem in data.index.problems] == [victim]
    assert len(data.index.records) == 31
    assert sum(len(batch["target"]) for batch in data.val_dataloader()) == len(data.split.val)


def test_mistyped_folder_is_an_error_and_not_a_rendering(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder"):
        data_module(tmp_path / "my_framse", embedded=EmbeddedData(root=str(tmp_path / "embedded")))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_embedded_set_is_rendered_once_and_split_by_book(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("flipdetect").propagate = True  # an earlier command line in this process may have cut it off
    embedded = EmbeddedData(
        root=str(tmp_path / "embedded"),
        render=SynthConfig(sources=6, clips_per_source=2, frames_per_clip=1, height=96),
    )
    with caplog.at_level(logging.INFO, logger="flipdetect"):
        data = data_module(tmp_path / "embedded", embedded=embedded)
        assert "Rendering" in caplog.text
        caplog.clear()
        data_module(tmp_path / "embedded", embedded=embedded)
        assert "Rendering" not in caplog.text
    sources = [{record.source for record in side} for side in (data.split.train, data.split.val, data.split.test)]
    assert sum(len(side) for side in sources) == 6
    assert data.split.group_by == "source"


def test_a_set_without_one_readable_frame_is_an_error(tmp_path: Path) -> None:
    root = make_monreader_set(tmp_path, videos=1, frames=1)
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the 2 frames"):
        data_module(root)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"num_workers": -1}, {"prefetch": 0}, {"epoch_frames": 0}])
def test_impossible_settings_are_refused_by_name(frames: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be in"):
        FrameDataModule(root=str(frames), **wrong)


def test_pairs_need_an_even_batch(frames: Path) -> None:
    with pytest.raises(ConfigError, match=r"even data\.batch_size, got 5"):
        FrameDataModule(root=str(frames), batch_size=5, pairs=True)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rendered_set(tmp_path_factory.mktemp("rendered"), books=10, height=64)


def test_twins_lie_side_by_side_in_one_batch(rendered: Path) -> None:
    data = data_module(rendered, pairs=True)
    for batch in train_batches(data):
        twins = [data.split.train[index].extra["twin"] for index in batch["index"]]
        assert twins[::2] == twins[1::2]
        assert batch["pair"][::2].tolist() == batch["pair"][1::2].tolist()
        assert len(batch["pair"].unique()) == 2
        assert (batch["target"][::2] != batch["target"][1::2]).all()


def test_twins_are_augmented_alike_frames_and_maps(rendered: Path) -> None:
    # Noise on a frame that is all of one brightness shows the random numbers themselves.
    still = albumentations.RandomBrightnessContrast(brightness_limit=(-1, -1), contrast_limit=(0, 0), p=1.0)
    noise = albumentations.GaussNoise(std_range=(0.2, 0.3), p=1.0)
    turned = albumentations.HorizontalFlip(p=0.5)
    found = train_batches(data_module(rendered, pairs=True, augment=[still, noise, turned]))
    image, maps = (torch.cat([batch[key] for batch in found]) for key in ("image", "maps"))
    target = torch.cat([batch["target"] for batch in found])
    assert torch.equal(image[::2], image[1::2])
    assert len({each.sum().item() for each in image[::2]}) == len(image) // 2
    sheets = maps[target == 1, 0]
    left, right = sheets[:, :, 0].mean(dim=1), sheets[:, :, -1].mean(dim=1)
    assert set(((left > 0.5) | (right > 0.5)).tolist()) == {True}
    assert (left > 0.5).any()
    assert (right > 0.5).any()
