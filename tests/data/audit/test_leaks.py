from dataclasses import replace

from flipdetect.data.audit.leaks import audit_split
from flipdetect.data.grouped_splits import split_records
from flipdetect.data.splits import Split
from tests.data.test_grouped_splits import CLASSES, clip, clips


def dealt(**sides):
    """A split from lists of records by side."""
    records = [record for side in sides.values() for record in side]
    names = [name for name, side in sides.items() for _ in side]
    return Split(tuple(records), tuple(names), CLASSES)


def test_a_grouped_split_does_not_leak():
    report = audit_split(split_records(clips(), classes=CLASSES))
    assert not report.leaks
    assert "No video is in two splits." in report.sentences()


def test_a_supplied_split_that_cuts_through_clips_is_told_in_plain_words():
    # Every fourth frame of each clip is the test set, as in MonReader.
    records = [
        replace(record, supplied_split="test" if record.frame % 4 == 2 else "train") for record in clips(6, frames=8)
    ]
    report = audit_split(split_records(records, classes=CLASSES, use_supplied_test=True))
    assert report.leaks
    assert report.test_frames == 24
    text = "\n".join(report.sentences())
    assert "test frames come from videos that are also in training" in text
    assert "the test score measures memory, not skill. Remedy:" in text


def test_counts_of_shared_videos_and_neighbours():
    flip, other = clip("flip", "1", 10), clip("notflip", "1", 4)
    split = dealt(train=[*flip[:3], other[0]], val=[other[1]], test=[*flip[3:6], other[3], *clip("flip", "2", 2)])
    report = audit_split(split)
    shared = {(s.first, s.second): (s.names, s.frames, s.of_frames) for s in report.videos}
    assert shared == {
        ("train", "val"): (("notflip/1",), 1, 1),
        ("train", "test"): (("flip/1", "notflip/1"), 4, 6),
        ("val", "test"): (("notflip/1",), 1, 6),
    }
    assert report.neighbours == 1  # only frame 3 of flip/1 is next to a training frame (2)


def test_the_same_file_on_two_sides():
    flip = clip("flip", "1", 2)
    twice = replace(flip[0], path=flip[0].path.parent / "x" / ".." / flip[0].path.name, video="another")
    report = audit_split(dealt(train=flip, val=[twice]))
    assert report.leaks
    assert not report.videos
    assert "1 files are both in training and in validation" in report.sentences()[0]


def test_shared_sources_are_told_but_are_no_leak():
    split = dealt(train=clip("flip", "1", 2, "A"), test=clip("flip", "2", 2, "A") + clip("flip", "3", 1, "B"))
    report = audit_split(split)
    assert not report.leaks
    assert [shared.names for shared in report.sources] == [("A",)]
    assert report.sources[0].frames == 2
    assert any("not for unknown" in sentence for sentence in report.sentences())


def test_class_balance_of_each_side():
    report = audit_split(dealt(train=clip("flip", "1", 3) + clip("notflip", "1", 1), val=clip("flip", "2", 2)))
    assert report.balance == {"train": (1, 3), "val": (0, 2)}
    assert "Training: 4 frames, 3 flip (75%) and 1 notflip." in report.sentences()
