"""Turn labelled videos (`flip/*.mp4`, `notflip/*.mp4`) into frame files in MonReader's layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.errors import FrameError
from flipdetect.progress import progress_bar
from flipdetect.records import ClassNames
from flipdetect.sources.class_folders import FolderRole, folder_role
from flipdetect.sources.folder import VIDEO_SUFFIXES, Problem, find_files
from flipdetect.sources.video import open_video

# High enough that what a model sees is the video's compression, not ours.
JPEG_QUALITY = 95


@dataclass(frozen=True, slots=True)
class LabelledVideo:
    """A video file in a class folder, all of whose frames have the folder's label."""

    path: Path
    role: FolderRole

    @property
    def source(self) -> str:
        """The folder below the class folder if there is one (`flip/book A/1.mp4`), else the video's own name."""
        return self.role.subfolder or self.path.stem


@dataclass(slots=True)
class ClipLoss:
    """What of a video could not be read."""

    what: str = ""

    def words(self) -> str:
        """In plain words; empty if nothing was lost."""
        return self.what


@dataclass(slots=True)
class ClipFrames:
    """The frames written, as rows for a manifest, and the videos that were not read in full."""

    rows: list[tuple[str, str, str, int, str, str]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def find_clips(root: Path, classes: ClassNames) -> list[LabelledVideo]:
    """Videos in class folders below `root`, in natural order.

    Raises:
        DataError: if `root` is no folder.
    """
    clips = []
    for path in find_files(root, VIDEO_SUFFIXES).files:
        role = folder_role(path.parent.relative_to(root).parts, classes)
        if role is not None:
            clips.append(LabelledVideo(path, role))
    return clips


def write_clips(clips: list[LabelledVideo], root: Path, target: Path, rate: float) -> ClipFrames:
    """Write frames of all videos as `[training|testing/]label/VideoID_FrameNumber.jpg`.

    Videos are numbered per label in the order given; the frame number counts the video's own frames from 1.

    Args:
        clips: the videos.
        root: the folder that the videos' paths are to be written down relative to.
        target: the folder to write to.
        rate: frames per second to keep, at most all there are.
    """
    result = ClipFrames()
    numbers: Counter[str] = Counter()
    for clip in progress_bar(clips, desc="reading videos", unit="video", delay=2, leave=False):
        label = clip.role.label
        numbers[label] += 1
        clip_id = f"{numbers[label]:04d}"
        side = {"train": "training", "test": "testing"}.get(clip.role.supplied_split or "", "")
        folder = target / side / label
        folder.mkdir(parents=True, exist_ok=True)
        original = clip.path.relative_to(root).as_posix()
        loss = ClipLoss()
        kept = 0
        for number, pixels in sampled_frames(clip.path, rate, loss):
            path = folder / f"{clip_id}_{number:09d}.jpg"
            Image.fromarray(pixels).save(path, quality=JPEG_QUALITY)
            relative = path.relative_to(target).as_posix()
            result.rows.append((relative, label, f"{label}/{clip_id}", number, clip.source, original))
            kept += 1
        if loss.words() or not kept:
            kept_words = f"used with {kept:,} frames" if kept else "no frame could be read"
            result.problems.append(Problem(Path(original), f"{kept_words}: {loss.words() or 'it has none'}"))
    return result


def sampled_frames(path: Path, rate: float, loss: ClipLoss) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames of a video at `rate` frames per second, upright.

    Damage ends or thins the frames and is noted in `loss`; it raises nothing.

    Yields:
        the frame's number in the video, from 1, and its pixels, `(H, W, 3) uint8` RGB.
    """
    try:
        with open_video(path, rate_hz=rate) as video:
            for frame in video:
                yield frame.index + 1, frame.image
            loss.what = video.lost
    except FrameError as error:
        loss.what = f"it cannot be read ({error})"
