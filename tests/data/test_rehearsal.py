"""Rendered frames among one's own: in training alone, in the share asked for, whatever the classes are called."""

from pathlib import Path

import albumentations
import pytest
import torch

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.rehearsal import EmbeddedData, MixIn
from flipdetect.errors import ConfigError
from flipdetect.records import ClassNames
from flipdetect.synth import SynthConfig
from tests.frame_sets import make_monreader_set

SPEC = PreprocessSpec(height=64, width=36)
RENDER = SynthConfig(sources=2, clips_per_source=2, frames_per_clip=2, height=64)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedData:
    return EmbeddedData(root=str(tmp_path_factory.mktemp("rendered") / "set"), render=RENDER)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_monreader_set(tmp_path_factory.mktemp("own"), videos=4, frames=2)


def module(root: Path, embedded: EmbeddedData | None, share: float = 0.5, **settings) -> FrameDataModule:
    mix_in = None if embedded is None else MixIn(embedded, share)
    settings = {"preprocess": SPEC, "batch_size": 4, "num_workers": 0, "cache_dir": None, **settings}
    data = FrameDataModule(root=str(root), mix_in=mix_in, **settings)
    data.prepare_data()
    data.setup("fit")
    return data


def batches(data: FrameDataModule, epoch: int = 0) -> dict[str, torch.Tensor]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    found = list(loader)
    return {key: torch.cat([torch.as_tensor(batch[key]) for batch in found]) for key in found[0]}


def test_share_is_exact_and_the_epoch_as_long_as_asked(frames: Path, embedded: EmbeddedData) -> None:
    data = module(frames, embedded, share=0.25, epoch_frames=40, balance="video")
    epoch = batches(data)
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
    once = batches(module(frames, embedded, **settings), epoch=3)
    again = batches(module(frames, embedded, num_workers=1, **settings), epoch=3)
    other = batches(module(frames, embedded, **settings), epoch=4)
    for key, values in once.items():
        torch.testing.assert_close(values, again[key], rtol=0, atol=0)
    assert once["index"].tolist() != other["index"].tolist()


def test_rendered_frames_stay_out_of_split_validation_and_test(frames: Path, embedded: EmbeddedData) -> None:
    plain, mixed = module(frames, None), module(frames, embedded)
    assert mixed.split == plain.split
    assert len(mixed.val_dataloader().dataset) == len(plain.split.val)
    assert mixed.describe()["split"] == plain.describe()["split"]
    assert plain.describe()["mix_in"] is None
    assert mixed.describe()["mix_in"]["share"] == 0.5
    assert mixed.describe()["mix_in"]["render"]["sources"] == 2


def test_other_class_names_are_matched_by_which_is_positive(
    frames: Path, embedded: EmbeddedData, tmp_path: Path
) -> None:
    for label, name in (("flip", "turning"), ("notflip", "flip")):  # the positive one's name is the negative one here
        (tmp_path / name).symlink_to(frames / label, target_is_directory=True)
    data = module(tmp_path, embedded, classes=ClassNames(negative="flip", positive="turning"))
    epoch = batches(data)
    rendered = epoch["index"] >= len(data.split.train)
    truth = [data.rehearsal.train[i].label == "flip" for i in epoch["index"][rendered] - len(data.split.train)]
    assert epoch["target"][rendered].bool().tolist() == truth


def test_grey_models_get_grey_rendered_frames(frames: Path, embedded: EmbeddedData) -> None:
    spec = PreprocessSpec(height=32, width=32, channels=1, mean=(0.5,), std=(0.5,))
    assert batches(module(frames, embedded, preprocess=spec))["image"].shape[1:] == (1, 32, 32)


def test_a_share_of_nothing_renders_nothing(frames: Path, tmp_path: Path) -> None:
    data = module(frames, EmbeddedData(root=str(tmp_path / "set"), render=RENDER), share=0.0)
    assert not (tmp_path / "set").exists()
    assert len(batches(data)["index"]) == len(data.split.train)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_impossible_shares_are_refused(share: float) -> None:
    with pytest.raises(ConfigError, match=r"data.mix_in.share must lie in \[0, 1\)"):
        MixIn(share=share)


def test_a_set_is_not_mixed_into_itself(embedded: EmbeddedData) -> None:
    with pytest.raises(ConfigError, match="into itself"):
        FrameDataModule(root=embedded.root, mix_in=MixIn(embedded))
