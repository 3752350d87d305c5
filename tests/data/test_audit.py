"""The audit of a split: leaks that its table shows, planted faults in pictures, clean sets left in peace."""

from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from flipdetect.data.audit.audit_report import sentences, warnings
from flipdetect.data.audit.findings import AuditReport, audit_frames, audit_split
from flipdetect.data.grouped_splits import split_records
from flipdetect.data.index import index_frames
from flipdetect.data.splits import Split, read_split
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.synth import SynthConfig, render_dataset
from tests.data.drawn_books import drawn_frame, make_drawn_books, plant
from tests.data.test_grouped_splits import clip, clips
from tests.frame_sets import write_frame

CLASSES = ClassNames()


def clean_split(root: Path) -> Split:
    records = index_frames(root, classes=CLASSES, check=False).records
    return split_records(records, classes=CLASSES, group_by="source")


def planted_audit(root: Path) -> AuditReport:
    """The audit of a set with planted faults, of which it has missed none."""
    planted = plant(root)
    index = index_frames(root, classes=CLASSES, manifest=planted.manifest, check=False)
    audit = audit_frames(read_split(planted.split_file, index.records, index.root, CLASSES))
    found: dict[str, set[str]] = {"copy": set(), "conflict": set()}
    for finding in audit.findings:
        assert "new-" in (finding.first.video[:4], finding.second.video[:4])  # nobody else is accused
        for record in (finding.first, finding.second):
            found[finding.kind].add(record.path.relative_to(root).as_posix())
    assert {*planted.copied, *planted.encoded} <= found["copy"]
    assert set(planted.relabelled) <= found["conflict"]
    assert audit.faults
    return audit


@pytest.fixture
def drawn_books(tmp_path: Path) -> Path:
    return make_drawn_books(tmp_path / "books")


def test_a_clean_set_is_left_in_peace(drawn_books: Path) -> None:
    audit = audit_frames(clean_split(drawn_books))
    assert audit.findings == ()
    assert not audit.faults
    assert warnings(audit) == []
    assert "No video is in two splits." in sentences(audit)
    assert sum(sum(counts) for counts in audit.balance_of_sources.values()) == 96


def test_planted_faults_are_found(drawn_books: Path) -> None:
    text = "\n".join(warnings(planted_audit(drawn_books)))
    assert "pairs of frames show the same picture and have opposite labels" in text
    assert "show the same picture as a training frame" in text


@pytest.mark.slow
def test_planted_faults_are_found_in_a_rendered_set_whose_twins_are_alike(tmp_path: Path) -> None:
    config = SynthConfig(seed=9, sources=10, clips_per_source=4, frames_per_clip=2, height=192)
    render_dataset(tmp_path / "set", config, workers=1)
    assert audit_frames(clean_split(tmp_path / "set")).findings == ()
    planted_audit(tmp_path / "set")


def records_of(root: Path, *frames: tuple[str, str, int, str | None]) -> list[FrameRecord]:
    """Records with files: (label, video, moment, source); the book drawn is 7, for source B it is 8."""
    records = []
    for number, (label, video, moment, source) in enumerate(frames):
        path = root / f"{number}.png"
        write_frame(path, drawn_frame(8 if source == "B" else 7, label == "flip", moment))
        records.append(FrameRecord(path, label, video, moment, source))
    return records


def test_copies_in_one_split_are_reported_but_are_no_fault(tmp_path: Path) -> None:
    records = records_of(tmp_path, ("flip", "1", 0, None), ("flip", "2", 0, None), ("flip", "2", 0, None))
    audit = audit_frames(Split(tuple(records), ("train",) * 3, CLASSES))
    assert [finding.kind for finding in audit.findings] == ["twice", "twice"]
    assert not audit.faults
    assert audit.single_frame_videos == ("1",)


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    records = records_of(tmp_path, ("flip", "1", 0, "A"), ("flip", "2", 0, "B"), ("flip", "3", 1, "B"))
    records[0].path.write_bytes(b"no image")
    black = drawn_frame(0, True, 0) * 0
    records[1].path.write_bytes(cv2.imencode(".png", black)[1].tobytes())
    audit = audit_frames(Split(tuple(records), ("train", "val", "test"), CLASSES))
    assert list(audit.unread) == [records[0].path]
    assert audit.flat == 1
    assert audit.findings == ()
    assert any("could not be read" in sentence for sentence in sentences(audit))


def test_thumbnails_are_kept_and_found_again(drawn_books: Path, tmp_path: Path) -> None:
    split = clean_split(drawn_books)
    first = audit_frames(split, cache_dir=tmp_path / "cache")
    files = {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*.npy")}
    assert files
    assert audit_frames(split, cache_dir=tmp_path / "cache") == first
    # A second decoding would have written another file.
    assert {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*.npy")} == files


def dealt(**sides):
    """A split from lists of records by side."""
    records = [record for side in sides.values() for record in side]
    names = [name for name, side in sides.items() for _ in side]
    return Split(tuple(records), tuple(names), CLASSES)


def test_a_grouped_split_does_not_leak():
    report = audit_split(split_records(clips(), classes=CLASSES))
    assert not report.leaks
    assert "No video is in two splits." in sentences(report)


def test_a_supplied_split_that_cuts_through_clips_is_told_in_plain_words():
    # Every fourth frame of each clip is the test set, as in MonReader.
    records = [
        replace(record, supplied_split="test" if record.frame % 4 == 2 else "train") for record in clips(6, frames=8)
    ]
    report = audit_split(split_records(records, classes=CLASSES, use_supplied_test=True))
    assert report.leaks
    assert report.test_frames == 24
    text = "\n".join(sentences(report))
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
    assert "1 files are both in training and in validation" in sentences(report)[0]


def test_shared_sources_are_told_but_are_no_leak():
    split = dealt(train=clip("flip", "1", 2, "A"), test=clip("flip", "2", 2, "A") + clip("flip", "3", 1, "B"))
    report = audit_split(split)
    assert not report.leaks
    assert [shared.names for shared in report.sources] == [("A",)]
    assert report.sources[0].frames == 2
    assert any("not for unknown" in sentence for sentence in sentences(report))


def test_class_balance_of_each_side():
    report = audit_split(dealt(train=clip("flip", "1", 3) + clip("notflip", "1", 1), val=clip("flip", "2", 2)))
    assert report.balance == {"train": (1, 3), "val": (0, 2)}
    assert "Training: 4 frames, 3 flip (75%) and 1 notflip." in sentences(report)
