"""Decoded frames on disk: equal to fresh ones, found by content, bounded, shared, and honest about bad files."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flipdetect.data import packs
from flipdetect.data.cache import DecodedFrames, decode_frames
from flipdetect.data.cachefolder import CacheFolder
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files decoded since."""
    sizes: list[int] = []
    read = PreprocessSpec.read

    def counted(self: PreprocessSpec, source: Path | bytes) -> np.ndarray:
        sizes.append(len(source) if isinstance(source, bytes) else source.stat().st_size)
        return read(self, source)

    monkeypatch.setattr(PreprocessSpec, "read", counted)
    return sizes


def assert_fresh(frames: DecodedFrames, paths: list[Path]) -> None:
    for i, path in enumerate(paths):
        np.testing.assert_array_equal(frames[i], SPEC.resize(SPEC.read(path)))


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*.frames"))


def test_cached_frames_equal_freshly_decoded_ones(paths: list[Path], folder: Path) -> None:
    cached = decode_frames(paths, SPEC, cache_dir=folder)
    fresh = decode_frames(paths, SPEC, cache_dir=None)
    assert (cached.cached, fresh.cached) == (5, 0)
    for i in range(len(paths)):
        np.testing.assert_array_equal(cached[i], fresh[i])


def test_second_time_neither_reads_nor_decodes(
    paths: list[Path], folder: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = decode_frames(paths, SPEC, cache_dir=folder)
    assert len(decoded) == 5
    monkeypatch.setattr("flipdetect.data.filling.read_bytes", lambda *_: pytest.fail("read again"))
    second = decode_frames(paths, SPEC, cache_dir=folder)
    np.testing.assert_array_equal(first[3], second[3])
    assert len(decoded) == 5


def test_the_same_bytes_elsewhere_or_touched_are_not_decoded_again(
    paths: list[Path], folder: Path, tmp_path: Path, decoded: list[int]
) -> None:
    decode_frames(paths, SPEC, cache_dir=folder)
    copies = [Path(shutil.copy(path, tmp_path / f"copy-{path.name}")) for path in paths]
    os.utime(paths[0], ns=(1, 1))
    frames = decode_frames([*copies, *paths], SPEC, cache_dir=folder)
    assert len(decoded) == 5
    assert bytes_in(folder) == 5 * FRAME_BYTES
    assert_fresh(frames, [*copies, *paths])


def test_of_a_set_that_has_grown_only_what_is_new_is_decoded(
    paths: list[Path], folder: Path, decoded: list[int]
) -> None:
    decode_frames(paths[:3], SPEC, cache_dir=folder)
    frames = decode_frames(paths[::-1], SPEC, cache_dir=folder)
    assert len(decoded) == 5
    assert_fresh(frames, paths[::-1])


def test_changed_file_or_size_is_decoded_again(paths: list[Path], folder: Path) -> None:
    first = decode_frames(paths, SPEC, cache_dir=folder)
    before = first[0]
    write_frame(paths[0], page_frame(True, 99))
    os.utime(paths[0], ns=(1, 1))
    assert (decode_frames(paths, SPEC, cache_dir=folder)[0] != before).any()
    larger = PreprocessSpec(height=96, width=54)
    assert decode_frames(paths, larger, cache_dir=folder)[0].shape == (96, 54, 3)
    cropped = PreprocessSpec(height=64, width=36, fit="crop")
    assert decode_frames(paths, cropped, cache_dir=folder).packs[0].parent != first.packs[0].parent


def test_bad_files_are_named_and_the_rest_is_kept(paths: list[Path], folder: Path, decoded: list[int]) -> None:
    paths[1].write_bytes(b"")
    paths[3].write_bytes(paths[3].read_bytes()[:400])
    paths.append(paths[0].with_name("absent.jpg"))
    for _ in range(2):  # found out, and then remembered
        frames = decode_frames(paths, SPEC, cache_dir=folder)
        assert set(frames.failures) == {1, 3, 5}
        assert frames.failures[1].startswith(f"{paths[1]}: the file is empty")
        assert "absent.jpg: there is no such file" in frames.failures[5]
        assert frames[0].shape == (64, 36, 3)
        with pytest.raises(FrameError, match=r"3\.jpg"):
            frames[3]
        assert len(decoded) == 5


def test_a_frame_is_a_copy_that_may_be_written_to(paths: list[Path], folder: Path) -> None:
    frames = decode_frames(paths, SPEC, cache_dir=folder)
    frames[0][:] = 0
    assert frames[0].any()


def test_least_recently_used_frames_make_room_for_new_ones(paths: list[Path], folder: Path) -> None:
    limit = 3 * FRAME_BYTES
    for i, path in enumerate(paths[:3]):
        os.utime(decode_frames([path], SPEC, cache_dir=folder, max_bytes=limit).packs[0], (i, i))
    decode_frames(paths[:1], SPEC, cache_dir=folder, max_bytes=limit)  # used again
    frames = decode_frames(paths[2:4], SPEC, cache_dir=folder, max_bytes=limit)
    assert bytes_in(folder) == limit
    assert_fresh(frames, paths[2:4])
    assert decode_frames(paths[:1], SPEC, cache_dir=folder, max_bytes=limit).cached == 1
    assert not list(folder.glob("*/*.part"))
    assert len(list(folder.glob("*/*.frames"))) == len(list(folder.glob("*/*.json"))) == 3


def test_set_larger_than_the_limit_is_not_cached(paths: list[Path], folder: Path) -> None:
    frames = decode_frames(paths, SPEC, cache_dir=folder, max_bytes=FRAME_BYTES)
    assert frames.cached == 0
    assert frames[0].shape == (64, 36, 3)
    assert not folder.exists()


def test_many_small_packs_are_one_set(paths: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 2 * FRAME_BYTES)
    for _ in range(2):
        frames = decode_frames(paths, SPEC, cache_dir=folder)
        assert len(frames.packs) == 3
        assert_fresh(frames, paths)


def test_an_interrupted_filling_goes_on_where_it_was(
    paths: list[Path], folder: Path, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "PACK_BYTES", 2 * FRAME_BYTES)
    add = packs.PackWriter.add

    def interrupted(self: packs.PackWriter, digest: bytes, frame: np.ndarray) -> packs.Place:
        if len(list(folder.glob("*/*.json"))) == 1 and self.digests:
            raise KeyboardInterrupt
        return add(self, digest, frame)

    with monkeypatch.context() as patch:
        patch.setattr(packs.PackWriter, "add", interrupted)
        with pytest.raises(KeyboardInterrupt):
            decode_frames(paths, SPEC, cache_dir=folder, workers=1)
    assert bytes_in(folder) == 2 * FRAME_BYTES
    decoded.clear()
    assert_fresh(decode_frames(paths, SPEC, cache_dir=folder), paths)
    assert len(decoded) == 3 + len(paths)  # those that were missing, and those to compare with


@pytest.mark.parametrize("damage", ["cut", "no notes", "bad notes", "bad table"])
def test_a_damaged_cache_is_not_believed(paths: list[Path], folder: Path, damage: str) -> None:
    pack = decode_frames(paths, SPEC, cache_dir=folder).packs[0]
    if damage == "cut":
        pack.write_bytes(pack.read_bytes()[:-1])
    elif damage == "no notes":
        pack.with_suffix(".json").unlink()
    elif damage == "bad notes":
        pack.with_suffix(".json").write_text('{"frames": 3}')
    else:
        CacheFolder(folder).files.write_bytes(b"no table at all" * 100)
    for _ in range(2):
        frames = decode_frames(paths, SPEC, cache_dir=folder)
        assert frames.cached == 5
        assert_fresh(frames, paths)


def test_frames_travel_to_another_process_as_places_and_survive_the_loss_of_the_cache(
    paths: list[Path], folder: Path
) -> None:
    frames = decode_frames(paths, SPEC, cache_dir=folder)
    sent = pickle.dumps(frames)
    assert len(sent) < FRAME_BYTES
    assert_fresh(pickle.loads(sent), paths)
    shutil.rmtree(folder)
    assert_fresh(pickle.loads(sent), paths)
    assert_fresh(frames, paths)  # what is mapped stays


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_done_without(paths: list[Path], folder: Path) -> None:
    folder.mkdir(mode=0o500)
    assert decode_frames(paths, SPEC, cache_dir=folder).cached == 0


def test_a_full_disk_costs_speed_only(paths: list[Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> packs.Place:
        raise OSError(28, "No space left on device")

    paths[1].write_bytes(b"bad")
    monkeypatch.setattr(packs.PackWriter, "add", full)
    frames = decode_frames(paths, SPEC, cache_dir=folder)
    assert set(frames.failures) == {1}
    assert_fresh(frames, [paths[0]])
    assert bytes_in(folder) == 0


FILL = """
import sys
from pathlib import Path
from flipdetect.data.cache import decode_frames
from flipdetect.data.preprocess import PreprocessSpec
read, count = PreprocessSpec.read, []
PreprocessSpec.read = lambda self, source: (count.append(1), read(self, source))[1]
sys.stdin.readline()
frames = decode_frames(sorted(Path(sys.argv[1]).iterdir()), PreprocessSpec(64, 36), cache_dir=Path(sys.argv[2]))
print(len(count), frames.cached, sum(int(frames[i].sum()) for i in range(len(frames.files))))
"""


def test_two_processes_that_fill_at_once_decode_each_frame_once(tmp_path: Path, folder: Path) -> None:
    for i in range(40):
        write_frame(tmp_path / "frames" / f"{i:02d}.jpg", page_frame(bool(i % 2), i, 640))
    command = [sys.executable, "-c", FILL, str(tmp_path / "frames"), str(folder)]
    pipe = subprocess.PIPE
    fillers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for filler in fillers:
        assert filler.stdin is not None
        filler.stdin.write("go\n")
        filler.stdin.flush()
    results = [filler.communicate(timeout=120) for filler in fillers]
    assert [filler.returncode for filler in fillers] == [0, 0], results
    counts, cached, sums = zip(*(map(int, out.split()) for out, _ in results), strict=True)
    assert sum(counts) == 40
    assert cached == (40, 40)
    assert sums[0] == sums[1]
    assert bytes_in(folder) == 40 * FRAME_BYTES
