"""Page turns from any source in one call."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flipdetect.errors import DataError
from flipdetect.events.score_history import ScoredFrame
from flipdetect.inference.load import load_model
from flipdetect.inference.model import Model
from flipdetect.inference.settings import EventSettings, settings_of
from flipdetect.inference.video import RATE_HZ, REFINE, Scanner, ScanSettings, StreamFrame
from flipdetect.records import FlipEvent, FrameScore
from flipdetect.sources.folder import find_files
from flipdetect.sources.streams import FPS, VideoShots, array_shots, camera_shots, file_shots, sequence_files
from flipdetect.zoo import DEFAULT, find_model

Source = str | os.PathLike[str] | int | Iterable[Any]


def detect_flips(
    source: Source,
    model: str | os.PathLike[str] = DEFAULT,
    *,
    rate_hz: float = RATE_HZ,
    fps: float = FPS,
    seconds: float | None = None,
    device: str = "auto",
) -> list[FlipEvent]:
    """The page turns in a video, a folder of frames, an iterator of frames, or what a camera sees.

    All frames are seen before a turn is decided on; see `stream_flips` for turns as they end.

    Args:
        source: the path of a video or of a folder with frames of one clip; an iterable of frames, each (H, W, 3)
            uint8 RGB, or pairs (second, frame); or the number of a camera.
        model: a shipped model by name, or the path of a trained one.
        rate_hz: frames per second of a video that are scored at first; three times as many where scores change.
        fps: frames per second of the film that frame files or arrays come from.
        seconds: how long to watch a camera; needed for one.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".

    Returns:
        The turns, in order of time, in seconds from the start.

    Raises:
        DataError: if there is no such file, folder or camera, the folder has no frames or those of several clips, or
            a camera is to be watched for ever.
        FrameError: if a video cannot be read, or a frame of an iterable is none.
        ModelError: if the model cannot be loaded.
        ConfigError: if a number is impossible.
    """
    if isinstance(source, int) and seconds is None:
        raise DataError("how long is the camera to be watched? Give seconds, or use stream_flips")
    looking, settings = _load(model, device)
    shots = _shots(source, rate_hz * REFINE, fps, seconds)
    scan = ScanSettings(refine=REFINE if isinstance(shots, VideoShots) else 1, measure=False)
    scanner = Scanner(looking, looking.threshold, "", scan)
    try:
        found = [_scored(score) for scores in scanner.scan(shots) for score in scores]
    finally:
        if isinstance(shots, VideoShots):
            shots.reader.close()
    return settings.find(found)


def stream_flips(
    source: Source,
    model: str | os.PathLike[str] = DEFAULT,
    *,
    rate_hz: float = RATE_HZ,
    fps: float = FPS,
    seconds: float | None = None,
    device: str = "auto",
) -> Iterator[FlipEvent]:
    """The page turns as soon as each is certain, from the same sources; a camera may be watched for ever.

    Every frame is scored by itself when it comes; those of a video, `rate_hz` a second. Arguments and errors are those
    of `detect_flips`.
    """
    looking, settings = _load(model, device)
    shots = _shots(source, rate_hz, fps, seconds)
    detector = settings.live()
    scanner = Scanner(looking, looking.threshold, "", ScanSettings(batch_size=1, measure=False))
    try:
        for scores in scanner.scan(shots):
            for score in scores:
                yield from detector.push(*_scored(score))
        yield from detector.finish()
    finally:
        if isinstance(shots, VideoShots):
            shots.reader.close()


def _load(model: str | os.PathLike[str], device: str) -> tuple[Model, EventSettings]:
    return load_model(model, device=device, fast=True), settings_of(find_model(model))


def _shots(source: Source, rate_hz: float, fps: float, seconds: float | None) -> VideoShots | Iterator[StreamFrame]:
    if isinstance(source, int):
        return camera_shots(source, seconds)
    if not isinstance(source, (str, os.PathLike)):
        return array_shots(source, fps)
    path = Path(source).expanduser()
    if not path.is_dir():
        return VideoShots(path, path.name, rate_hz=rate_hz)
    clips = sequence_files(find_files(path).files, path, fps)
    if len(clips) != 1:
        held = f"frames of {len(clips)} clips" if clips else "no frames"
        raise DataError(f"the folder {path} holds {held}; give one with the frames of one clip")
    return file_shots(next(iter(clips.values())))


def _scored(score: FrameScore) -> ScoredFrame:
    assert score.time_s is not None
    return ScoredFrame(score.time_s, score.probability, score.frame)
