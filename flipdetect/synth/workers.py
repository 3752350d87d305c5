"""Rendering in several processes: results in order, a progress bar, and a clean end on Ctrl-C."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2
from tqdm import tqdm

from flipdetect.errors import ConfigError

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
        task: done for each item; it must be picklable if there are several workers.
        jobs: items that one process does one after the other.
        workers: processes; 1 works in this one.
        bar: advanced by the results of each item, or of each job if there are several processes.
    """
    if workers == 1:
        return _run_here(task, [item for job in jobs for item in job], bar)
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


def _run_here(task: Task[Result], items: list[int], bar: tqdm[Any]) -> list[Result]:
    """All items in this process, without threads of OpenCV: they cost more than they gain on small pictures."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        results: list[Result] = []
        for item in items:
            found = task(item)
            bar.update(len(found))
            results += found
        return results
    finally:
        cv2.setNumThreads(threads)


@contextmanager
def _interrupt_postponed() -> Iterator[None]:
    """Delay Ctrl-C until the end of the block: workers that are just starting would die of it with a traceback.

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


_stop: Any = None
"""In a worker process: the event that asks it to stop."""


def _start_worker(stop: Any) -> None:
    global _stop
    # Ctrl-C reaches the whole process group; the parent alone decides, and asks through `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
    _stop = stop


def _work(task: Task[Result], items: list[int]) -> list[Result]:
    results: list[Result] = []
    for item in items:
        if _stop.is_set():
            break
        results += task(item)
    return results
