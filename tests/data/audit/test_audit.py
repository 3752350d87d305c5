"""The audit that looks at pictures: planted faults are found, clean sets are left in peace."""

from pathlib import Path

import cv2
import pytest

from flipdetect.data.audit.audit import FullAudit, audit_frames
from flipdetect.data.grouped_splits import split_records
from flipdetect.data.index import index_frames
from flipdetect.data.splits import Split, read_split
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.synth import SynthConfig, render_dataset
from tests.data.drawn_books import drawn_frame, make_drawn_books, plant
from tests.frame_sets import write_frame

CLASSES = ClassNames()


def clean_split(root: Path) -> Split:
    records = index_frames(root, classes=CLASSES, check=False).records
    return split_records(records, classes=CLASSES, group_by="source")


def planted_audit(root: Path) -> FullAudit:
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
    assert audit.warnings() == []
    assert "No video is in two splits." in audit.sentences()
    assert sum(sum(counts) for counts in audit.balance_of_sources.values()) == 96


def test_planted_faults_are_found(drawn_books: Path) -> None:
    text = "\n".join(planted_audit(drawn_books).warnings())
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
    assert any("could not be read" in sentence for sentence in audit.sentences())


def test_thumbnails_are_kept_and_found_again(drawn_books: Path, tmp_path: Path) -> None:
    split = clean_split(drawn_books)
    first = audit_frames(split, cache_dir=tmp_path / "cache")
    files = {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*.npy")}
    assert files
    assert audit_frames(split, cache_dir=tmp_path / "cache") == first
    # A second decoding would have written another file.
    assert {path: path.stat().st_ino for path in (tmp_path / "cache").rglob("*.npy")} == files
