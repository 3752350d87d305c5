"""Films that are uploaded: a table of jobs in SQLite that survives a restart, and the thread that does them in turn."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from flipdetect.atomic import explaining, replacing
from flipdetect.errors import DataError, FlipdetectError
from flipdetect.inference.model import Model
from flipdetect.pipeline.extract_pages import ExtractSettings
from flipdetect.pipeline.jobs import extract_film
from flipdetect.pipeline.write_outputs import Outputs
from flipdetect.progress import JobProgress

VERSION = 1
"""Of the table, as SQLite's `user_version`."""
MOST_ATTEMPTS = 3
"""A job during which the process died this often is not tried again: its film may be what kills it."""
QUEUED, RUNNING, DONE, FAILED = STATES = ("queued", "running", "done", "failed")
COPIED_BYTES = 1024 * 1024

_TABLE = """
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, state TEXT NOT NULL, created_s REAL NOT NULL,
    started_s REAL, finished_s REAL, attempts INTEGER NOT NULL DEFAULT 0, notes TEXT NOT NULL DEFAULT ''
)"""


@dataclass(frozen=True)
class Job:
    """A film whose pages are to be extracted.

    Attributes:
        id: 32 hexadecimal digits that cannot be guessed.
        state: one of `STATES`.
        created_s, started_s, finished_s: seconds since 1970; None if that is still to come.
        notes: why it failed, or what could not be written; a line each.
    """

    id: str
    name: str
    state: str
    created_s: float
    started_s: float | None
    finished_s: float | None
    attempts: int
    notes: str


class JobStore:
    """The jobs of one service, which may be asked from several threads.

    Opening it cleans up what a crash left: jobs that were running are queued again, and files of no job are deleted.

    Attributes:
        temporary: an empty folder for temporary files.

    Args:
        folder: for the table and the jobs' folders; is created. No other process may use it at the same time
            (`flipdetect.atomic.alone`).

    Raises:
        DataError: if the folder cannot be written to, or its table is damaged or of another version.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        with explaining(folder):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "jobs").mkdir(exist_ok=True)
        table = folder / "jobs.sqlite"
        try:
            self._table = sqlite3.connect(table, check_same_thread=False, isolation_level=None)
            self._table.execute("PRAGMA journal_mode = WAL")
            version = self._table.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                self._table.executescript(f"BEGIN; {_TABLE}; PRAGMA user_version = {VERSION}; COMMIT")
            elif version != VERSION:
                raise DataError(f"{table} has version {version}, this program reads {VERSION}; choose another folder")
            lost = "state = 'failed', finished_s = ?, notes = 'the service ended while it ran, several times'"
            # Made of constants alone.
            tried = f"UPDATE jobs SET {lost} WHERE state = 'running' AND attempts >= {MOST_ATTEMPTS}"  # nosec B608
            self._run(tried, time.time())
            self._run("UPDATE jobs SET state = 'queued' WHERE state = 'running'")
        except sqlite3.Error as error:
            raise DataError(f"{table} cannot be used: {error}; move it away, or choose another folder") from error
        known = {row[0] for row in self._run("SELECT id FROM jobs")}
        self.temporary = folder / "temporary"
        with explaining(folder):
            for left in (self.temporary, *(path for path in (folder / "jobs").iterdir() if path.name not in known)):
                shutil.rmtree(left, ignore_errors=True)
            self.temporary.mkdir()

    def close(self) -> None:
        """Close the table."""
        self._table.close()

    def folder(self, job_id: str) -> Path:
        """Where the files of a job are."""
        return self._folder / "jobs" / job_id

    def film(self, job_id: str) -> Path:
        """The uploaded film; deleted at the job's end."""
        return self.folder(job_id) / "film"

    def add(self, name: str, film: BinaryIO) -> Job:
        """Copy an uploaded film, and queue a job for it; both or none.

        Raises:
            OSError: if the disk is full.
        """
        job_id = uuid.uuid4().hex
        try:
            with replacing(self.film(job_id)) as part, part.open("wb") as file:
                shutil.copyfileobj(film, file, COPIED_BYTES)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            shutil.rmtree(self.folder(job_id), ignore_errors=True)
            raise
        self._run(
            "INSERT INTO jobs (id, name, state, created_s) VALUES (?, ?, ?, ?)", job_id, name, QUEUED, time.time()
        )
        job = self.get(job_id)
        assert job is not None
        return job

    def get(self, job_id: str) -> Job | None:
        """A job; None if there is none of that id."""
        rows = self._run("SELECT * FROM jobs WHERE id = ?", job_id)
        return Job(*rows[0]) if rows else None

    def take(self) -> Job | None:
        """The oldest job that is queued, as running; None if there is none."""
        rows = self._run(
            "UPDATE jobs SET state = 'running', started_s = ?, attempts = attempts + 1 WHERE id = "
            "(SELECT id FROM jobs WHERE state = 'queued' ORDER BY created_s LIMIT 1) RETURNING *",
            time.time(),
        )
        return Job(*rows[0]) if rows else None

    def put_back(self, job_id: str) -> None:
        """Queue a running job again, as if it had not been started."""
        self._run("UPDATE jobs SET state = 'queued', attempts = attempts - 1 WHERE id = ?", job_id)

    def finish(self, job_id: str, state: str, notes: str) -> None:
        """A running job has ended; its film is deleted."""
        self._run(
            "UPDATE jobs SET state = ?, finished_s = ?, notes = ? WHERE id = ?", state, time.time(), notes, job_id
        )
        self.film(job_id).unlink(missing_ok=True)

    def delete(self, job_id: str) -> None:
        """Forget a job, and delete its files."""
        self._run("DELETE FROM jobs WHERE id = ?", job_id)
        shutil.rmtree(self.folder(job_id), ignore_errors=True)

    def delete_older(self, seconds: float) -> None:
        """Delete jobs that ended that long ago."""
        for row in self._run("SELECT id FROM jobs WHERE finished_s < ?", time.time() - seconds):
            self.delete(row[0])

    def counts(self) -> dict[str, int]:
        """Number of jobs in each state."""
        return dict.fromkeys(STATES, 0) | dict(self._run("SELECT state, count(*) FROM jobs GROUP BY state"))

    def _run(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._table.execute(statement, values).fetchall()


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
        end = time.monotonic() + self._most_s

        def check() -> None:
            if self._abandon.is_set() or self._store.get(job.id) is None:
                raise _StoppedError(QUEUED)
            if time.monotonic() > end:
                raise _StoppedError(FAILED, f"the film takes longer than {self._most_s:.0f} s; cut it into parts")

        progress = JobProgress(disable=True, on_show=check)
        self._progress = (job.id, progress)
        outputs = Outputs(results, results / STILLS, results / PDF, results / REPORT)
        film = self._store.film(job.id)
        return extract_film(film, job.name, self._model, self._settings, outputs, progress).problems
