"""Rendering in several processes: jobs in order, a bar that moves, and an end without a mess on Ctrl-C."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import cv2
from tqdm import tqdm

POLL_SECONDS = 0.2

Result = TypeVar("Result")
Count = Callable[[int], object]
Task = Callable[[int, Count], list[Result]]
"""Does the work of one item, reports how many frames are done, and returns what it found out."""


def run_jobs(task: Task[Result], jobs: Sequence[Sequence[int]], workers: int, bar: tqdm[Any]) -> list[Result]:
    """Results of all items in order.

    Args:
        task: done for each item; it must be picklable if there are several workers.
        jobs: items that one process does one after the other.
        workers: processes; 1 works in this one.
        bar: moved by every frame that a task reports.
    """
    if workers == 1:
        with _single_threaded():
            return [result for job in jobs for item in job for result in task(item, bar.update)]
    context = multiprocessing.get_context("spawn")
    stop, done = context.Event(), context.Value("q", 0)
    with ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_start_worker, initargs=(stop, done)
    ) as pool:
        with _interrupt_postponed():
            futures = [pool.submit(_work, task, list(job)) for job in jobs]
        try:
            _watch(futures, done, bar)
            return [result for future in futures for result in future.result()]
        except BaseException:
            # Also on Ctrl-C: workers finish the item they are at, and the folder stays resumable.
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


def _watch(futures: list[Future[list[Result]]], done: Any, bar: tqdm[Any]) -> None:
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


def _work(task: Task[Result], items: list[int]) -> list[Result]:
    def count(frames: int) -> None:
        with _worker["done"].get_lock():
            _worker["done"].value += frames

    results: list[Result] = []
    for item in items:
        if _worker["stop"].is_set():
            break
        results += task(item, count)
    return results


@contextmanager
def _single_threaded() -> Iterator[None]:
    """OpenCV without threads of its own: small pictures only lose by them."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
