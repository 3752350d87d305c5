"""Turn labelled videos (`flip/*.mp4`, `notflip/*.mp4`) into frame files in MonReader's layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from flipdetect.data.layout import FolderRole, folder_role
from flipdetect.records import ClassNames
from flipdetect.sources.folder import Problem, find_files

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".3gp", ".mts"})
# High enough that what a model sees is the video's compression, not ours.
JPEG_QUALITY = 95
# Containers round time stamps, to a millisecond at worst.
_TIME_TOLERANCE = 0.002


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
    """What of a video could not be read: packets and frames that are damaged, and how it ended, if badly."""

    packets: int = 0
    frames: int = 0
    end: str = ""

    def words(self) -> str:
        """In plain words; empty if nothing was lost."""
        parts = []
        if self.packets:
            parts.append(f"{self.packets:,} packets could not be decoded")
        if self.frames:
            parts.append(f"{self.frames:,} frames were damaged")
        return ", ".join([*parts, self.end] if self.end else parts)


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
    for clip in tqdm(clips, desc="reading videos", unit="video", delay=2, leave=False):
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

    Time stamps decide, so that a variable frame rate is no trouble. Damage ends or thins the frames and is
    counted in `loss`; it raises nothing.

    Yields:
        the frame's number in the video, from 1, and its pixels, `(H, W, 3) uint8` RGB.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                loss.end = "it has no picture"
                return
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            frame_rate = float(stream.average_rate or 30)
            number, taken, start = 0, 0, 0.0
            for frame in _decoded(container, stream, loss):
                number += 1
                time = frame.time if frame.time is not None else (number - 1) / frame_rate
                start = time if number == 1 else start
                if time - start < taken / rate - _TIME_TOLERANCE:
                    continue
                # The next frame is due on the grid of the rate, however late this one came.
                taken = max(taken + 1, int((time - start + _TIME_TOLERANCE) * rate) + 1)
                yield number, _upright(frame)
            # Containers count B-frames and edits differently: only a clear shortfall is worth a word.
            if stream.frames and number + loss.frames < 0.97 * stream.frames - 1:
                loss.end = f"it breaks off after {number:,} of {stream.frames:,} frames"
    except (av.FFmpegError, OSError) as error:
        loss.end = f"it cannot be read ({error.strerror or error})"


def _decoded(container: av.container.InputContainer, stream: av.VideoStream, loss: ClipLoss) -> Iterator[av.VideoFrame]:
    """All frames that can be decoded. The end is found by the demultiplexer, damaged packets are passed over."""
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                loss.packets += 1
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame) and not frame.is_corrupt:
                    yield frame
                else:
                    loss.frames += 1
    except av.FFmpegError as error:
        loss.end = f"it breaks off ({error.strerror or error})"


def _upright(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """Pixels turned as the video's display matrix (a phone held upright) asks, `(H, W, 3) uint8` RGB."""
    pixels = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)), dtype=np.uint8)
