"""Rendered frames among one's own: in training alone, in the share asked for, whatever the classes are called."""

from pathlib import Path

import albumentations
import pytest
import torch

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.index import index_frames
from flipdetect.data.rehearsal import RENDERED_CLASSES, EmbeddedData, MixIn, rehearsal_split
from flipdetect.errors import ConfigError
from flipdetect.records import ClassNames
from flipdetect.synth import SynthConfig
from tests.data.data_modules import data_module, train_epoch
from tests.frame_sets import make_monreader_set

RENDER = SynthConfig(sources=2, clips_per_source=2, frames_per_clip=2, height=64)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedData:
    return EmbeddedData(root=str(tmp_path_factory.mktemp("rendered") / "set"), render=RENDER)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_monreader_set(tmp_path_factory.mktemp("own"), videos=4, frames=2)


def mixed(root: Path, embedded: EmbeddedData, share: float = 0.5, **settings) -> FrameDataModule:
    return data_module(root, mix_in=MixIn(embedded, share), **settings)


def test_share_is_exact_and_the_epoch_as_long_as_asked(frames: Path, embedded: EmbeddedData) -> None:
    data = mixed(frames, embedded, share=0.25, epoch_frames=40, balance="video")
    epoch = train_epoch(data)
    own = epoch["index"] < len(data.split.train)
    assert len(own) == 40
    assert own.sum() == 30
    assert epoch["target"][own].sum() == 15
    assert epoch["target"][~own].sum() == 5


def test_a_loader_repeats_an_epoch_exactly(frames: Path, embedded: EmbeddedData, tmp_path: Path) -> None:
    settings = {
        "epoch_frames": 24,
        "augment": [albumentations.GaussNoise(std_range=(0.1, 0.2), p=1.0)],
        "cache_dir": str(tmp_path),
    }
    once = train_epoch(mixed(frames, embedded, **settings), epoch=3)
    again = train_epoch(mixed(frames, embedded, num_workers=1, **settings), epoch=3)
    other = train_epoch(mixed(frames, embedded, **settings), epoch=4)
    for key, values in once.items():
        torch.testing.assert_close(values, again[key], rtol=0, atol=0)
    assert once["index"].tolist() != other["index"].tolist()


def test_rendered_frames_stay_out_of_split_validation_and_test(frames: Path, embedded: EmbeddedData) -> None:
    plain, both = data_module(frames), mixed(frames, embedded)
    assert both.split == plain.split
    assert len(both.val_dataloader().dataset) == len(plain.split.val)
    assert both.describe()["split"] == plain.describe()["split"]
    assert plain.describe()["mix_in"] is None
    assert both.describe()["mix_in"]["share"] == 0.5
    assert both.describe()["mix_in"]["render"]["sources"] == 2


def test_other_class_names_are_matched_by_which_is_positive(
    frames: Path, embedded: EmbeddedData, tmp_path: Path
) -> None:
    for label, name in (("flip", "turning"), ("notflip", "flip")):  # the positive one's name is the negative one here
        (tmp_path / name).symlink_to(frames / label, target_is_directory=True)
    data = mixed(tmp_path, embedded, classes=ClassNames(negative="flip", positive="turning"))
    epoch = train_epoch(data)
    rendered = epoch["index"] >= len(data.split.train)
    mixed_in = rehearsal_split(index_frames(Path(embedded.root), classes=RENDERED_CLASSES).records).train
    truth = [mixed_in[i].label == "flip" for i in epoch["index"][rendered] - len(data.split.train)]
    assert epoch["target"][rendered].bool().tolist() == truth


def test_a_share_of_nothing_renders_nothing(frames: Path, tmp_path: Path) -> None:
    data = mixed(frames, EmbeddedData(root=str(tmp_path / "set"), render=RENDER), share=0.0)
    assert not (tmp_path / "set").exists()
    assert len(train_epoch(data)["index"]) == len(data.split.train)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_impossible_shares_are_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"data.mix_in.share must lie in \[0, 1\)"):
        MixIn(share=share)


def test_a_set_is_not_mixed_into_itself(embedded: EmbeddedData) -> None:
    with pytest.raises(ConfigError, match="into itself"):
        FrameDataModule(root=embedded.root, mix_in=MixIn(embedded))
