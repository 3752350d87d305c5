"""What people and machines talk to: `flipdetect serve` and `demo`, `batch` on many machines, `register` in MLflow."""

from __future__ import annotations

import logging
import signal
import socket
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

from flipdetect.atomic import alone
from flipdetect.cli.options import IS_FOLDER, Device, DeviceName, Engine, EngineName, Model, Threshold
from flipdetect.errors import ConfigError, require_extra

LOCALHOST = "127.0.0.1"
Host = Annotated[str, Option("--host", help="Address to listen on; 0.0.0.0 for all.")]
Port = Annotated[int, Option("--port", min=0, max=65535, help="0: any that is free.")]

SHOWN = 10
"""Problems that are listed at the end."""

logger = logging.getLogger(__name__)


def serve(
    model: Model = None,
    threshold: Threshold = None,
    host: Host = LOCALHOST,
    port: Port = 8000,
    jobs: Annotated[
        Path, Option(metavar="FOLDER", help="Where films, their results and temporary files are kept.")
    ] = Path("flipdetect-jobs"),
    api_key: Annotated[
        str | None,
        Option(
            envvar="FLIPDETECT_API_KEY",
            metavar="KEY",
            help="Ask for this key; rather set the variable, as others may see the options of a command.",
        ),
    ] = None,
    request_mb: Annotated[float, Option("--max-request-mb", min=0.001, help="Of a request with pictures.")] = 32,
    film_mb: Annotated[float, Option("--max-film-mb", min=0.001, help="Of a film.")] = 2000,
    pictures: Annotated[int, Option("--max-pictures", min=1, help="In one request.")] = 64,
    queue: Annotated[int, Option("--queue", min=1, help="Pictures that wait or are scored at a time.")] = 128,
    films: Annotated[int, Option("--max-jobs", min=1, help="Films that wait or run at a time.")] = 16,
    timeout: Annotated[
        float, Option("--timeout", min=0.1, help="Seconds of a request with pictures, upload included.")
    ] = 60,
    job_timeout: Annotated[float, Option(min=0.1, help="Seconds of a film; of its upload, a quarter of it.")] = 14400,
    keep_days: Annotated[float, Option(min=0, help="After which results are deleted.")] = 7,
    grace: Annotated[
        float, Option("--grace", min=0, help="Seconds that running work gets when the service ends.")
    ] = 20,
    engine: Engine = EngineName.AUTO,
    device: Device = DeviceName.AUTO,
) -> None:
    """Serve pictures and films over HTTP, with an API page at /docs.

    SIGTERM and Ctrl-C finish what was accepted; films that are not finished by then are run after the next start.

    Examples: flipdetect serve; curl -F pictures=@frame.jpg localhost:8000/predict
    """
    require_extra("serve", "fastapi", "uvicorn", "python_multipart", "prometheus_client")
    require_extra("plots", "jinja2", "matplotlib")
    if queue < pictures:
        raise ConfigError(f"--queue {queue} is less than --max-pictures {pictures}: a request could never be accepted")
    if api_key is not None and len(api_key) < 8:
        raise ConfigError(f"an API key needs 8 characters at least, got {len(api_key)}; try: openssl rand -hex 16")

    import uvicorn

    from flipdetect.apps.film_jobs import JobStore
    from flipdetect.apps.http_app import LOOPBACK, create_app
    from flipdetect.apps.service import Limits, Service
    from flipdetect.inference.load import load_model
    from flipdetect.inference.resolve import resolve_model
    from flipdetect.pipeline.extract_pages import ExtractSettings

    path = resolve_model(model)
    settings = ExtractSettings.of_model(path, threshold)
    picture_model = load_model(path, engine.value, device.value)
    film_model = load_model(path, engine.value, device.value, fast=True)
    limits = Limits(
        request_mb, film_mb, pictures, queue, films, timeout, job_timeout / 4, job_timeout, keep_days * 86400, grace
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}, port {port}: {error.strerror}; choose another --port") from error
    with listener, alone(jobs / "service"):
        store = JobStore(jobs)
        tempfile.tempdir = str(store.temporary)  # uploads are large; what a crash leaves there is deleted at the start
        service = Service(picture_model, film_model, settings, store, limits)
        app = create_app(service, api_key, local=host in LOOPBACK)
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=max(1, round(grace)))
        )
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
            signal.signal(signal.SIGHUP, server.handle_exit)
        address, used = listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        logger.info("Model: %s (%s)", picture_model.path, picture_model.runs_on)
        if api_key is None and host not in LOOPBACK:
            logger.warning("everybody who can reach %s may use this service; set FLIPDETECT_API_KEY", host)
        logger.info("Listening on http://%s:%d (API page: http://%s:%d/docs)", shown, used, shown, used)
        try:
            server.run([listener])
        except KeyboardInterrupt:
            pass  # uvicorn raises the signal again after an orderly end
        finally:
            store.close()


def demo(
    model: Model = None,
    threshold: Threshold = None,
    host: Host = LOCALHOST,
    port: Port = 7860,
    page: Annotated[
        bool, Option("--page", help="Instead, the page that scans on the phone itself; make web builds it.")
    ] = False,
) -> None:
    """Try it in the browser: a picture, a film, or the book under a camera.

    Browsers open a camera on localhost and over HTTPS only.

    Examples: flipdetect demo; flipdetect demo --model tiny_cnn --port 8080
    """
    if page:
        if model is not None or threshold is not None:
            raise ConfigError("the page has models of its own; leave out --model and --threshold")
        from flipdetect.apps.phone_page import serve_page

        return serve_page(host, port)
    require_extra("demo", "gradio", "matplotlib")
    from flipdetect.apps.demo import launch

    return launch(model, threshold, host, port)


def batch(
    inputs: Annotated[
        list[str],
        Argument(
            metavar="INPUTS...",
            help="Folders, videos, pictures or patterns; URLs such as s3://bucket/frames/; or tables (.csv, .parquet) "
            "with a column `path`.",
        ),
    ],
    output: Annotated[
        str, Option("--output", "-o", metavar="FOLDER|URL", help="Where the files of rows go.")
    ] = "scores",
    model: Model = None,
    threshold: Threshold = None,
    format: Annotated[Literal["parquet", "csv"], Option(help="Of the rows.")] = "parquet",  # noqa: A002
    workers: Annotated[int | None, Option("--workers", min=1, help="Processes. Default: one per core, or GPU.")] = None,
    device: Device = DeviceName.AUTO,
) -> None:
    """Score many frames and films with a pool of processes, on one machine or a Ray cluster (RAY_ADDRESS).

    The rows are those of flipdetect predict. The same command goes on where it stopped.

    Examples: flipdetect batch frames/ films/; flipdetect batch s3://bucket/frames.parquet -o s3://bucket/scores
    """
    require_extra("batch", "ray", "pyarrow", "fsspec")
    from flipdetect.apps.batch import run_batch

    found = run_batch(
        inputs, output, model, threshold=threshold, device=device.value, workers=workers, suffix=f".{format}"
    )
    for problem in found.problems[:SHOWN]:
        logger.error("%s", problem)
    if found.problems:
        more = len(found.problems) - SHOWN
        logger.error("%sthe same command tries again what was not done", f"{more} more problems; " if more > 0 else "")
    print(f"{output}: {found.rows} new rows, {found.unread} of them with an error")
    raise typer.Exit(int(bool(found.problems)))


def register(
    model: Model = None,
    name: Annotated[str, Option(help="Of the registered model; each call adds a version.")] = "flipdetect",
    store: Annotated[
        str | None,
        Option(metavar="URI", help="MLflow's tracking URI. Default: MLFLOW_TRACKING_URI, or sqlite:///logs/mlflow.db."),
    ] = None,
    report: Annotated[
        Path | None,
        Option(metavar="FOLDER", **IS_FOLDER, help="A report of flipdetect evaluate, to be logged as well."),
    ] = None,
) -> None:
    """Register a trained model in MLflow, to be served as an endpoint or run as a batch job.

    Example: flipdetect register --model last; mlflow models serve -m models:/flipdetect/1 --env-manager local
    """
    require_extra("mlflow", "mlflow")
    from flipdetect.apps.registry import register as to_registry

    made = to_registry(model, name, store, report)
    logger.info("Run %s in %s", made.run_id, made.store)
    print(made.uri)
