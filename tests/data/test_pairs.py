"""Twins: side by side, augmented alike, never torn, the same again from seed and epoch."""

import logging
from pathlib import Path

import albumentations
import pytest
import torch

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.rehearsal import EmbeddedData, MixIn
from flipdetect.errors import ConfigError
from tests.data.data_modules import data_module, train_batches
from tests.frame_sets import make_monreader_set
from tests.rendered_sets import make_rendered_set

SPEC = PreprocessSpec(height=32, width=18)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rendered_set(tmp_path_factory.mktemp("rendered"), books=10, height=64)


def paired(root: Path, **settings) -> FrameDataModule:
    return data_module(root, preprocess=SPEC, pairs=True, **settings)


def test_twins_lie_side_by_side_in_one_batch(rendered: Path) -> None:
    data = paired(rendered)
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
    found = train_batches(paired(rendered, augment=[still, noise, turned]))
    image, maps = (torch.cat([batch[key] for batch in found]) for key in ("image", "maps"))
    target = torch.cat([batch["target"] for batch in found])
    assert torch.equal(image[::2], image[1::2])
    assert len({each.sum().item() for each in image[::2]}) == len(image) // 2
    sheets = maps[target == 1, 0]
    left, right = sheets[:, :, 0].mean(dim=1), sheets[:, :, -1].mean(dim=1)
    assert set(((left > 0.5) | (right > 0.5)).tolist()) == {True}
    assert (left > 0.5).any()
    assert (right > 0.5).any()


def test_a_set_without_twins_is_drawn_as_ever_with_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("flipdetect").propagate = True  # an earlier command line in this process may have cut it off
    root = make_monreader_set(tmp_path, videos=6, frames=2, height=64)
    data, plain = paired(root), data_module(root, preprocess=SPEC)
    with caplog.at_level(logging.INFO, logger="flipdetect"):
        found = train_batches(data)
    said = {id(record) for record in caplog.records if "data.pairs is ignored" in record.getMessage()}
    assert len(said) == 1
    assert [batch["index"].tolist() for batch in found] == [batch["index"].tolist() for batch in train_batches(plain)]
    assert all((batch["pair"] == -1).all() for batch in found)


def test_mixed_and_balanced_epochs_are_not_paired(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("flipdetect").propagate = True  # an earlier command line in this process may have cut it off
    monkeypatch.setattr(EmbeddedData, "render_if_needed", lambda _: None)
    own = make_rendered_set(tmp_path, books=6, height=64)
    with caplog.at_level(logging.INFO, logger="flipdetect"):
        mixed = train_batches(paired(own, mix_in=MixIn(EmbeddedData(root=str(rendered)))))
        balanced = train_batches(paired(own, balance="video"))
    assert "data.mix_in is set" in caplog.text
    assert "data.balance is video" in caplog.text
    assert all((batch["pair"] == -1).all() for batch in mixed + balanced)


def test_pairs_need_an_even_batch(rendered: Path) -> None:
    with pytest.raises(ConfigError, match=r"even data\.batch_size, got 5"):
        FrameDataModule(root=str(rendered), batch_size=5, pairs=True)
