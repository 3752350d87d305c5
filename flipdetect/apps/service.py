"""What the service answers: pictures and films over HTTP. Only this module and `http_app` import FastAPI."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile

from flipdetect.apps.film_jobs import (
    DONE,
    FLIPS,
    PDF,
    QUEUED,
    REPORT,
    RESULTS,
    RUNNING,
    STATES,
    STILLS,
    FilmWorker,
    Job,
    JobStore,
)
from flipdetect.apps.picture_queue import PictureQueue, QueueFullError
from flipdetect.errors import FrameError, printable
from flipdetect.inference.model import Model
from flipdetect.pipeline.extract_pages import ExtractSettings

LONGEST_NAME = 120
RETRY_PICTURES_S, RETRY_FILMS_S = 1, 30
SANDBOX = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Of the report, which is made from uploads: it runs no script, and loads nothing."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What the service accepts.

    Attributes:
        queue: pictures that wait or are scored at a time, over all requests.
        jobs: films that wait or run at a time.
        request_s: seconds that a request with pictures may take, its upload included.
        keep_s: seconds after which the results of a film are deleted.
        grace_s: seconds that running work gets at the end of the service.
    """

    request_mb: float
    film_mb: float
    pictures: int
    queue: int
    jobs: int
    request_s: float
    upload_s: float
    job_s: float
    keep_s: float
    grace_s: float


class Refusal(BaseModel):
    """What is wrong with a request."""

    detail: str


class Pictures(BaseModel):
    """Pictures as JSON: contents of JPEG, PNG, WebP or BMP files in base64."""

    model_config = ConfigDict(val_json_bytes="base64", extra="forbid")
    pictures: list[bytes] = Field(min_length=1)


class PictureScore(BaseModel):
    """What the model says of a picture; one that cannot be read has a reason instead of a probability."""

    name: str
    probability: float | None = Field(description="of the positive class, 0 to 1")
    label: str | None
    error: str


class Scores(BaseModel):
    """A score per picture, in the order of the request."""

    model: str
    threshold: float
    pictures: list[PictureScore]


class JobStatus(BaseModel):
    """A film's job: how far it is, and what was found."""

    id: str
    name: str
    state: str = Field(description=", ".join(STATES), pattern=f"^({'|'.join(STATES)})$")
    progress: float = Field(description="share of the whole job that is done, 0 to 1")
    phase: str = Field(description="what a running job does, such as reading the film; empty otherwise")
    created: datetime
    started: datetime | None
    finished: datetime | None
    notes: list[str] = Field(description="why it failed, or what could not be read or written")
    result: dict[str, Any] | None = Field(description="turns (events) and spreads, as in flips.json")
    files: dict[str, str | list[str]] = Field(description="links: flips, pdf, report, and a list of stills")


class Metrics:
    """What /metrics says, in Prometheus' text format."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.seconds = Histogram(
            "flipdetect_request_seconds", "Time of requests.", ["route", "method", "status"], registry=self.registry
        )
        self.pictures = Counter("flipdetect_pictures", "Pictures by outcome.", ["outcome"], registry=self.registry)
        sizes = (1, 2, 4, 8, 16)
        self.batches = Histogram("flipdetect_batch_size", "Size of batches.", buckets=sizes, registry=self.registry)
        self.held = Gauge("flipdetect_pictures_waiting", "Pictures waiting or scored.", registry=self.registry)
        self.jobs = Gauge("flipdetect_jobs", "Film jobs by state.", ["state"], registry=self.registry)
        ProcessCollector(registry=self.registry)


class Service:
    """The handlers of all requests.

    Args:
        film_model: for films, perhaps the same in 8 bits.
        settings: how pages are extracted; its threshold is that of pictures, too.
    """

    def __init__(
        self, model: Model, film_model: Model, settings: ExtractSettings, store: JobStore, limits: Limits
    ) -> None:
        self.metrics = Metrics()
        self.limits = limits
        self._model = model
        self._threshold = model.threshold if settings.threshold is None else settings.threshold
        self._store = store
        self._queue = PictureQueue(model, limits.queue, self.metrics.batches.observe)
        self._worker = FilmWorker(store, film_model, settings, limits.job_s, limits.keep_s)
        self._uploads = 0
        self._is_closing = False

    def close(self) -> None:
        """Finish what was accepted, as far as `grace_s` allows; films that are left are queued for the next start."""
        self._is_closing = True
        self._queue.close()
        self._worker.close(self.limits.grace_s)

    async def predict(self, request: Request) -> Any:
        """Score pictures: files of a form, or base64 in JSON. One that cannot be read does not affect the others.

        If none can be read, the status is 422, with the same body.
        """
        try:
            with self._queue.place() as take:
                async with asyncio.timeout(self.limits.request_s), _sources(request) as sources:
                    if not 1 <= len(sources) <= self.limits.pictures:
                        expected = f"give 1 to {self.limits.pictures} pictures, in the field 'pictures'"
                        raise HTTPException(422, f"{expected}; got {len(sources)}")
                    take(len(sources))
                    futures = [asyncio.wrap_future(self._queue.submit(source)) for _, source in sources]
                    found = await asyncio.gather(*futures, return_exceptions=True)
        except QueueFullError as error:
            raise HTTPException(429, str(error), {"Retry-After": str(RETRY_PICTURES_S)}) from error
        except TimeoutError as error:
            reason = f"the request took longer than {self.limits.request_s:g} s; send less at a time"
            raise HTTPException(408, reason, {"Connection": "close"}) from error
        scores = Scores(
            model=self._model.path.stem,
            threshold=self._threshold,
            pictures=[self._picture(name, outcome) for (name, _), outcome in zip(sources, found, strict=True)],
        )
        if all(picture.error for picture in scores.pictures):
            return JSONResponse(scores.model_dump(), 422)
        return scores

    def _picture(self, name: str, outcome: float | BaseException) -> PictureScore:
        if isinstance(outcome, FrameError):
            self.metrics.pictures.labels("error").inc()
            return PictureScore(name=name, probability=None, label=None, error=str(outcome))
        if isinstance(outcome, BaseException):
            raise outcome
        label = self._model.classes.names[int(outcome >= self._threshold)]
        self.metrics.pictures.labels(label).inc()
        return PictureScore(name=name, probability=outcome, label=label, error="")

    async def add_film(self, request: Request, response: Response) -> JobStatus:
        """Accept a film; its pages are extracted later, and `GET /jobs/{id}` tells how far that is."""
        counts = await run_in_threadpool(self._store.counts)
        if counts[QUEUED] + counts[RUNNING] + self._uploads >= self.limits.jobs:
            reason = f"{self.limits.jobs} films are waiting, more are not accepted; try again"
            raise HTTPException(429, reason, {"Retry-After": str(RETRY_FILMS_S)})
        self._uploads += 1
        try:
            async with asyncio.timeout(self.limits.upload_s), request.form(max_files=1, max_fields=0) as form:
                film = form.get("film")
                if not isinstance(film, UploadFile) or not film.size:
                    raise HTTPException(422, "give one film that is not empty, as multipart/form-data, field 'film'")
                job = await run_in_threadpool(self._store.add, _name(film.filename, "film"), film.file)
        except TimeoutError as error:
            reason = f"the upload took longer than {self.limits.upload_s:g} s; send a smaller film"
            raise HTTPException(408, reason, {"Connection": "close"}) from error
        except OSError as error:
            logger.error("a film could not be stored: %s", error)
            raise HTTPException(507, "the film could not be stored; the disk may be full") from error
        finally:
            self._uploads -= 1
        self._worker.wake()
        response.headers["Location"] = f"/jobs/{job.id}"
        return self._status(job)

    def job(self, job_id: str) -> JobStatus:
        """How far a film is, and what was found in it."""
        return self._status(self._find(job_id))

    def delete_job(self, job_id: str) -> None:
        """Cancel a job, or delete its results."""
        self._store.delete(self._find(job_id).id)

    def file(self, job_id: str, path: str) -> FileResponse:
        """A file of the results of a job: a still, book.pdf, report.html, flips.json, flips.csv."""
        job = self._find(job_id)
        results = self._store.folder(job.id) / RESULTS
        if job.state != DONE or path not in _result(job, results)[1]:
            raise HTTPException(404, f"job {job.id} has no file of that name")
        headers = {"X-Content-Type-Options": "nosniff"}
        if path == REPORT:  # browsers would not show the PDF with it
            headers["Content-Security-Policy"] = SANDBOX
        return FileResponse(results / path, headers=headers)

    async def health(self) -> dict[str, str]:
        """Whether the threads that do the work live."""
        if not (self._queue.is_alive and self._worker.is_alive):
            raise HTTPException(503, "a thread has died; restart the service")
        return {"status": "ok"}

    async def ready(self) -> dict[str, str]:
        """Whether more pictures are accepted now."""
        if self._is_closing or self._queue.held >= self._queue.capacity:
            raise HTTPException(503, "the queue is full, or the service ends")
        return await self.health()

    def show_metrics(self) -> Response:
        """Metrics for Prometheus."""
        self.metrics.held.set(self._queue.held)
        for state, count in self._store.counts().items():
            self.metrics.jobs.labels(state).set(count)
        return Response(generate_latest(self.metrics.registry), media_type="text/plain; version=1.0.0; charset=utf-8")

    def _find(self, job_id: str) -> Job:
        job = self._store.get(job_id)
        if job is None:
            raise HTTPException(404, "there is no job of that id; it may have been deleted")
        return job

    def _status(self, job: Job) -> JobStatus:
        share, phase = self._worker.progress(job.id) if job.state == RUNNING else (0.0, "")
        result: dict[str, Any] | None = None
        links: dict[str, str | list[str]] = {}
        if job.state == DONE:
            result, files = _result(job, self._store.folder(job.id) / RESULTS)
            share = 1.0
            base = f"/jobs/{job.id}/files"
            links = {Path(name).stem: f"{base}/{name}" for name in (FLIPS, PDF, REPORT) if name in files}
            links["stills"] = [f"{base}/{name}" for name in files if name.startswith(f"{STILLS}/")]
        # Pydantic makes times of seconds since 1970.
        times = {"created": job.created_s, "started": job.started_s, "finished": job.finished_s}
        return JobStatus.model_validate({
            "id": job.id, "name": job.name, "state": job.state, "progress": round(share, 4), "phase": phase,
            "notes": job.notes.splitlines(), "result": result, "files": links, **times,
        })  # fmt: skip


def _result(job: Job, results: Path) -> tuple[dict[str, Any], list[str]]:
    """What flips.json says of a job's film, and the names of all files of its results."""
    try:
        document = json.loads((results / FLIPS).read_text(encoding="utf-8"))
    except OSError as error:
        raise HTTPException(404, f"the results of job {job.id} were deleted") from error
    return document["videos"][0], sorted(p.relative_to(results).as_posix() for p in results.rglob("*") if p.is_file())


def _name(name: str | None, default: str) -> str:
    """The last part of an uploaded file's name, fit for tables and terminals."""
    return printable((name or "").replace("\\", "/").split("/")[-1])[-LONGEST_NAME:] or default


@asynccontextmanager
async def _sources(request: Request) -> AsyncIterator[list[tuple[str, bytes | BinaryIO]]]:
    """Names and contents of the pictures in a request, as a form or as JSON."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "multipart/form-data":
        async with request.form(max_fields=0) as form:
            files = [file for file in form.getlist("pictures") if isinstance(file, UploadFile)]
            yield [(_name(file.filename, f"picture {number}"), file.file) for number, file in enumerate(files, 1)]
    elif kind == "application/json":
        body = await request.body()
        try:
            found = await run_in_threadpool(Pictures.model_validate_json, body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the body"
            raise HTTPException(422, f"{where}: {first['msg']}") from error
        yield [(f"picture {number}", data) for number, data in enumerate(found.pictures, 1)]
    else:
        raise HTTPException(415, "send pictures as multipart/form-data, or as application/json in base64")
