"""Extract frame files in MonReader's layout from labelled videos (`flip/*.mp4`, `notflip/*.mp4`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from flipdetect.errors import FrameError
from flipdetect.progress import progress_bar
from flipdetect.records import ClassNames
from flipdetect.sources.class_folders import FolderRole, folder_role
from flipdetect.sources.folder import VIDEO_SUFFIXES, Problem, find_files
from flipdetect.sources.video import open_video

JPEG_QUALITY = 95
"""High enough that a model sees the compression of the video, not of the frame files."""

LabelledVideo = tuple[Path, FolderRole]
"""A video in a class folder, all of whose frames have the folder's label."""
Row = tuple[str, str, str, int, str, str]
"""path, label, video, frame, source, original."""


def find_clips(root: Path, classes: ClassNames) -> list[LabelledVideo]:
    """Videos in class folders below `root`, in natural order.

    Raises:
        DataError: if `root` is no folder.
    """
    found = [
        (path, folder_role(path.parent.relative_to(root).parts, classes))
        for path in find_files(root, VIDEO_SUFFIXES).files
    ]
    return [(path, role) for path, role in found if role is not None]


def write_clips(
    clips: Sequence[LabelledVideo], root: Path, target: Path, rate: float
) -> tuple[list[Row], list[Problem]]:
    """Write frames of all videos as `[training|testing/]label/VideoID_FrameNumber.jpg`.

    Videos are numbered per label in the order given; the frame number counts all frames of the video, from 1. The
    source of a video is its folder below the class folder if there is one (`flip/book A/1.mp4`), else its own name.
    Damaged videos give the frames that can be read, and are reported.

    Args:
        clips: the videos.
        root: the folder that the videos' paths are written relative to.
        target: the folder to write to.
        rate: frames per second to keep, at most all there are.

    Returns:
        Rows for a manifest, one per frame; and the videos that were not read in full.
    """
    rows: list[Row] = []
    problems: list[Problem] = []
    numbers: Counter[str] = Counter()
    for path, role in progress_bar(clips, desc="reading videos", unit="video", delay=2, leave=False):
        numbers[role.label] += 1
        clip_id = f"{numbers[role.label]:04d}"
        folder = target / {"train": "training", "test": "testing"}.get(role.supplied_split or "", "") / role.label
        folder.mkdir(parents=True, exist_ok=True)
        original = path.relative_to(root).as_posix()
        kept, lost = 0, ""
        try:
            with open_video(path, rate_hz=rate) as video:
                for frame in video:
                    file = folder / f"{clip_id}_{frame.index + 1:09d}.jpg"
                    Image.fromarray(frame.image).save(file, quality=JPEG_QUALITY)
                    relative = file.relative_to(target).as_posix()
                    source = role.subfolder or path.stem
                    rows.append((relative, role.label, f"{role.label}/{clip_id}", frame.index + 1, source, original))
                    kept += 1
                lost = video.lost
        except FrameError as error:
            lost = f"it cannot be read ({error})"
        if lost or not kept:
            used = f"used with {kept:,} frames" if kept else "no frame could be read"
            problems.append(Problem(Path(original), f"{used}: {lost or 'it has none'}"))
    return rows, problems
