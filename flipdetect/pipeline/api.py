"""The public functions for films: page turns or pages of any source in one call."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from flipdetect.errors import DataError
from flipdetect.events.score_history import ScoredFrame
from flipdetect.inference.load import load_model
from flipdetect.inference.resolve import resolve_model
from flipdetect.inference.score import score_video
from flipdetect.inference.settings import settings_of
from flipdetect.pipeline.extract_pages import ExtractSettings, PageImages
from flipdetect.pipeline.extract_pages import extract_pages as extract
from flipdetect.pipeline.write_outputs import Film, Outputs, write_outputs
from flipdetect.records import FlipEvent, VideoResult
from flipdetect.sources.streams import FPS, RATE_HZ, FrameStream, open_stream

Source = str | os.PathLike[str] | int | Iterable[Any]


def detect_flips(
    source: Source,
    model: str | os.PathLike[str] | None = None,
    *,
    rate_hz: float = RATE_HZ,
    fps: float = FPS,
    seconds: float | None = None,
    device: str = "auto",
) -> list[FlipEvent]:
    """The page turns in a video, a folder of frames, an iterable of frames, or what a camera sees.

    All frames are scored before turns are detected; see `stream_flips` for turns as they end.

    Args:
        source: path of a video or of a folder with the frames of one film; an iterable of frames, each (H, W, 3)
            uint8 RGB, or pairs (second, frame); or the number of a camera.
        model: a pretrained model's name, a model file, a run's folder, or "last"; None for the default.
        rate_hz: frames per second of a video that are scored at first; three times as many where scores change.
        fps: frames per second of the film that frame files or arrays come from.
        seconds: how long to watch a camera; required for one.
        device: "auto" (a GPU if there is one and PyTorch runs the model), "cpu" or "cuda".

    Returns:
        The turns, in order of time, in seconds from the start.

    Raises:
        DataError: if there is no such folder or camera, the folder does not hold the frames of exactly one film, or a
            camera has no `seconds`.
        FrameError: if a video cannot be read, or an item of an iterable is no frame.
        ModelError: if the model cannot be loaded.
        ConfigError: if a number is impossible.
    """
    if isinstance(source, int) and seconds is None:
        raise DataError("how long is the camera to be watched? Give seconds, or use stream_flips")
    path = resolve_model(model)
    stream = open_stream(source, rate_hz=rate_hz, fps=fps, seconds=seconds)
    return settings_of(path).find(_scored_frames(stream, path, device))


def stream_flips(
    source: Source,
    model: str | os.PathLike[str] | None = None,
    *,
    rate_hz: float = RATE_HZ,
    fps: float = FPS,
    seconds: float | None = None,
    device: str = "auto",
) -> Iterator[FlipEvent]:
    """The page turns as soon as each is certain, from the same sources; a camera may be watched without end.

    Every frame is scored when it comes; of a video, `rate_hz` per second. Arguments and errors are those of
    `detect_flips`.
    """
    path = resolve_model(model)
    stream = open_stream(source, rate_hz=rate_hz, refine=1, every_frame=True, fps=fps, seconds=seconds)
    detector = settings_of(path).live()
    for frame in _scored_frames(stream, path, device, batch_size=1):
        yield from detector.push(*frame)
    yield from detector.finish()


def _scored_frames(
    stream: FrameStream, path: os.PathLike[str], device: str, batch_size: int = 8
) -> Iterator[ScoredFrame]:
    model = load_model(path, device=device, fast=True)
    for scores in score_video(stream, model, model.threshold, batch_size=batch_size, measure=False):
        for score in scores:
            assert score.time_s is not None
            yield ScoredFrame(score.time_s, score.probability, score.frame)


def extract_pages(
    source: Source,
    model: str | os.PathLike[str] | None = None,
    *,
    stills: str | os.PathLike[str] | None = None,
    pages: str | os.PathLike[str] | None = None,
    pdf: str | os.PathLike[str] | None = None,
    threshold: float | None = None,
    rate_hz: float = RATE_HZ,
    fps: float = FPS,
    start_s: float = 0.0,
    end_s: float = math.inf,
    device: str = "auto",
) -> VideoResult:
    """Detect the page turns of a film, and choose one still per spread.

    Args:
        source, model, rate_hz, fps, device: as for `detect_flips`, but no camera; of an iterable, no images can be
            written.
        stills: folder for the images of the stills, JPEG in full size. Spreads that were seen before have none.
        pages: folder for the left and the right page of each still, cropped and flat; the result's stills name them.
        pdf: file for a document of the stills, or of the pages if they are asked for.
        threshold: a frame with at least this probability counts as a flip; None: the model's own.
        start_s, end_s: the seconds of the film that are looked at.

    Returns:
        Turns, stills and scores, in order of time, in seconds from the start. What was lost of a damaged file is in
        `problems`; `complete` is false if it could not be read at all.

    Raises:
        DataError: if there is no such folder, it does not hold the frames of exactly one film, or an output cannot be
            written.
        ModelError: if the model cannot be loaded.
        ConfigError: if a number is impossible.
    """
    if isinstance(source, int):
        raise DataError(f"pages are taken from films, got camera {source}; use stream_flips for a camera")
    path = resolve_model(model)
    stream = open_stream(source, rate_hz=rate_hz, fps=fps, start_s=start_s, end_s=end_s)
    settings = ExtractSettings.of_model(path, threshold)
    loaded = load_model(path, device=device, fast=True)
    folder, flat, document = (None if path is None else Path(path) for path in (stills, pages, pdf))
    outputs = Outputs(stills=folder, pages=flat, pdf=document)
    if not outputs.needs_images:
        return extract(stream, loaded, settings)
    if not stream.can_reread:
        raise DataError("images can be written of files only; give the path of a video or a folder")
    with tempfile.TemporaryDirectory() as spare:
        images = PageImages(stream, Path(spare), full=True)
        result = extract(stream, loaded, settings, images=images)
        written = write_outputs([Film(result, stream, images)], outputs)
    if written.interrupted:
        raise KeyboardInterrupt
    if written.failures:
        raise DataError("; ".join(written.failures))
    return written.results[0]
