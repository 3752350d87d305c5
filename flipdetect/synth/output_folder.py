"""A folder of rendered frames, filled by several processes: resumable, and never half a file."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
from tqdm import tqdm

from flipdetect.errors import ConfigError, DataError
from flipdetect.progress import progress_bar
from flipdetect.synth.config import RENDER_VERSION
from flipdetect.synth.truth.frame_truth import FrameTruth

log = logging.getLogger(__name__)

STARTED = "rendering.json"
MAKER = "flipdetect.synth"
MAPS = ".maps"
"""Folder of the maps, below it one folder each as for the frames. Its dot keeps them from being taken for frames."""
PART = ".part"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"

STOPS = {getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)}
"""Signals that end the program."""

Truth = TypeVar("Truth", bound=FrameTruth)


@dataclass(frozen=True)
class RenderReport:
    """What a rendering did."""

    root: Path
    frames: int
    rendered: int
    kept: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.root}: {self.frames} frames, {self.rendered} rendered in {self.seconds:.1f} s"


@dataclass(frozen=True)
class RenderedFolder:
    """A folder that this package writes.

    Attributes:
        config: settings of what is rendered, as JSON holds them.
        complete: name of the marker file, written last.
    """

    root: Path
    config: dict[str, Any]
    complete: str
    tables: tuple[str, ...]
    folders: tuple[str, ...]

    def is_current(self) -> bool:
        """Whether the folder was completed by this version with these settings; files may since be missing."""
        return self._identity(self.complete) == self._description() and all(
            (self.root / table).is_file() for table in self.tables
        )

    def prepare(self) -> set[str]:
        """Refuse what is not ours, clear what is old, mark the rendering as begun.

        Returns:
            Paths of whole frames that are there already, relative to the folder; half-written ones are removed.

        Raises:
            DataError: if `root` is a file or holds files that were not rendered by this package.
        """
        root = self.root
        if root.exists() and not root.is_dir():
            raise DataError(f"{root} is a file; choose a folder for the rendering")
        found = self._identity(self.complete) or self._identity(STARTED)
        foreign = [path for path in self._files() if found is None or not self._is_own(path)]
        if foreign:
            raise DataError(
                f"{root} holds files that were not rendered here, such as {foreign[0].as_posix()}; "
                "choose an empty or new folder, or move them away"
            )
        if found is not None and found != self._description():
            log.warning("%s holds a rendering of another version or other settings: it is replaced", root)
            for path in self._files():
                (root / path).unlink()
        for folder in self.folders:
            (root / folder).mkdir(parents=True, exist_ok=True)
        self._mark(STARTED)
        # From here on the rendering counts as incomplete until everything is checked again.
        (root / self.complete).unlink(missing_ok=True)
        whole = set()
        for path in self._files():
            if path.name.endswith(PART):
                (root / path).unlink()
            elif path.suffix == ".jpg":
                data = (root / path).read_bytes()
                if data.startswith(JPEG_START) and data.endswith(JPEG_END):
                    whole.add(path.as_posix())
                else:
                    (root / path).unlink()
        return whole

    def fill(
        self,
        items: Sequence[int],
        at_once: int,
        render: Callable[[int], list[Truth]],
        tables_of: Callable[[list[Truth]], tuple[dict[str, str], dict[str, int]]],
        workers: int,
        progress: bool,
    ) -> RenderReport:
        """Render what is missing, write the tables, and last the marker; frames of no truth are removed.

        Args:
            at_once: items that one process renders one after the other.
            render: writes the frames of an item that are missing, and returns the truth of each; picklable.
            workers: processes; 1 renders in this one.

        Raises:
            DataError: as `prepare` does.
        """
        started, before = time.monotonic(), self.prepare()
        jobs = [items[first : first + at_once] for first in range(0, len(items), at_once)]
        with progress_bar(desc="rendering", unit="frame", disable=not progress) as bar:
            truths = run_jobs(render, jobs, workers, bar)
        expected = {truth.path for truth in truths}
        tables, counts = tables_of(truths)
        for name, text in tables.items():
            self.write(name, text.encode())
        for stray in before - expected:
            (self.root / stray).unlink()
            (self.root / map_path(stray)).unlink(missing_ok=True)
        self._mark(self.complete, counts={"frames": len(truths), **counts})
        (self.root / STARTED).unlink(missing_ok=True)
        kept = len(before & expected)
        return RenderReport(self.root, len(truths), len(truths) - kept, kept, time.monotonic() - started)

    def holds(self, path: str) -> bool:
        """Whether a file is there; files are never half there."""
        return (self.root / path).is_file()

    def write(self, path: str, data: bytes) -> None:
        """Write a file so that it is either there as a whole or not at all."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + PART)
        part.write_bytes(data)
        part.replace(target)

    def _description(self) -> dict[str, Any]:
        return {"maker": MAKER, "version": RENDER_VERSION, "config": self.config}

    def _identity(self, name: str) -> dict[str, Any] | None:
        """What a marker file tells of program, version and settings; None without such a file of ours."""
        try:
            content = json.loads((self.root / name).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError, UnicodeDecodeError):
            return None
        if not isinstance(content, dict) or content.get("maker") != MAKER:
            return None
        return {key: content.get(key) for key in ("maker", "version", "config")}

    def _files(self) -> list[Path]:
        """Files in the folder, relative to it; what systems leave behind (.DS_Store) does not count."""
        found = (path for path in self.root.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.root) for path in found)

    def _is_own(self, path: Path) -> bool:
        name, folders = path.as_posix().removesuffix(PART), "|".join(self.folders)
        frame, its_map = rf"({folders})/\d{{4}}_\d{{9}}\.jpg", rf"{MAPS}/({folders})/\d{{4}}_\d{{9}}\.png"
        return name in (self.complete, STARTED, *self.tables) or bool(re.fullmatch(f"{frame}|{its_map}", name))

    def _mark(self, name: str, **further: object) -> None:
        """Write a marker file that identifies program, version and settings."""
        self.write(name, (json.dumps(self._description() | further, indent=2) + "\n").encode())


def map_path(frame_path: str) -> str:
    """Where the map of a frame belongs: .maps/flip/0001_000000010.png."""
    return f"{MAPS}/{frame_path.removesuffix('.jpg')}.png"


Result = TypeVar("Result")
Task = Callable[[int], list[Result]]
"""Does the work of one item, and returns a result per frame."""


def worker_count(workers: int | None) -> int:
    """The number of processes asked for, one per CPU if None.

    Raises:
        ConfigError: if it is below 1.
    """
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}; choose at least 1, or none for one per CPU")
    return workers or os.cpu_count() or 1


def run_jobs(task: Task[Result], jobs: Sequence[Sequence[int]], workers: int, bar: tqdm[Any]) -> list[Result]:
    """Results of all items in order.

    Args:
        workers: processes; 1 works in this one.
        bar: advanced by the results of each item, or of each job if there are several processes.
    """
    if workers == 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)  # threads cost more than they gain on small pictures
        try:
            return _work(task, [item for job in jobs for item in job], bar)
        finally:
            cv2.setNumThreads(threads)
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    with ProcessPoolExecutor(min(workers, len(jobs)), context, _start_worker, (stop,)) as pool:
        with _interrupt_postponed():
            futures = [pool.submit(_work, task, list(job)) for job in jobs]
        try:
            for future in as_completed(futures):
                bar.update(len(future.result()))
        except BaseException:
            # Also on Ctrl-C: workers finish the item they are at, so that the folder stays resumable.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [result for future in futures for result in future.result()]


@contextmanager
def _interrupt_postponed() -> Iterator[None]:
    """Delay `STOPS` until the end of the block: workers that are just starting would die of one with a traceback.

    They inherit the mask, so none reaches them. Where the system has no masks, they only ignore them later.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_stop: Any = None
"""In a worker process: the event that asks it to stop."""


def _start_worker(stop: Any) -> None:
    global _stop

    def end_with_parent() -> None:
        """End this worker when its parent has been killed, which could not ask it to stop."""
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    # Ctrl-C reaches the whole process group; the parent alone decides, and asks through `stop`.
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    _stop = stop


def _work(task: Task[Result], items: list[int], bar: tqdm[Any] | None = None) -> list[Result]:
    results: list[Result] = []
    for item in items:
        if _stop is not None and _stop.is_set():
            break
        found = task(item)
        results += found
        if bar is not None:
            bar.update(len(found))
    return results
