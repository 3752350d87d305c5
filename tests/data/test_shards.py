"""Shards hold the folder's frames, split as it is, and train the same tasks."""

import json
import pickle
import tarfile
from pathlib import Path

import albumentations
import pytest
import torch

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.shards import SHARDS_NAME, read_shard_list
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames
from tests.rendered_sets import make_rendered_set
from tests.scripts.test_scripts import script

SPEC = PreprocessSpec(height=64, width=36)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rendered_set(tmp_path_factory.mktemp("rendered"), books=10, frames=3)


@pytest.fixture(scope="module")
def shards(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("sharded") / "shards"
    arguments = ["--folder-path", str(folder), "--output", str(output), "--shard-frames", "10"]
    assert script("make_shards")(arguments) == 0
    return output


def module(**settings) -> FrameDataModule:
    data = FrameDataModule(**{"preprocess": SPEC, "batch_size": 4, "num_workers": 0, "cache_dir": None, **settings})
    data.prepare_data()
    data.setup("fit")
    return data


def samples(data: FrameDataModule) -> dict[str, dict]:
    """Each sample of a training epoch, by the frame's name in the set; those of a smaller last batch are left out."""
    found = {}
    for batch in data.train_dataloader():
        for i, index in enumerate(batch["index"].tolist()):
            name = data.split.train[index].path.relative_to(data.root).as_posix()
            assert name not in found
            found[name] = {key: values[i] for key, values in batch.items()}
    return found


def test_shards_are_split_as_the_folder_and_hold_the_same_frames(folder: Path, shards: Path) -> None:
    ours, theirs = module(shards=str(shards)), module(root=str(folder))
    for side in ("train", "val", "test"):
        facts = [
            {(r.path.relative_to(d.root).as_posix(), r.label, r.video, r.source, r.frame) for r in d.split.side(side)}
            for d in (ours, theirs)
        ]
        assert facts[0] == facts[1]
    assert len(read_shard_list(shards).paths("train")) == 8
    for one, other in zip(ours.val_dataloader(), theirs.val_dataloader(), strict=True):
        torch.testing.assert_close(one["image"], other["image"], rtol=0, atol=0)
        assert torch.equal(one["target"], other["target"])


@pytest.mark.parametrize("augment", [None, [albumentations.GaussNoise(std_range=(0.1, 0.2), p=1.0)]])
def test_training_samples_equal_those_of_the_folder_with_maps_and_augmentation(
    folder: Path, shards: Path, augment: list | None
) -> None:
    ours, theirs = samples(module(shards=str(shards), augment=augment)), samples(module(root=str(folder)))
    assert len(ours) == 42 // 4 * 4
    both = ours.keys() & theirs.keys()
    assert len(both) >= 38
    for name in both:
        assert ours[name]["target"] == theirs[name]["target"]
        assert torch.equal(ours[name]["maps"], theirs[name]["maps"])
        assert torch.equal(ours[name]["image"], theirs[name]["image"]) == (augment is None)


def test_the_order_follows_from_seed_and_epoch(shards: Path) -> None:
    def order(epoch: int, seed: int = 0) -> list[int]:
        loader = module(shards=str(shards), seed=seed).train_dataloader()
        loader.dataset._clock = lambda: epoch
        return [int(index) for batch in loader for index in batch["index"]]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != order(0, seed=1)
    assert sorted(order(0)) != order(0)


def test_several_readers_read_equally_many_batches(shards: Path) -> None:
    one = module(shards=str(shards))
    seen = set()
    for rank in range(2):
        one._ranks = lambda rank=rank: (2, rank)
        loader = one.train_dataloader()
        batches = list(loader)
        assert len(batches) == len(loader) == 42 // 2 // 4
        seen |= {int(index) for batch in batches for index in batch["index"]}
    assert len(seen) == 2 * (42 // 2 // 4) * 4  # none twice: the shards are of one size
    with pytest.raises(ConfigError, match="9 processes cannot share 8 shards"):
        module(shards=str(shards), num_workers=9).train_dataloader()


def test_loader_processes_read_too(shards: Path) -> None:
    loader = module(shards=str(shards), num_workers=2).train_dataloader()
    assert sum(len(batch["target"]) for batch in loader) == len(loader) * 4 == 40
    assert pickle.loads(pickle.dumps(loader.dataset))._clock is None


def test_what_cannot_be_drawn_from_a_stream_is_refused(shards: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.shards is a stream"):
        FrameDataModule(shards=str(shards), balance="video")


def test_conversion_goes_on_after_an_interruption(
    folder: Path, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flipdetect.data import shard_writing

    write, written = shard_writing._write_shard, []

    def interrupted(shard: shard_writing.Planned, *rest):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(shard.name)
        return write(shard, *rest)

    arguments = ["--folder-path", str(folder), "--output", str(tmp_path / "out"), "--shard-frames", "10"]
    run = script("make_shards")
    with monkeypatch.context() as patch:
        patch.setattr(shard_writing, "_write_shard", interrupted)
        assert run(arguments) == 130
    with pytest.raises(DataError, match="no finished shards"):
        read_shard_list(tmp_path / "out")
    first = (tmp_path / "out" / written[0]).stat().st_mtime_ns
    assert run(arguments) == 0
    assert (tmp_path / "out" / written[0]).stat().st_mtime_ns == first
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == {
        p.name: p.read_bytes() for p in shards.iterdir()
    }
    assert run(arguments) == 0  # nothing left to do
    assert run([*arguments, "--split-seed", "9"]) == 1
    assert "other frames" in capsys.readouterr().err


def test_unusable_frames_are_left_out_and_listed(tmp_path: Path) -> None:
    root = make_rendered_set(tmp_path / "set", books=6, frames=2)
    victim = root / "flip" / "0001_000000010.jpg"
    victim.write_bytes(victim.read_bytes()[:300])
    output = tmp_path / "out"
    assert script("make_shards")(["--folder-path", str(root), "--output", str(output)]) == 0
    assert "0001_000000010.jpg" in (output / "problems.csv").read_text()
    assert sum(shard.frames for shard in read_shard_list(output).shards) == 23


@pytest.mark.parametrize("name", ["../../etc/passwd.tar", "pipe:rm -rf x.tar", "train-00000.tgz", "absent-00000.tar"])
def test_a_list_that_names_other_files_is_refused(shards: Path, tmp_path: Path, name: str) -> None:
    plain = json.loads((shards / SHARDS_NAME).read_text())
    plain["shards"][0]["name"] = name
    (tmp_path / SHARDS_NAME).write_text(json.dumps(plain))
    with pytest.raises(DataError, match=r"no file name of a shard|absent or cut short"):
        read_shard_list(tmp_path)


def test_damage_is_told(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"make_shards\.py"):
        module(shards=str(tmp_path))
    (tmp_path / SHARDS_NAME).write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        module(shards=str(tmp_path))
    with pytest.raises(ConfigError, match=r"data\.classes"):
        module(shards=str(shards), classes=ClassNames("open", "closed"))


def test_members_are_those_of_webdataset(shards: Path) -> None:
    with tarfile.open(shards / "train-00000.tar") as tar:
        assert [member.name for member in tar][:3] == ["000000.jpg", "000000.json", "000000.mask.png"]
