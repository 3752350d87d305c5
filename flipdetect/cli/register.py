"""`flipdetect register`: put a trained model into MLflow's registry."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from flipdetect.cli.options import Model
from flipdetect.errors import require_extra

logger = logging.getLogger(__name__)


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
