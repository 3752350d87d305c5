"""Decoded frames on disk: equal to fresh ones, bounded, and honest about bad files."""

import os
from pathlib import Path

import numpy as np
import pytest

from flipdetect.data import cache
from flipdetect.data.cache import decode_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import FrameError
from tests.frame_sets import page_frame, write_frame

SPEC = PreprocessSpec(height=64, width=36)
FRAME_BYTES = 64 * 36 * 3


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "frames" / f"{i}.jpg" for i in range(5)]
    for i, path in enumerate(found):
        write_frame(path, page_frame(bool(i % 2), i))
    return found


def test_cached_frames_equal_freshly_decoded_ones(paths: list[Path], tmp_path: Path) -> None:
    cached = decode_frames(paths, SPEC, cache_dir=tmp_path / "cache")
    fresh = decode_frames(paths, SPEC, cache_dir=None)
    assert cached.pixels is not None
    assert fresh.pixels is None
    for i in range(len(paths)):
        np.testing.assert_array_equal(cached[i], fresh[i])


def test_second_time_decodes_nothing(paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = decode_frames(paths, SPEC, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(cache, "_decode_all", lambda *_: pytest.fail("decoded again"))
    second = decode_frames(paths, SPEC, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(first[3], second[3])


def test_changed_file_or_size_is_decoded_again(paths: list[Path], tmp_path: Path) -> None:
    first = decode_frames(paths, SPEC, cache_dir=tmp_path / "cache")
    before = first[0]
    write_frame(paths[0], page_frame(True, 99))
    os.utime(paths[0], ns=(1, 1))
    assert (decode_frames(paths, SPEC, cache_dir=tmp_path / "cache")[0] != before).any()
    larger = PreprocessSpec(height=96, width=54)
    assert decode_frames(paths, larger, cache_dir=tmp_path / "cache")[0].shape == (96, 54, 3)


def test_bad_files_are_named_and_the_rest_is_kept(paths: list[Path], tmp_path: Path) -> None:
    paths[1].write_bytes(b"")
    paths[3].write_bytes(paths[3].read_bytes()[:400])
    for _ in range(2):  # found out, and then remembered
        frames = decode_frames(paths, SPEC, cache_dir=tmp_path / "cache")
        assert set(frames.failures) == {1, 3}
        assert "1.jpg" in frames.failures[1]
        assert frames[0].shape == (64, 36, 3)
        with pytest.raises(FrameError, match=r"3\.jpg"):
            frames[3]


def test_a_frame_is_a_copy_that_may_be_written_to(paths: list[Path], tmp_path: Path) -> None:
    frames = decode_frames(paths, SPEC, cache_dir=tmp_path / "cache")
    frames[0][:] = 0
    assert frames[0].any()


def test_oldest_cache_files_make_room_for_new_ones(paths: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    limit = 8 * FRAME_BYTES
    decode_frames(paths[:4], SPEC, cache_dir=folder, max_bytes=limit)
    decode_frames(paths[1:5], SPEC, cache_dir=folder, max_bytes=limit)
    assert sum(path.stat().st_size for path in folder.glob("*.npy")) <= limit + 1024
    assert not list(folder.glob("*.tmp"))
    assert len(list(folder.glob("*.npy"))) == len(list(folder.glob("*.json"))) == 1


def test_set_larger_than_the_limit_is_not_cached(paths: list[Path], tmp_path: Path) -> None:
    frames = decode_frames(paths, SPEC, cache_dir=tmp_path / "cache", max_bytes=FRAME_BYTES)
    assert frames.pixels is None
    assert frames[0].shape == (64, 36, 3)
    assert not (tmp_path / "cache").exists()
