import pytest

from flipdetect.data.grouped_splits import split_records
from flipdetect.data.splits import read_split, write_split
from flipdetect.errors import DataError
from tests.data.test_grouped_splits import CLASSES, assignment, clip, clips

SMALL = clip("flip", "1", 2) + clip("notflip", "1", 2)
ROWS = [
    "flip/1_000000000.jpg,train",
    "notflip/1_000000000.jpg,train",
    "flip/1_000000001.jpg,val",
    "notflip/1_000000001.jpg,val",
]


def read(tmp_path, *rows, header="path,split", records=SMALL):
    """The split that a hand-made file gives to some records."""
    path = tmp_path / "splits.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return read_split(path, records, SMALL[0].path.parents[1], CLASSES)


def test_what_is_written_is_read_back_elsewhere(tmp_path):
    split = split_records(clips(sources=4), classes=CLASSES)
    write_split(split, tmp_path / "run" / "splits.csv", split.records[0].path.parents[1])
    moved = clips(sources=4, root="/elsewhere")
    again = read_split(tmp_path / "run" / "splits.csv", moved[::-1], moved[0].path.parents[1], CLASSES)
    assert assignment(again) == assignment(split)
    assert not again.notes


def test_missing_extra_and_relabelled_files_are_noted(tmp_path, caplog):
    rows = [row.replace(",", ",flip,") for row in [*ROWS, "flip/9_1.jpg,val"]]
    extra = clip("flip", "7", 1)
    split = read(tmp_path, *rows, header="path,label,split", records=SMALL + extra)
    assert len(split.records) == 4
    missing, left_out, relabelled = split.notes
    assert "1 files in splits.csv are not in the data set" in missing
    assert "flip/9_1.jpg" in missing
    assert "1 frames of the data set are not in splits.csv" in left_out
    assert "flip/7_000000000.jpg" in left_out
    assert "2 files have another label" in relabelled
    assert missing in caplog.text


def test_a_hand_made_file_may_leak_and_use_other_words(tmp_path):
    rows = [row.replace("train", "Training").replace("val", "validation") for row in ROWS]
    split = read(tmp_path, *rows, ROWS[0].replace("train", "val"))
    assert [len(split.train), len(split.val), len(split.test)] == [2, 3, 0]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS[:2], "the val split has no frame of 'notflip'"),
        (ROWS[2:], "the train split"),
        (ROWS[:3], "the val split has no frame of 'notflip'"),
        ([*ROWS[:3], "notflip/1_000000001.jpg,test"], "the val split"),
        (["flip/9.jpg,train"], "none of the 1 files"),
        ([*ROWS, "flip/1_000000000.jpg,holdout"], "1 rows whose split is none of train, val, test.*line 6: 'holdout'"),
    ],
)
def test_unusable_files_are_refused(tmp_path, rows, said):
    with pytest.raises(DataError, match=said):
        read(tmp_path, *rows)


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no split file.*found: path, label"):
        read(tmp_path, header="path,label")
    with pytest.raises(DataError, match="cannot be read"):
        read_split(tmp_path / "absent.csv", SMALL, SMALL[0].path.parents[1], CLASSES)
