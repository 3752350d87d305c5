"""The thread that extracts the pages of uploaded films, one after the other."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from flipdetect.apps.job_store import DONE, FAILED, QUEUED, Job, JobStore
from flipdetect.errors import DataError, FlipdetectError, FrameError
from flipdetect.inference.model import Model
from flipdetect.pipeline.extract_pages import ExtractSettings, PageImages, extract_pages
from flipdetect.pipeline.write_outputs import Film, Outputs, write_outputs
from flipdetect.records import FrameScore
from flipdetect.sources.streams import VideoStream

IDLE_S = 60.0
"""Seconds between two looks for jobs that are old enough to be deleted."""
ABANDON_S = 10.0
"""Seconds that the thread gets to notice that it has to stop; after that it is cut off."""
RESULTS, FLIPS, PDF, REPORT, STILLS = "results", "flips.json", "book.pdf", "report.html", "stills"

logger = logging.getLogger(__name__)


class _StoppedError(Exception):
    """The job was cancelled, or the service ends."""


class FilmWorker:
    """Runs the jobs of a store in a thread.

    Args:
        store: of the jobs.
        model: to score with.
        settings: how pages are extracted.
        most_s: seconds that one job may take.
        keep_s: seconds after which a job that ended is deleted.
    """

    def __init__(self, store: JobStore, model: Model, settings: ExtractSettings, most_s: float, keep_s: float) -> None:
        self._store = store
        self._model = model
        self._settings = settings
        self._most_s = most_s
        self._keep_s = keep_s
        self._news = threading.Event()
        self._closing = threading.Event()
        self._abandon = threading.Event()
        self._progress = ("", 0.0)
        self._thread = threading.Thread(target=self._run, name="extract pages", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether jobs are run."""
        return self._thread.is_alive()

    def progress(self, job_id: str) -> float:
        """Share of a running job's frames that were passed, 0 to 1; 0 if their number is unknown."""
        current, share = self._progress
        return share if current == job_id else 0.0

    def wake(self) -> None:
        """A job was queued."""
        self._news.set()

    def close(self, grace_s: float) -> None:
        """Start no other job; one that does not end within `grace_s` seconds is queued again, for the next start."""
        self._closing.set()
        self._news.set()
        self._thread.join(grace_s)
        self._abandon.set()
        self._thread.join(ABANDON_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._news.clear()
            self._store.delete_older(self._keep_s)
            while not self._closing.is_set() and (job := self._store.take()) is not None:
                self._handle(job)
            self._news.wait(IDLE_S)

    def _handle(self, job: Job) -> None:
        logger.info("job %s: started", job.id)
        try:
            state, notes = self._extract(job)
        except _StoppedError:
            state, notes = QUEUED, []
        except FlipdetectError as error:
            state, notes = FAILED, [str(error)]
        except Exception as error:  # one film must not end the service; a cancelled one has lost its folder
            if self._store.get(job.id) is not None:
                logger.exception("job %s", job.id)
            state, notes = FAILED, [f"this film could not be handled ({type(error).__name__})"]
        if self._store.get(job.id) is None:
            self._store.delete(job.id)  # what was written meanwhile
            state = "cancelled"
        elif state == QUEUED:
            self._store.put_back(job.id)
        else:
            hidden = [note.replace(f"{self._store.folder(job.id)}/", "") for note in notes]  # paths are the server's
            self._store.finish(job.id, state, "\n".join(hidden))
        logger.info("job %s: %s", job.id, state)

    def _extract(self, job: Job) -> tuple[str, list[str]]:
        """Extract the pages; returns the state, and what is to be said."""
        folder, film = self._store.folder(job.id), self._store.film(job.id)
        results, scratch = folder / RESULTS, folder / "scratch"
        for left in (results, scratch):  # of an attempt that was cut off
            shutil.rmtree(left, ignore_errors=True)
        stream = VideoStream(film, Path(job.name).stem)
        stream.source = job.name
        try:
            total = stream.expected_frames
        except FrameError:
            total = None  # the reason comes when the film is read
        start = time.monotonic()

        def check(scores: Sequence[FrameScore]) -> None:
            if self._abandon.is_set() or self._store.get(job.id) is None:
                raise _StoppedError
            if time.monotonic() - start > self._most_s:
                raise DataError(f"the film takes longer than {self._most_s:.0f} s; cut it into parts")
            frames = (scores[-1].frame or 0) + 1 if scores else 0
            self._progress = (job.id, min(1.0, frames / total) if total else 0.0)

        try:
            scratch.mkdir(parents=True)
            images = PageImages(stream, scratch, full=True)
            result = extract_pages(stream, self._model, self._settings, on_scores=check, images=images)
            if not result.frames:
                return FAILED, list(result.problems) or ["the film has no frames"]
            check(result.scores)
            outputs = Outputs(results, results / STILLS, results / PDF, results / REPORT)
            written = write_outputs([Film(result, stream, images)], outputs)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return (DONE if (results / FLIPS).is_file() else FAILED), written.failures
