import csv

import numpy as np
import pytest
from PIL import Image

from flipdetect.data.grouped_splits import split_records
from flipdetect.data.index import index_frames
from flipdetect.errors import DataError
from flipdetect.records import ClassNames
from flipdetect.sources.naming import NamePattern

FLIPS = ClassNames()
EYES = NamePattern(r"(?P<source>s\d+)_(?P<frame>\d+)_\d_\d_(?P<label>[01])_", {"0": "closed", "1": "open"})


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    return root


def told(index):
    """What each record says, by its path relative to the root."""
    return {
        record.path.relative_to(index.root).as_posix(): (record.label, record.video, record.frame)
        for record in index.records
    }


def reasons(index):
    return {problem.path.name: problem.reason for problem in index.problems}


def test_class_folders_at_the_root(tmp_path):
    make(tmp_path, "flip/0001_000000010.jpg", "notflip/0001_000000010.jpg")
    index = index_frames(tmp_path, classes=FLIPS)
    assert told(index) == {
        "flip/0001_000000010.jpg": ("flip", "flip/0001", 10),
        "notflip/0001_000000010.jpg": ("notflip", "notflip/0001", 10),
    }
    assert {record.supplied_split for record in index.records} == {None}
    assert not index.problems


def test_a_clip_in_training_and_testing_is_one_video(tmp_path):
    make(tmp_path, "training/flip/0001_000000010.jpg", "testing/flip/0001_000000011.jpg")
    make(tmp_path, "Train/NotFlip/0002_000000001.jpg", "val/flip/0003_000000001.jpg")
    index = index_frames(tmp_path, classes=FLIPS)
    assert {record.video: record.supplied_split for record in index.records if record.frame != 11} == {
        "flip/0001": "train",
        "notflip/0002": "train",
        "flip/0003": "train",
    }
    assert [record.video for record in index.records if record.supplied_split == "test"] == ["flip/0001"]


def test_a_subfolder_is_part_of_the_video(tmp_path):
    make(tmp_path, "flip/book A/0001_000000010.jpg", "flip/clip 3/0007.png", "flip/clip 3/deep/frame_8.png")
    assert told(index_frames(tmp_path, classes=FLIPS)) == {
        "flip/book A/0001_000000010.jpg": ("flip", "flip/book A/0001", 10),
        "flip/clip 3/0007.png": ("flip", "flip/clip 3", 7),
        "flip/clip 3/deep/frame_8.png": ("flip", "flip/clip 3/deep", 8),
    }


def test_names_without_a_video_make_the_split_untrustworthy(tmp_path):
    make(tmp_path, "flip/A_tile_001.jpg", "flip/7.jpg", "notflip/0001_1.jpg")
    index = index_frames(tmp_path, classes=FLIPS)
    assert {record.video for record in index.records} == {"flip/A_tile_001", "flip/7", "notflip/0001"}
    assert index.unnamed == {"flip/A_tile_001", "flip/7"}
    assert "3 frames of 1 videos, 2 of them of unknown videos" in index.summary()
    assert "The names of 2 of 3 frames do not contain a video" in index.warning
    assert "the split cannot be trusted" in index.summary()
    assert "--data.naming.one_film true" in index.summary()


def test_frames_without_videos_are_not_counted_as_videos(tmp_path):
    make(tmp_path, *(f"{label}/IMG_{number:04d}.jpg" for label in ("flip", "notflip") for number in range(3)))
    assert f"{tmp_path}: 6 frames of unknown videos" in index_frames(tmp_path, classes=FLIPS).summary()
    named = make(tmp_path / "named", "flip/1_1.jpg", "notflip/2_1.jpg")
    assert index_frames(named, classes=FLIPS).warning == ""


def test_one_film_is_cut_into_blocks_of_successive_frames(tmp_path):
    make(tmp_path, *(f"{'flip' if n % 10 < 3 else 'notflip'}/IMG_{n:04d}.jpg" for n in range(100)))
    index = index_frames(tmp_path, classes=FLIPS, pattern=NamePattern(one_film=True))
    blocks = {}
    for record in index.records:
        blocks.setdefault(record.video, []).append(record.frame)
    assert sorted(number for numbers in blocks.values() for number in numbers) == list(range(100))
    assert all(max(numbers) - min(numbers) == len(numbers) - 1 for numbers in blocks.values())
    assert len(blocks) == 10
    assert index.warning == ""
    assert "100 frames of 10 videos" in index.summary()
    split = split_records(index.records, classes=FLIPS)
    assert {record.video for record in split.train}.isdisjoint(record.video for record in split.test)


def test_frames_numbered_anew_in_each_folder_are_not_one_film(tmp_path):
    make(tmp_path, *(f"{label}/{n}.jpg" for label in ("flip", "notflip") for n in range(4)), "flip/cover.jpg")
    with pytest.raises(DataError, match="4 have the number of another frame"):
        index_frames(tmp_path, classes=FLIPS, pattern=NamePattern(one_film=True))


def test_names_alone_can_tell_label_and_subject(tmp_path):
    make(tmp_path, "s0001/s0001_00001_0_0_1_0_0_01.png", "x/s0001_00002_0_0_0_0_0_01.png", "x/other.png")
    index = index_frames(tmp_path, classes=ClassNames("open", "closed"), pattern=EYES)
    assert told(index) == {
        "s0001/s0001_00001_0_0_1_0_0_01.png": ("open", "s0001", 1),
        "x/s0001_00002_0_0_0_0_0_01.png": ("closed", "s0001", 2),
    }
    assert {record.source for record in index.records} == {"s0001"}
    assert "does not match the pattern" in reasons(index)["other.png"]


def test_a_captured_label_that_is_no_class_is_a_problem(tmp_path):
    make(tmp_path, "s0001_00001_0_0_1_0_0_01.png", "s0002_00001_0_0_0_0_0_01.png")
    index = index_frames(tmp_path, classes=ClassNames("open", "shut"), pattern=EYES)
    assert len(index.records) == 1
    assert "label 'closed' is none of the classes" in reasons(index)["s0002_00001_0_0_0_0_0_01.png"]


def test_a_pattern_without_label_works_with_class_folders(tmp_path):
    make(tmp_path, "flip/bookA-clip7-3.jpg", "flip/0001_3.jpg")
    pattern = NamePattern(r"(?P<source>\w+)-clip(?P<video>\d+)-(?P<frame>\d+)")
    index = index_frames(tmp_path, classes=FLIPS, pattern=pattern)
    assert told(index) == {"flip/bookA-clip7-3.jpg": ("flip", "flip/7", 3)}
    assert index.records[0].source == "bookA"
    assert list(reasons(index)) == ["0001_3.jpg"]


def test_labels_csv_in_the_root_describes_the_set(tmp_path):
    make(tmp_path, "a/x.jpg", "a/0002_7.jpg", "notflip/0003_1.jpg")
    (tmp_path / "labels.csv").write_text(
        "path,label,video,frame,source\na/x.jpg,flip,v1,3,A\na/0002_7.jpg,notflip,,,\na/x.jpg,notflip,v2,3,A\n"
        "a/absent.jpg,flip,v1,4,A\nnotflip/0003_1.jpg,maybe,,,\n"
    )
    index = index_frames(tmp_path, classes=FLIPS)
    assert told(index) == {"a/x.jpg": ("flip", "v1", 3), "a/0002_7.jpg": ("notflip", "a/0002", 7)}
    assert index.records[0].source == "A"
    found = reasons(index)
    assert found["x.jpg"] == "line 4 of labels.csv: the path was already given in line 2"
    assert "there is no such file" in found["absent.jpg"]
    assert "line 6 of labels.csv: label 'maybe'" in found["0003_1.jpg"]


def test_a_given_manifest_comes_before_labels_csv(tmp_path):
    make(tmp_path / "set", "training/1_1.jpg")
    (tmp_path / "set" / "labels.csv").write_text("path,label\ntraining/1_1.jpg,notflip\n")
    (tmp_path / "other.csv").write_text("path,label\nset/training/1_1.jpg,flip\n")
    index = index_frames(tmp_path / "set", classes=FLIPS, manifest=tmp_path / "other.csv")
    assert [record.label for record in index.records] == ["flip"]
    assert index.root == tmp_path


def test_a_manifest_of_split_folders_keeps_the_supplied_split(tmp_path):
    make(tmp_path, "testing/flip/1_1.jpg", "training/flip/1_2.jpg")
    (tmp_path / "labels.csv").write_text("path,label\ntesting/flip/1_1.jpg,flip\ntraining/flip/1_2.jpg,flip\n")
    index = index_frames(tmp_path, classes=FLIPS)
    assert [record.supplied_split for record in index.records] == ["test", "train"]
    assert {record.video for record in index.records} == {"flip/1"}


def test_unusable_files_are_reported_and_the_rest_is_used(tmp_path):
    make(tmp_path, "flip/0001_1.jpg", "other/deep/1_1.jpg", "other/deep/1_2.jpg", "loose.jpg")
    (tmp_path / "flip" / "0001_2.jpg").touch()
    (tmp_path / "flip" / "0001_3.jpg").write_text("no image")
    (tmp_path / "flip" / "0001_4.jpg").mkdir()
    index = index_frames(tmp_path, classes=FLIPS)
    assert [record.path.name for record in index.records] == ["0001_1.jpg"]
    assert {name: reason.split(";")[0] for name, reason in reasons(index).items()} == {
        "0001_2.jpg": "the file is empty (0 bytes)",
        "0001_3.jpg": "it is no JPEG, PNG, WebP or BMP image, whatever its name says",
        "deep": "2 frame files lie outside of the class folders flip/ and notflip/",
        tmp_path.name: "1 frame file lies outside of the class folders flip/ and notflip/",
    }


def test_summary_counts_in_plain_words(tmp_path):
    make(tmp_path, "training/flip/1_1.jpg", "training/flip/1_2.jpg", "testing/notflip/2_1.jpg")
    for number in range(5):
        (tmp_path / "training" / "flip" / f"9_{number}.jpg").touch()
    summary = index_frames(tmp_path, classes=FLIPS).summary()
    assert "3 frames of 2 videos" in summary
    assert "flip: 2 frames of 1 videos" in summary
    assert "supplied test folder: 1 frames" in summary
    assert "could not be used: 5 (training/flip/9_0.jpg: the file is empty" in summary
    assert "and 2 more" in summary


def test_all_problems_are_written(tmp_path):
    make(tmp_path / "set", "flip/1_1.jpg")
    for number in range(5):
        (tmp_path / "set" / "flip" / f"9_{number}, «x».jpg").touch()
    index_frames(tmp_path / "set", classes=FLIPS).write_problems(tmp_path / "out" / "problems.csv")
    rows = list(csv.reader((tmp_path / "out" / "problems.csv").open(encoding="utf-8")))
    assert rows[0] == ["path", "reason"]
    assert [row[0] for row in rows[1:]] == [f"flip/9_{number}, «x».jpg" for number in range(5)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["problems.csv"]


def test_nothing_usable_says_what_was_sought_and_found(tmp_path):
    make(tmp_path, "like/1_1.jpg", "dislike/1_1.jpg")
    with pytest.raises(DataError) as caught:
        index_frames(tmp_path, classes=FLIPS)
    message = str(caught.value)
    assert "flip/ and notflip/" in message
    assert "found the folders dislike/, like/" in message
    assert "data.classes" in message


def test_a_wrapped_set_is_pointed_out(tmp_path):
    make(tmp_path, "images/training/flip/1_1.jpg")
    with pytest.raises(DataError, match=f"set data.root to {tmp_path / 'images'}"):
        index_frames(tmp_path, classes=FLIPS)


@pytest.mark.realdev
def test_real_frames_by_manifest(realdev):
    index = index_frames(realdev, classes=FLIPS)
    assert len(index.records) == len((realdev / "labels.csv").read_text().splitlines()) - 1
    assert not index.problems
    assert {record.source for record in index.records} >= {"A", "D"}
