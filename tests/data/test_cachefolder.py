"""What is in a cache, and that clearing it touches nothing else."""

import os
import time
from pathlib import Path

import pytest

from flipdetect.data.cache import decode_frames
from flipdetect.data.cachefolder import CacheFolder
from flipdetect.data.contents import KnownFiles, digest_of, look_of
from flipdetect.data.preprocess import PreprocessSpec
from tests.frame_sets import page_frame, write_frame

SPEC = PreprocessSpec(height=64, width=36)


@pytest.fixture
def cache(tmp_path: Path) -> CacheFolder:
    path = tmp_path / "frames" / "1.png"
    write_frame(path, page_frame(True, 1))
    for spec in (SPEC, PreprocessSpec(height=96, width=54)):
        decode_frames([path], spec, cache_dir=tmp_path / "cache")
    return CacheFolder(tmp_path / "cache")


def test_what_is_kept_is_told_by_preprocessing(cache: CacheFolder) -> None:
    small, large = cache.kept()
    assert (small.name[:15], small.bytes, small.packs) == ("36x64x3-letterb", 64 * 36 * 3, 1)
    assert large.bytes == 96 * 54 * 3
    assert abs(small.used_s - time.time()) < 600
    assert CacheFolder(cache.path / "absent").kept() == []


def test_clearing_leaves_what_is_not_of_the_cache(cache: CacheFolder) -> None:
    mine = [cache.path / "notes.txt", cache.path / "mine" / "big.frames"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    assert cache.clear() > 64 * 36 * 3 + 96 * 54 * 3
    assert sorted(path for path in cache.path.rglob("*") if path.is_file() and path.name != ".lock") == sorted(mine)
    assert CacheFolder(cache.path / "absent").clear() == 0


def test_clearing_by_age_keeps_what_was_used(cache: CacheFolder) -> None:
    old = next(cache.path.glob("36x64*/*.frames"))
    os.utime(old, (0, 0))
    assert cache.clear(unused_days=7) == 64 * 36 * 3
    assert [kept.name[:6] for kept in cache.kept()] == ["54x96x"]


@pytest.mark.parametrize("name", ["a b.jpg", "страница.jpg", "quote'\".jpg", os.fsdecode(b"\xff.jpg")])
def test_files_of_any_name_are_known_again_until_they_change(tmp_path: Path, name: str) -> None:
    file = str(tmp_path / name)
    Path(file).write_bytes(b"one")
    known, look = KnownFiles(tmp_path / "files.sqlite"), look_of(file)
    assert look is not None
    assert known.digests([file], [look]) == [None]
    known.remember([(file, look, digest_of(b"one"))])
    assert known.digests([file], [look]) == [digest_of(b"one")]
    os.utime(file, ns=(5, 5))
    assert known.digests([file], [look_of(file)]) == [None]
    assert look_of(file + "absent") is None
