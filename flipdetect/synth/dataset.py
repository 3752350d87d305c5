"""Writing a rendered data set: in parallel, resumable, and never half a file."""

from __future__ import annotations

import csv
import io
import json
import logging
import multiprocessing
import os
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from flipdetect.errors import ConfigError, DataError
from flipdetect.synth.config import RENDER_VERSION, SynthConfig
from flipdetect.synth.render import FrameTruth, encode_frame, frame_truth, render_frame
from flipdetect.synth.script import CLASSES

log = logging.getLogger(__name__)

COMPLETE, STARTED, LABELS = "dataset.json", "rendering.json", "labels.csv"
COLUMNS = ("path", "label", "source", "video", "frame", "phase", "displacement")
MAKER = "flipdetect.synth"
OWN_FRAME = re.compile(r"\d{4}_\d{9}\.jpg(\.part)?")
PART = ".part"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class RenderReport:
    """What `render_dataset` did.

    Attributes:
        root: folder of the data set.
        frames: in the data set.
        rendered: frames rendered now.
        kept: frames found complete from an interrupted run.
        seconds: wall-clock time.
    """

    root: Path
    frames: int
    rendered: int
    kept: int
    seconds: float


def is_current(root: Path, config: SynthConfig) -> bool:
    """Whether `root` holds this very data set, complete: same version, same settings, every frame there."""
    if _identity(root / COMPLETE) != _description(config):
        return False
    labels = root / LABELS
    if not labels.is_file():
        return False
    with labels.open(newline="", encoding="utf-8") as table:
        paths = [row["path"] for row in csv.DictReader(table)]
    return len(paths) == config.frames and all((root / path).is_file() for path in paths)


def render_dataset(
    root: Path, config: SynthConfig, *, workers: int | None = None, progress: bool = True
) -> RenderReport:
    """Render a data set into flip/ and notflip/ below `root`, with labels.csv and, last, dataset.json.

    Frames left by an interrupted run of the same version and settings are kept. An older rendering is replaced.
    The bytes written do not depend on the number of workers.

    Args:
        root: folder of the data set; made if missing.
        config: what to render.
        workers: processes; None for one per CPU.
        progress: whether to show a bar on standard error.

    Raises:
        ConfigError: if `workers` is below 1.
        DataError: if `root` is a file or holds files that were not rendered by this module.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}; choose at least 1, or none for one per CPU")
    started = time.monotonic()
    _prepare(root, config)
    before = {path.as_posix() for path in _complete_frames(root)}
    bar = tqdm(total=config.frames, desc="rendering", unit="frame", disable=not progress)
    with bar:
        truths = _render_all(root, config, workers or os.cpu_count() or 1, bar)
    _write_labels(root, truths)
    expected = {truth.path for truth in truths}
    for stray in before - expected:
        (root / stray).unlink()
    counts = {"frames": config.frames, **{name: sum(t.label == name for t in truths) for name in CLASSES.names}}
    _write_json(root / COMPLETE, {**_description(config), "counts": counts})
    (root / STARTED).unlink(missing_ok=True)
    kept = len(before & expected)
    return RenderReport(root, config.frames, config.frames - kept, kept, time.monotonic() - started)


def _description(config: SynthConfig) -> dict[str, Any]:
    return {"maker": MAKER, "version": RENDER_VERSION, "config": asdict(config)}


def _identity(marker: Path) -> dict[str, Any] | None:
    """The part of a marker file that tells whose, which version's and which settings' it is."""
    try:
        content = json.loads(marker.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
        return None
    if not isinstance(content, dict) or content.get("maker") != MAKER:
        return None
    return {key: content.get(key) for key in ("maker", "version", "config")}


def _prepare(root: Path, config: SynthConfig) -> None:
    """Make `root` ready: refuse what is not ours, clear what is old, mark the rendering as begun."""
    if root.exists() and not root.is_dir():
        raise DataError(f"{root} is a file; choose a folder for the rendered data set")
    found = _identity(root / COMPLETE) or _identity(root / STARTED)
    foreign = [path for path in _files(root) if found is None or not _is_own(path)]
    if foreign:
        raise DataError(
            f"{root} holds files that were not rendered here, such as {foreign[0].as_posix()}; "
            "choose an empty or new folder, or move them away"
        )
    if found is not None and found != _description(config):
        log.warning("%s holds a rendering of another version or other settings: it is replaced", root)
        for path in _files(root):
            (root / path).unlink()
    for label in CLASSES.names:
        (root / label).mkdir(parents=True, exist_ok=True)
    _write_json(root / STARTED, _description(config))
    # From here on the set counts as incomplete until everything is checked again.
    (root / COMPLETE).unlink(missing_ok=True)


def _files(root: Path) -> list[Path]:
    """Files below `root`, relative to it; what systems leave behind (.DS_Store) does not count."""
    if not root.is_dir():
        return []
    return sorted(p.relative_to(root) for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))


def _is_own(path: Path) -> bool:
    if len(path.parts) == 1:
        return path.name.removesuffix(PART) in (COMPLETE, STARTED, LABELS)
    return len(path.parts) == 2 and path.parts[0] in CLASSES.names and bool(OWN_FRAME.fullmatch(path.name))


def _complete_frames(root: Path) -> list[Path]:
    """Frames below `root` that are whole JPEG files; half-written ones are removed."""
    whole = []
    for path in _files(root):
        if path.name.endswith(PART):
            (root / path).unlink()
        elif path.suffix == ".jpg":
            data = (root / path).read_bytes()
            if data.startswith(JPEG_START) and data.endswith(JPEG_END):
                whole.append(path)
            else:
                (root / path).unlink()
    return whole


def _render_all(root: Path, config: SynthConfig, workers: int, bar: tqdm[Any]) -> list[FrameTruth]:
    """Truths of all frames in order, after writing the frames that are not there yet."""
    clips = range(config.clips)
    if workers == 1:
        with _single_threaded():
            return [truth for clip in clips for truth in _render_clip_files(root, config, clip, bar.update)]
    context = multiprocessing.get_context("spawn")
    stop, done = context.Event(), context.Value("q", 0)
    # A worker takes all clips of a source, so that each source is painted once.
    step = config.clips_per_source if config.sources >= workers else -(-config.clips_per_source // workers)
    jobs = [list(clips[first : first + step]) for first in range(0, config.clips, step)]
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_start_worker, initargs=(stop, done)
    ) as pool:
        with _interrupt_postponed():
            futures = [pool.submit(_work, root, config, job) for job in jobs]
        try:
            _watch(futures, done, bar)
            return [truth for future in futures for truth in future.result()]
        except BaseException:
            # Also on Ctrl-C: workers finish the frame they are at, and the folder stays resumable.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


@contextmanager
def _interrupt_postponed() -> Iterator[None]:
    """Keep Ctrl-C for the end of the block: workers that are just starting would die of it with a traceback.

    They inherit the mask, so it never reaches them. Where the system has no masks, they only ignore it later.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(futures: list[Future[list[FrameTruth]]], done: Any, bar: tqdm[Any]) -> None:
    """Move the bar until all futures are done or one has failed."""
    pending = set(futures)
    while pending:
        finished, pending = wait(pending, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
        bar.update(done.value - bar.n)
        for future in finished:
            future.result()


_worker: dict[str, Any] = {}
"""In a worker process: the event that asks it to stop and the shared count of frames done."""


def _start_worker(stop: Any, done: Any) -> None:
    # Ctrl-C reaches the whole process group; the parent alone decides, and asks through `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    _worker.update(stop=stop, done=done)


def _work(root: Path, config: SynthConfig, clips: list[int]) -> list[FrameTruth]:
    def count(frames: int) -> None:
        with _worker["done"].get_lock():
            _worker["done"].value += frames

    truths: list[FrameTruth] = []
    for clip in clips:
        if _worker["stop"].is_set():
            break
        truths += _render_clip_files(root, config, clip, count)
    return truths


def _render_clip_files(root: Path, config: SynthConfig, clip: int, count: Any) -> list[FrameTruth]:
    truths = []
    for frame in range(config.frames_per_clip):
        truth = frame_truth(config, clip, frame)
        if not (root / truth.path).is_file():
            _replace(root / truth.path, encode_frame(render_frame(config, clip, frame)))
        truths.append(truth)
        count(1)
    return truths


@contextmanager
def _single_threaded() -> Iterator[None]:
    """OpenCV without threads of its own: small pictures only lose by them."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _write_labels(root: Path, truths: list[FrameTruth]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for truth in sorted(truths, key=lambda truth: truth.path):
        numbers = (truth.frame, f"{truth.phase:.4f}", f"{truth.displacement:.4f}")
        table.writerow((truth.path, truth.label, truth.source, truth.video, *numbers))
    _replace(root / LABELS, text.getvalue().encode())


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _replace(path, (json.dumps(content, indent=2) + "\n").encode())


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that it is either there as a whole or not at all."""
    part = path.with_name(path.name + PART)
    part.write_bytes(data)
    part.replace(path)
