"""The HTTP application of `flipdetect serve`: routes, API key, and what every request passes; see `service`."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import flipdetect
from flipdetect.apps.service import Metrics, Pictures, Refusal, Scores, Service

MEGABYTE = 1_000_000
LOOPBACK = ("localhost", "127.0.0.1")
METHODS = frozenset({"GET", "POST", "DELETE"})
DESCRIPTION = "Detect page turns in photos and videos of books, and extract one clean image per spread."


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Refusal} for status in statuses}


def _file_schema(field: str, *, several: bool) -> dict[str, Any]:
    file: dict[str, Any] = {"type": "string", "format": "binary"}
    value = {"type": "array", "items": file, "minItems": 1} if several else file
    whole = {"type": "object", "properties": {field: value}, "required": [field], "additionalProperties": False}
    return {"schema": whole}


PICTURES_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": _file_schema("pictures", several=True),
        "application/json": {"schema": Pictures.model_json_schema()},
    },
}
FILM_BODY = {"required": True, "content": {"multipart/form-data": _file_schema("film", several=False)}}


class Gate:
    """Counts and times all requests, and refuses those that a page of another web site sends through a browser."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def send_counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            headers = dict(scope["headers"])
            origin, host = headers.get(b"origin"), headers.get(b"host", b"")
            if origin is not None and origin.split(b"://")[-1] != host:
                refusal = JSONResponse({"detail": "requests of other web sites are refused"}, 403)
                await refusal(scope, receive, send_counted)
            else:
                await self._app(scope, receive, send_counted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in METHODS else "other"  # a client may invent any number
            self._metrics.seconds.labels(route, method, status).observe(time.perf_counter() - start)


class ApiKey(HTTPBearer):
    """Lets only requests with this key pass; it is compared in constant time."""

    def __init__(self, key: str) -> None:
        super().__init__(auto_error=False, description="the service's API key")
        self._key = key.encode()

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        """Raise 401 unless the request has the key."""
        given = await super().__call__(request)
        if given is None or not secrets.compare_digest(given.credentials.encode(), self._key):
            raise HTTPException(401, "send the API key: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})
        return given


def create_app(service: Service, key: str | None, *, local: bool) -> FastAPI:
    """The application with all routes.

    Args:
        key: the API key that everything but /health and /ready asks for; None: none.
        local: whether it listens on this computer alone; without a key, other host names are refused then, which a
            page of another web site could have pointed here.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await run_in_threadpool(service.close)

    limits = service.limits
    app = FastAPI(title="flipdetect", version=flipdetect.__version__, lifespan=lifespan, description=DESCRIPTION)
    locks = [] if key is None else [Depends(ApiKey(key))]
    refusals = _problems(403) if key is None else _problems(401, 403)
    app.get("/health", responses=_problems(503))(service.health)
    app.get("/ready", responses=_problems(503))(service.ready)
    app.get("/metrics", dependencies=locks, responses=refusals, response_class=Response)(service.show_metrics)
    app.post(
        "/predict",
        dependencies=locks,
        response_model=Scores,
        responses={**refusals, **_problems(400, 408, 413, 415, 429), 422: {"model": Scores | Refusal}},
        openapi_extra={"requestBody": PICTURES_BODY},
        max_body_size=round(limits.request_mb * MEGABYTE),
    )(service.predict)
    app.post(
        "/videos",
        status_code=202,
        dependencies=locks,
        responses={**refusals, **_problems(400, 408, 413, 422, 429, 507)},
        openapi_extra={"requestBody": FILM_BODY},
        max_body_size=round(limits.film_mb * MEGABYTE),
    )(service.add_film)
    responses = refusals | _problems(404)
    app.get("/jobs/{job_id}", dependencies=locks, responses=responses)(service.job)
    app.delete("/jobs/{job_id}", dependencies=locks, responses=responses, status_code=204)(service.delete_job)
    file_route = app.get(
        "/jobs/{job_id}/files/{path:path}", dependencies=locks, responses=responses, response_class=FileResponse
    )
    file_route(service.file)
    if local and key is None:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOOPBACK])
    app.add_middleware(Gate, metrics=service.metrics)
    return app
