"""`flipdetect batch` and `flipdetect register`: many frames with a pool of processes, and a model in a registry."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flipdetect.cli.options import Device, DeviceName, Model, Threshold
from flipdetect.errors import require_extra

SHOWN = 10
"""Problems that are listed at the end."""

logger = logging.getLogger(__name__)


class TableFormat(StrEnum):
    """Kind of the files of rows."""

    PARQUET = "parquet"
    CSV = "csv"


def batch(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUTS...",
            help="Folders, videos, pictures or patterns; URLs such as s3://bucket/frames/; or tables (.csv, .parquet) "
            "with a column `path`.",
        ),
    ],
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FOLDER|URL", help="Where the files of rows go.")
    ] = "scores",
    model: Model = None,
    threshold: Threshold = None,
    format: Annotated[TableFormat, typer.Option("--format", help="Of the rows.")] = TableFormat.PARQUET,  # noqa: A002
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes. Default: one per core, or GPU.")
    ] = None,
    device: Device = DeviceName.AUTO,
) -> None:
    """Score many frames and films with a pool of processes, on one machine or a Ray cluster (RAY_ADDRESS).

    The rows are those of flipdetect predict. The same command goes on where it stopped.

    Examples: flipdetect batch frames/ films/; flipdetect batch s3://bucket/frames.parquet -o s3://bucket/scores
    """
    require_extra("batch", "ray", "pyarrow", "fsspec")
    from flipdetect.apps.batch import run_batch

    found = run_batch(
        inputs,
        output,
        model,
        threshold=threshold,
        device=device.value,
        workers=workers,
        suffix=f".{format.value}",
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
    name: Annotated[
        str, typer.Option("--name", help="Of the registered model; each call adds a version.")
    ] = "flipdetect",
    store: Annotated[
        str | None,
        typer.Option(
            "--store",
            metavar="URI",
            help="MLflow's tracking URI. Default: MLFLOW_TRACKING_URI, or sqlite:///logs/mlflow.db.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FOLDER", help="A report of flipdetect evaluate, to be logged as well."),
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
