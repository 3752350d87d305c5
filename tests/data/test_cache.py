"""Cached arrays equal fresh ones; the cache is bounded, shared between processes, and repairs itself."""

import logging
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flipdetect.data import cache as cache_module
from flipdetect.data.cache import ChunkCache, DecodedFrames, decode_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.errors import ConfigError, FrameError
from tests.frame_sets import page_frame, write_frame

SPEC = PreprocessSpec(height=64, width=36)
FRAME_BYTES = 64 * 36 * 3


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "frames" / f"{i}.jpg" for i in range(5)]
    for i, path in enumerate(found):
        write_frame(path, page_frame(bool(i % 2), i))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files decoded since."""
    names: list[str] = []
    read = PreprocessSpec.read

    def counted(self: PreprocessSpec, source: Path) -> np.ndarray:
        names.append(source.name)
        return read(self, source)

    monkeypatch.setattr(PreprocessSpec, "read", counted)
    return names


@pytest.fixture
def two_per_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "CHUNK_BYTES", 2 * FRAME_BYTES)


def assert_fresh(frames: DecodedFrames, paths: list[Path]) -> None:
    for i, path in enumerate(paths):
        np.testing.assert_array_equal(frames[i], SPEC.resize(SPEC.read(path)))


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_cached_frames_equal_freshly_decoded_ones_and_are_not_decoded_again(
    paths: list[Path], folder: Path, decoded: list[str]
) -> None:
    decode_frames(paths, SPEC, ChunkCache(folder))
    assert len(decoded) == 5
    frames = decode_frames(paths, SPEC, ChunkCache(folder))
    frames[3][:] = 0  # a copy, which may be written to
    assert len(decoded) == 5
    assert_fresh(frames, paths)


def test_a_changed_file_or_size_is_decoded_again(paths: list[Path], folder: Path) -> None:
    before = decode_frames(paths, SPEC, ChunkCache(folder))[0]
    write_frame(paths[0], page_frame(True, 99))
    os.utime(paths[0], ns=(1, 1))
    assert (decode_frames(paths, SPEC, ChunkCache(folder))[0] != before).any()
    assert decode_frames(paths, PreprocessSpec(height=96, width=54), ChunkCache(folder))[0].shape == (96, 54, 3)
    cropped = PreprocessSpec(height=64, width=36, fit="crop")
    np.testing.assert_array_equal(decode_frames(paths, cropped, ChunkCache(folder))[0], cropped.read(paths[0]))


@pytest.mark.usefixtures("two_per_chunk")
def test_of_a_set_that_has_grown_only_the_end_is_decoded(paths: list[Path], folder: Path, decoded: list[str]) -> None:
    decode_frames(paths[:4], SPEC, ChunkCache(folder))
    decoded.clear()
    frames = decode_frames(paths, SPEC, ChunkCache(folder))
    assert decoded == ["4.jpg"]
    assert_fresh(frames, paths)


@pytest.mark.usefixtures("two_per_chunk")
@pytest.mark.parametrize("cached", [True, False])
def test_bad_files_are_named_and_the_rest_is_used(
    paths: list[Path], folder: Path, decoded: list[str], cached: bool
) -> None:
    paths[1].write_bytes(b"")
    paths[3].write_bytes(paths[3].read_bytes()[:400])
    paths.append(paths[0].with_name("absent.jpg"))
    for _ in range(2):  # found by decoding, and then by what the cache knows
        frames = decode_frames(paths, SPEC, ChunkCache(folder) if cached else None)
        assert set(frames.failures) == {1, 3, 5}
        assert frames.failures[1].startswith(f"{paths[1]}: the file is empty")
        assert "absent.jpg: there is no such file" in frames.failures[5]
        if cached:
            assert decoded.count("4.jpg") == 1
        with pytest.raises(FrameError, match=r"3\.jpg"):
            frames[3]
        assert frames[0].shape == (64, 36, 3)


def test_the_least_recently_used_frames_make_room_for_new_ones(
    paths: list[Path], folder: Path, decoded: list[str]
) -> None:
    limit = 3 * (FRAME_BYTES + 200)
    for i, path in enumerate(paths[:3]):
        decode_frames([path], SPEC, ChunkCache(folder, limit))
        newest = max(files_in(folder), key=lambda file: file.stat().st_mtime_ns)
        os.utime(newest, (i, i))
    decode_frames(paths[:1], SPEC, ChunkCache(folder, limit))  # used again
    assert_fresh(decode_frames(paths[3:4], SPEC, ChunkCache(folder, limit)), paths[3:4])
    assert len(files_in(folder)) == 3
    decoded.clear()
    decode_frames(paths[:1], SPEC, ChunkCache(folder, limit))
    assert decoded == []


def test_frames_in_use_are_not_deleted_for_others(
    paths: list[Path], folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("flipdetect"), "propagate", True)
    cache = ChunkCache(folder, 3 * FRAME_BYTES)
    first = decode_frames(paths[:2], SPEC, cache)
    second = decode_frames(paths[2:4], SPEC, cache)
    assert "raise data.cache_gb" in caplog.text
    assert (first.rows is None, second.rows is None) == (False, True)
    assert_fresh(second, paths[2:4])
    assert len(files_in(folder)) == 1


@pytest.mark.usefixtures("two_per_chunk")
def test_an_interrupted_filling_continues_where_it_stopped(
    paths: list[Path], folder: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save = np.save

    def interrupted(file: object, array: np.ndarray) -> None:
        if files_in(folder)[1:]:  # a complete chunk, and the one that is being written
            raise KeyboardInterrupt
        save(file, array)

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            decode_frames(paths, SPEC, ChunkCache(folder))
    assert len(files_in(folder)) == 1
    decoded.clear()
    (folder / ".abc.npy.123.part").write_bytes(b"left by a process that was killed")
    frames = decode_frames(paths, SPEC, ChunkCache(folder))
    assert sorted(decoded) == ["2.jpg", "3.jpg", "4.jpg"]
    assert_fresh(frames, paths)
    assert [path.suffix for path in files_in(folder)] == [".npy"] * 3


@pytest.mark.parametrize("damage", ["cut", "header", "empty", "notes"])
def test_a_damaged_file_is_made_again(paths: list[Path], folder: Path, damage: str) -> None:
    decode_frames(paths, SPEC, ChunkCache(folder))
    (path,) = files_in(folder)
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-9], "header": b"x" * len(data), "empty": b"", "notes": data[:-1]}[damage])
    for _ in range(2):
        assert_fresh(decode_frames(paths, SPEC, ChunkCache(folder)), paths)
    assert path.read_bytes() == data


def test_frames_travel_to_another_process_as_paths_and_survive_the_loss_of_the_cache(
    paths: list[Path], folder: Path
) -> None:
    frames = decode_frames(paths, SPEC, ChunkCache(folder))
    sent = pickle.dumps(frames)
    assert len(sent) < FRAME_BYTES
    assert_fresh(pickle.loads(sent), paths)
    shutil.rmtree(folder)
    assert_fresh(pickle.loads(sent), paths)
    assert_fresh(frames, paths)  # what is mapped stays


def test_a_full_disk_costs_speed_only(paths: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    paths[1].write_bytes(b"bad")
    monkeypatch.setattr(np, "save", full)
    frames = decode_frames(paths, SPEC, ChunkCache(folder))
    assert set(frames.failures) == {1}
    assert_fresh(frames, [paths[0]])
    assert files_in(folder) == []


def test_records_of_several_fields_are_stored_with_their_notes(folder: Path) -> None:
    array = np.zeros(3, [("a", np.float16, (2,)), ("b", np.uint8)])
    array["b"] = 7
    for _ in range(2):
        ((found, notes),) = ChunkCache(folder).chunks(["key"], lambda _: [(array, {"1": "note"})])
        np.testing.assert_array_equal(found, array)
        assert notes == {"1": "note"}
    with pytest.raises(ConfigError, match=r"data\.cache_gb"):
        ChunkCache(folder, 10).chunks(["other"], lambda _: [(array, {})])


FILL = """
import sys
from pathlib import Path
from flipdetect.data.cache import ChunkCache, decode_frames
from flipdetect.data.preprocess import PreprocessSpec
read, count = PreprocessSpec.read, []
PreprocessSpec.read = lambda self, source: (count.append(1), read(self, source))[1]
frames = decode_frames(sorted(Path(sys.argv[1]).iterdir()), PreprocessSpec(64, 36), ChunkCache(Path(sys.argv[2])))
print(len(count), sum(int(frames[i].sum()) for i in range(len(frames.files))))
"""


def test_two_processes_that_fill_at_once_decode_each_frame_once(tmp_path: Path, folder: Path) -> None:
    for i in range(40):
        write_frame(tmp_path / "frames" / f"{i:02d}.jpg", page_frame(bool(i % 2), i, 640))
    command = [sys.executable, "-c", FILL, str(tmp_path / "frames"), str(folder)]
    pipe = subprocess.PIPE
    fillers = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    results = [filler.communicate(timeout=120) for filler in fillers]
    assert [filler.returncode for filler in fillers] == [0, 0], results
    counts, sums = zip(*(map(int, out.split()) for out, _ in results), strict=True)
    assert sum(counts) == 40
    assert sums[0] == sums[1]
