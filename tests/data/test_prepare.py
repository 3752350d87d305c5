import csv
import io
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from flipdetect.data.prepare import prepare_data
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import ClassNames
from flipdetect.sources.naming import NamePattern
from tests.frame_sets import make_eye_set, make_monreader_set
from tests.killing import killed_before


def jpeg(level=0):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (level, level, level)).save(buffer, "JPEG")
    return buffer.getvalue()


def make_zip(path, names, prefix=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, name in enumerate(names):
            archive.writestr(prefix + name, jpeg(number))
    return path


def add_to_tar(archive, *names):
    for name in names:
        info = tarfile.TarInfo(name)
        info.size = len(jpeg())
        archive.addfile(info, io.BytesIO(jpeg()))


def make_video(path, frames=30, rate=30, size=(64, 48), noise=0):
    """Frames whose grey level counts them: level 8 * (number - 1), under noise that makes the file large."""
    rng = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(frames):
            level = np.full((size[1], size[0], 3), min(255, number * 8))
            pixels = (level + rng.integers(-noise, noise + 1, level.shape)).clip(0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def rows(path):
    return list(csv.DictReader(path.open(encoding="utf-8")))


MONREADER = [f"{side}/{label}/0001_{n:09d}.jpg" for side in ("training", "testing") for label in ("flip", "notflip")
             for n in (10, 20)]  # fmt: skip


class TestArchives:
    @pytest.mark.parametrize("prefix", ["", "images/", "download/images/"])
    def test_a_zip_keeps_its_layout_without_its_wrapping(self, tmp_path, prefix):
        source = make_zip(tmp_path / "a.zip", [*MONREADER, "README.txt", "__MACOSX/x.jpg"], prefix)
        index = prepare_data(source, tmp_path / "out")
        assert files(tmp_path / "out") == sorted(MONREADER)
        assert len(index.records) == len(MONREADER)
        assert index.root == tmp_path / "out"

    def test_a_compressed_tar(self, tmp_path):
        with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
            add_to_tar(archive, *(f"some/set/{name}" for name in MONREADER))
        assert not prepare_data(tmp_path / "a.tar.gz", tmp_path / "out").problems
        assert files(tmp_path / "out") == sorted(MONREADER)

    @pytest.mark.parametrize(
        "name", ["../evil.jpg", "flip/../../evil.jpg", "/tmp/evil.jpg", "..\\evil.jpg", "C:/evil.jpg"]
    )
    @pytest.mark.parametrize("kind", ["zip", "tar"])
    def test_names_that_lead_out_condemn_the_archive(self, tmp_path, name, kind):
        source = tmp_path / "inner" / f"a.{kind}"
        source.parent.mkdir()
        if kind == "zip":
            make_zip(source, [*MONREADER, name])
        else:
            with tarfile.open(source, "w") as archive:
                add_to_tar(archive, name)
        with pytest.raises(DataError, match="outside of the target"):
            prepare_data(source, tmp_path / "inner" / "out")
        assert files(tmp_path) == [f"inner/a.{kind}"]

    def test_links_and_devices_are_left_out_and_reported(self, tmp_path):
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            add_to_tar(archive, *MONREADER)
            for name, kind in (("a.jpg", tarfile.SYMTYPE), ("b.jpg", tarfile.LNKTYPE), ("c.jpg", tarfile.CHRTYPE)):
                info = tarfile.TarInfo(f"training/flip/{name}")
                info.type = kind
                info.linkname = "/etc/passwd"
                archive.addfile(info)
        index = prepare_data(tmp_path / "a.tar", tmp_path / "out")
        reasons = {problem.path.name: problem.reason.split(" in ")[0] for problem in index.problems}
        assert reasons == {"a.jpg": "is a link", "b.jpg": "is a link", "c.jpg": "is a device"}
        assert files(tmp_path / "out") == sorted([*MONREADER, "problems.csv"])
        assert len(rows(tmp_path / "out" / "problems.csv")) == 3

    def test_a_link_in_a_zip_is_left_out(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", MONREADER)
        with zipfile.ZipFile(source, "a") as archive:
            info = zipfile.ZipInfo("training/flip/x.jpg")
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
        index = prepare_data(source, tmp_path / "out")
        assert [problem.path.as_posix() for problem in index.problems] == ["training/flip/x.jpg"]
        assert not (tmp_path / "out" / "training/flip/x.jpg").exists()

    @pytest.mark.parametrize(
        ("name", "value", "said"),
        [("MAX_ENTRIES", 3, "more than 3 entries"), ("MAX_BYTES", 1000, "refusing to fill the disk")],
    )
    def test_limits(self, tmp_path, monkeypatch, name, value, said):
        monkeypatch.setattr(f"flipdetect.data.prepare.{name}", value)
        with pytest.raises(DataError, match=said):
            prepare_data(make_zip(tmp_path / "a.zip", MONREADER), tmp_path / "out")
        assert files(tmp_path) == ["a.zip"]

    def test_a_bomb_is_stopped_by_its_ratio(self, tmp_path, monkeypatch):
        monkeypatch.setattr("flipdetect.data.prepare.RATIO_FREE_BYTES", 10_000)
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("flip/0001_1.bmp", bytes(5_000_000))
        with pytest.raises(DataError, match="refusing to fill the disk"):
            prepare_data(tmp_path / "a.zip", tmp_path / "out")
        assert files(tmp_path) == ["a.zip"]

    def test_a_damaged_archive(self, tmp_path):
        source = make_zip(tmp_path / "a.zip", MONREADER)
        data = bytearray(source.read_bytes())
        data[60:200] = bytes(140)
        source.write_bytes(data)
        with pytest.raises(DataError, match=r"cannot be unpacked .* download it again"):
            prepare_data(source, tmp_path / "out")
        assert files(tmp_path) == ["a.zip"]


class TestVideos:
    def test_labelled_videos_become_numbered_frames(self, tmp_path):
        for name in ("flip/b10.mp4", "flip/b2.mp4", "notflip/desk 1/a.mp4"):
            make_video(tmp_path / "in" / name)
        index = prepare_data(tmp_path / "in", tmp_path / "out", rate=5)
        assert Counter(r.video for r in index.records) == {"flip/0001": 5, "flip/0002": 5, "notflip/0001": 5}
        assert "flip/0001_000000007.jpg" in files(tmp_path / "out")
        table = {row["video"]: (row["source"], row["original"]) for row in rows(tmp_path / "out" / "labels.csv")}
        assert table == {
            "flip/0001": ("b2", "flip/b2.mp4"),
            "flip/0002": ("b10", "flip/b10.mp4"),
            "notflip/0001": ("desk 1", "notflip/desk 1/a.mp4"),
        }

    def test_a_damaged_video_gives_what_can_be_read(self, tmp_path):
        make_video(tmp_path / "in" / "flip" / "a.avi", frames=60, noise=60)
        cut = make_video(tmp_path / "in" / "notflip" / "b.avi", frames=60, noise=60)
        cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
        (tmp_path / "in" / "notflip" / "c.mp4").write_bytes(b"no video at all")
        index = prepare_data(tmp_path / "in", tmp_path / "out")
        counts = Counter(record.video for record in index.records)
        assert counts["flip/0001"] == 20
        assert 1 <= counts["notflip/0001"] < 20
        reasons = {problem.path.as_posix(): problem.reason for problem in index.problems}
        assert "used with" in reasons["notflip/b.avi"]
        assert "breaks off" in reasons["notflip/b.avi"]
        assert "no frame could be read: it cannot be read" in reasons["notflip/c.mp4"]


class TestFrameFolders:
    def test_other_names_are_numbered_and_the_mapping_kept(self, tmp_path):
        for name in ("flip/clip10/1.png", "flip/clip2/1.png", "flip/clip2/2.png", "notflip/photo.png"):
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(path)
        index = prepare_data(tmp_path / "in", tmp_path / "out")
        table = {row["original"]: (row["path"], row["video"]) for row in rows(tmp_path / "out" / "labels.csv")}
        assert table == {
            "flip/clip2/1.png": ("flip/0001_000000001.png", "flip/clip2"),
            "flip/clip2/2.png": ("flip/0001_000000002.png", "flip/clip2"),
            "flip/clip10/1.png": ("flip/0002_000000001.png", "flip/clip10"),
            "notflip/photo.png": ("notflip/0001_000000001.png", "notflip/photo"),
        }
        assert {record.video for record in index.records} == {"flip/clip2", "flip/clip10", "notflip/photo"}

    def test_an_eye_set_keeps_its_subjects(self, tmp_path):
        make_eye_set(tmp_path / "in", people=2, frames=4)
        classes = ClassNames("open", "closed")
        pattern = NamePattern(r"(?P<source>s\d+)_(?P<frame>\d+)_\d_\d_(?P<label>[01])_", {"0": "closed", "1": "open"})
        index = prepare_data(tmp_path / "in", tmp_path / "out", classes=classes, pattern=pattern)
        assert Counter((r.label, r.source, r.video) for r in index.records) == {
            (label, f"s000{n}", f"s000{n}"): 2 for label in ("open", "closed") for n in (1, 2)
        }

    def test_unusable_files_are_left_out_and_listed(self, tmp_path):
        make_monreader_set(tmp_path / "in", videos=2)
        (tmp_path / "in" / "flip" / "0001_000000099.jpg").write_text("no image")
        index = prepare_data(tmp_path / "in", tmp_path / "out")
        assert [problem.path.as_posix() for problem in index.problems] == ["flip/0001_000000099.jpg"]
        assert not (tmp_path / "out" / "flip" / "0001_000000099.jpg").exists()
        assert [row["path"] for row in rows(tmp_path / "out" / "problems.csv")] == ["flip/0001_000000099.jpg"]


class TestTheTarget:
    def test_a_target_in_use_is_refused_unless_told(self, tmp_path):
        make_monreader_set(tmp_path / "in", videos=1)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "precious.txt").write_text("mine")
        with pytest.raises(ConfigError, match="--overwrite"):
            prepare_data(tmp_path / "in", tmp_path / "out")
        assert files(tmp_path / "out") == ["precious.txt"]
        prepare_data(tmp_path / "in", tmp_path / "out", overwrite=True)
        assert files(tmp_path / "out") == files(tmp_path / "in")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]

    def test_an_interruption_leaves_things_as_they_were(self, tmp_path, monkeypatch):
        make_monreader_set(tmp_path / "in", videos=1)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "old.txt").touch()
        copied = []

        def interrupted(source, target):
            copied.append(target)
            Path(target).touch()
            if len(copied) == 3:
                raise KeyboardInterrupt

        monkeypatch.setattr("shutil.copyfile", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_data(tmp_path / "in", tmp_path / "out", overwrite=True)
        assert len(copied) == 3
        assert files(tmp_path / "out") == ["old.txt"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]

    def test_a_kill_loses_neither_the_old_data_set_nor_the_new_one(self, tmp_path, monkeypatch):
        make_monreader_set(tmp_path / "in", videos=1)
        for number in range(20):
            place = tmp_path / str(number)
            (place / "out").mkdir(parents=True)
            (place / "out" / "old.txt").touch()
            with killed_before(number, monkeypatch) as killed:
                prepare_data(tmp_path / "in", place / "out", overwrite=True)
            with pytest.raises(ConfigError, match="--overwrite"):  # nor is what was there taken for nothing
                prepare_data(tmp_path / "in", place / "out")
            assert [path.name for path in place.iterdir()] == ["out"]
            found = files(place / "out")
            assert found == ["old.txt"] or len(found) > 1
            if not killed:
                break
        assert 2 < number < 19

    def test_overlapping_places_are_refused(self, tmp_path):
        make_monreader_set(tmp_path / "in", videos=1)
        for target in (tmp_path / "in", tmp_path / "in" / "sub", tmp_path):
            with pytest.raises(ConfigError, match="overlap"):
                prepare_data(tmp_path / "in", target, overwrite=True)
        assert len(files(tmp_path / "in")) == 6

    def test_impossible_inputs(self, tmp_path):
        (tmp_path / "x.rar").write_bytes(b"Rar!")
        with pytest.raises(ConfigError, match="neither a folder nor a zip or tar"):
            prepare_data(tmp_path / "x.rar", tmp_path / "out")
        with pytest.raises(ConfigError, match="does not exist"):
            prepare_data(tmp_path / "absent", tmp_path / "out")
        with pytest.raises(ConfigError, match="rate"):
            prepare_data(tmp_path, tmp_path / "out", rate=0)
