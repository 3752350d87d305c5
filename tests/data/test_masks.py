"""Masks: they go where their frame goes, become coarse maps, and cost nothing where there are none."""

import logging
from dataclasses import replace
from pathlib import Path

import albumentations
import cv2
import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from flipdetect.data.augment.chain import Augmentation
from flipdetect.data.augment.fused_warp import Transform
from flipdetect.data.masks import coarse_maps, read_masks
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.rehearsal import EmbeddedData, MixIn
from flipdetect.records import FrameRecord
from tests.conftest import REPOSITORY
from tests.data.data_modules import SPEC, data_module, train_epoch
from tests.frame_sets import make_monreader_set
from tests.rendered_sets import make_rendered_set, write_mask

CONFIGS = [REPOSITORY / "configs/defaults.yaml", *sorted((REPOSITORY / "configs/augment").glob("*.yaml"))]


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rendered_set(tmp_path_factory.mktemp("rendered"))


def transforms_of(config: Path) -> list[Transform]:
    parser = ArgumentParser()
    parser.add_argument("--augment", type=list[Transform])
    content = yaml.safe_load(config.read_text())
    augment = content if isinstance(content, list) else content["data"]["augment"]
    return parser.instantiate_classes(parser.parse_object({"augment": augment})).augment


def smooth_frame() -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 255, (96, 54, 3), np.uint8)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)


def test_samples_of_a_rendered_set_have_maps_of_what_its_masks_show(rendered: Path) -> None:
    found = train_epoch(data_module(rendered))
    assert found["maps"].shape[1:] == (3, 8, 5)
    assert found["maps"].dtype == torch.float32
    assert found["has_maps"].all()
    sheet, edge, hands = found["maps"].unbind(1)
    for maps, target in zip(sheet, found["target"], strict=True):
        assert maps[:, :2].mean() == pytest.approx(target.item(), abs=0.02)
        assert maps[:, 3:].max() < 0.02
    assert edge.max() == 0
    assert hands[:, :3].min() > 0.98
    assert hands[:, 5:].max() < 0.02


def test_validation_and_sets_without_masks_have_none(rendered: Path, tmp_path: Path) -> None:
    assert "maps" not in next(iter(data_module(rendered).val_dataloader()))
    data = data_module(make_monreader_set(tmp_path / "own", videos=6, frames=2), cache_dir=str(tmp_path / "cache"))
    assert not {"maps", "has_maps"} & set(train_epoch(data))
    assert len(list((tmp_path / "cache").glob("*/*.npy"))) == 1


def test_rendered_frames_bring_maps_among_ones_own_without(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EmbeddedData, "render_if_needed", lambda _: None)
    own = make_monreader_set(tmp_path / "own", videos=6, frames=2)
    data = data_module(own, mix_in=MixIn(EmbeddedData(root=str(rendered)), share=0.5))
    found = train_epoch(data)
    rendered_rows = found["index"] >= len(data.split.train)
    assert torch.equal(found["has_maps"], rendered_rows)
    assert not found["maps"][~rendered_rows].any()
    assert found["maps"][rendered_rows].amax(dim=(1, 2, 3)).min() > 0.9


def test_cached_masks_are_decoded_once_and_equal_fresh_ones(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, first = train_epoch(data_module(rendered)), train_epoch(data_module(rendered, cache_dir=str(tmp_path)))
    monkeypatch.setattr(PreprocessSpec, "read", lambda *_: pytest.fail("decoded again"))
    again = train_epoch(data_module(rendered, cache_dir=str(tmp_path)))
    assert torch.equal(fresh["maps"], first["maps"])
    assert torch.equal(first["maps"], again["maps"])
    sizes = sorted(path.stat().st_size for path in tmp_path.glob("*/*.npy"))
    assert len(sizes) == 2
    assert sizes[0] < sizes[1] / 10


def test_masks_do_not_push_their_frames_out_of_a_full_cache(rendered: Path, tmp_path: Path) -> None:
    frame_bytes = 32 * 64 * 36 * 3
    data = data_module(rendered, cache_dir=str(tmp_path), cache_gb=(frame_bytes + 500) / 2**30)
    files = {path: path.stat().st_ino for path in tmp_path.glob("*/*.npy")}
    assert len(files) == 1
    data.prepare_data()  # would decode frames again that are not in the cache
    assert files == {path: path.stat().st_ino for path in tmp_path.glob("*/*.npy")}
    assert train_epoch(data)["has_maps"].all()


@pytest.mark.parametrize("shape", [(64, 36), (48, 64), (64, 64)])
@pytest.mark.parametrize("fit", ["letterbox", "stretch", "crop"])
def test_masks_are_fitted_as_their_frames(shape: tuple[int, int], fit, tmp_path: Path) -> None:
    height, width = 4 * shape[0], 4 * shape[1]
    frame = np.zeros((height, width, 3), np.uint8)
    frame[height // 4 : height // 2, width // 3 : width * 2 // 3] = 255  # the marker
    mask = cv2.resize(frame, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    write_mask(tmp_path / "masks/a.png", mask)
    spec = replace(SPEC, height=128, width=72, fit=fit, mean=(0.0, 0.0, 0.0))
    record = FrameRecord(tmp_path / "a.jpg", "flip", "a", extra={"mask": "masks/a.png"})
    found = read_masks([record], tmp_path, spec).mask(record)
    assert found is not None
    wanted = coarse_maps(spec.resize(frame))
    assert wanted.max() > 0.9
    np.testing.assert_allclose(coarse_maps(found), wanted, atol=0.25)
    assert np.abs(coarse_maps(found) - wanted).mean() < 0.03


def test_cells_hold_shares_and_the_last_ones_what_is_left() -> None:
    mask = np.zeros((20, 11, 3), np.uint8)
    mask[:8, :4, 0] = 255  # half of the first cell
    mask[16:, 8:, 2] = 255  # all of the last one, of which 4 by 3 pixels lie in the frame
    maps = coarse_maps(mask)
    assert maps.shape == (3, 3, 2)
    assert maps[0, 0].tolist() == pytest.approx([0.5, 0], abs=0.003)
    assert maps[2, 2].tolist() == pytest.approx([0, 1])
    assert maps[1].max() == 0


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_shipped_augmentations_move_a_mask_as_the_frame_and_paint_nothing_on_it(config: Path) -> None:
    frame = smooth_frame()
    for transform in transforms_of(config):
        transform.p = 1.0
        spatial = isinstance(transform, albumentations.DualTransform) and not isinstance(
            transform, albumentations.CoarseDropout
        )
        letterboxes = "CropAndPad" in str(transform)  # what it adds is grey in the frame, and nothing in the mask
        augmentation = Augmentation([transform])
        for seed in range(6):
            image, mask = augmentation(frame, seed, frame)
            np.testing.assert_array_equal(image, augmentation(frame, seed)[0])
            if letterboxes:
                assert not mask[[0, -1]].any()
                assert np.abs(mask.astype(int) - image)[40:56].mean() < 8
            elif spatial:  # borders included: both are reflected
                assert np.abs(mask.astype(int) - image).mean() < 4, type(transform).__name__
            else:
                np.testing.assert_array_equal(mask, frame)


def test_masks_that_cannot_be_used_leave_their_frames_without(
    rendered: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("flipdetect").propagate = True  # an earlier command line in this process may have cut it off
    (tmp_path / "set").mkdir()
    (tmp_path / "set/broken.png").write_bytes(b"no image")
    write_mask(tmp_path / "outside.png", np.full((16, 9, 3), 255, np.uint8))
    write_mask(tmp_path / "set/good.png", np.full((16, 9, 3), 255, np.uint8))
    names = ["good.png", "broken.png", "absent.png", "../outside.png", str(tmp_path / "outside.png"), ""]
    records = [FrameRecord(tmp_path / f"{i}.jpg", "flip", "a", extra={"mask": name}) for i, name in enumerate(names)]
    with caplog.at_level(logging.WARNING, logger="flipdetect"):
        masks = read_masks(records, tmp_path / "set", SPEC)
    assert [masks.mask(record) is not None for record in records] == [True] + [False] * 5
    assert "4 of 5 masks cannot be read" in caplog.text


def test_grey_models_learn_from_masks_too(rendered: Path) -> None:
    grey = replace(SPEC, channels=1, mean=(0.5,), std=(0.5,))
    data = data_module(rendered, preprocess=grey, augment=[albumentations.HorizontalFlip(p=1.0)])
    found = train_epoch(data)
    assert found["image"].shape[1:] == (1, 64, 36)
    flips = found["maps"][found["target"] == 1]
    assert flips[:, 0, :, 3:].min() > 0.9
    assert flips[:, 0, :, :2].max() < 0.1
