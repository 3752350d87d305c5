"""The thread that extracts the pages of uploaded films, one after the other."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from pathlib import Path

from flipdetect.apps.job_store import DONE, FAILED, QUEUED, Job, JobStore
from flipdetect.errors import FlipdetectError
from flipdetect.inference.model import Model
from flipdetect.pipeline.extract_pages import ExtractSettings
from flipdetect.pipeline.jobs import extract_film
from flipdetect.pipeline.write_outputs import Outputs
from flipdetect.progress import JobProgress
from flipdetect.sources.streams import VideoStream

IDLE_S = 60.0
"""Seconds between two looks for jobs that are old enough to be deleted."""
ABANDON_S = 10.0
"""Seconds that the thread gets to notice that it has to stop; after that it is cut off."""
RESULTS, FLIPS, PDF, REPORT, STILLS = "results", "flips.json", "book.pdf", "report.html", "stills"

logger = logging.getLogger(__name__)


class _StoppedError(Exception):
    """The job was cancelled, takes too long, or the service ends; the state that it has now, and why."""

    def __init__(self, state: str, *notes: str) -> None:
        self.state, self.notes = state, notes


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
        self._progress: tuple[str, JobProgress] = ("", JobProgress())
        self._thread = threading.Thread(target=self._run, name="extract pages", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether jobs are run."""
        return self._thread.is_alive()

    def progress(self, job_id: str) -> tuple[float, str]:
        """Share of a running job that is done, 0 to 1, and its phase."""
        current, progress = self._progress
        return (progress.share, progress.words) if current == job_id else (0.0, "")

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
        results = self._store.folder(job.id) / RESULTS
        shutil.rmtree(results, ignore_errors=True)  # of an attempt that was cut off
        try:
            notes = self._extract(job, results)
            state = DONE if (results / FLIPS).is_file() else FAILED
        except _StoppedError as stopped:
            state, notes = stopped.state, stopped.notes
        except FlipdetectError as error:
            state, notes = FAILED, (str(error),)
        except Exception as error:  # one film must not end the service; a cancelled one has lost its folder
            if self._store.get(job.id) is not None:
                logger.exception("job %s", job.id)
            state, notes = FAILED, (f"this film could not be handled ({type(error).__name__})",)
        if state != DONE:
            shutil.rmtree(results, ignore_errors=True)
        if self._store.get(job.id) is None:
            self._store.delete(job.id)  # what was written meanwhile
            state = "cancelled"
        elif state == QUEUED:
            self._store.put_back(job.id)
        else:
            hidden = [note.replace(f"{self._store.folder(job.id)}/", "") for note in notes]  # paths are the server's
            self._store.finish(job.id, state, "\n".join(hidden))
        logger.info("job %s: %s", job.id, state)

    def _extract(self, job: Job, results: Path) -> tuple[str, ...]:
        """Extract the pages into a folder; returns what could not be read or written."""
        stream = VideoStream(self._store.film(job.id), Path(job.name).stem)
        stream.source = job.name
        end = time.monotonic() + self._most_s

        def check() -> None:
            if self._abandon.is_set() or self._store.get(job.id) is None:
                raise _StoppedError(QUEUED)
            if time.monotonic() > end:
                raise _StoppedError(FAILED, f"the film takes longer than {self._most_s:.0f} s; cut it into parts")

        progress = JobProgress(disable=True, on_show=check)
        self._progress = (job.id, progress)
        outputs = Outputs(results, results / STILLS, results / PDF, results / REPORT)
        return extract_film(stream, self._model, self._settings, outputs, progress).problems
