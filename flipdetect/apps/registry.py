"""A trained model in MLflow's registry, for online endpoints and batch jobs.

The model's own files are logged, with the name of this module as the code that loads them: nothing is pickled.
"""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

import flipdetect
from flipdetect.apps.picture_queue import PictureQueue
from flipdetect.errors import DataError, FrameError
from flipdetect.inference.load import load_model
from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import SUFFIX, OnnxModel
from flipdetect.inference.resolve import resolve_model
from flipdetect.inference.settings import SUFFIX as EVENTS_SUFFIX
from flipdetect.runs import run_files

if TYPE_CHECKING:
    import pandas as pd

IMAGE = "image"
"""The input column: an image file's contents, as bytes, or as base64 in JSON and CSV."""
EXPERIMENT = "flipdetect"
SQLITE = "sqlite:///"
STORE = f"{SQLITE}logs/mlflow.db"
"""The store of configs/logger/mlflow.yaml."""

PARTS = (SUFFIX, EVENTS_SUFFIX, ".md")
"""Suffixes of what belongs to a model besides its file: the exported model, event settings, the card."""


class Registered(NamedTuple):
    """A version of a registered model, the run that logged it, and their store."""

    uri: str
    run_id: str
    store: str


class ImageScorer:
    """What MLflow calls: a table of image files in, a table of probabilities out. Threads may share it."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._queue = PictureQueue(model, capacity=0)  # whoever calls limits what it sends

    def predict(self, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Score images, a column `image`; `params`, which MLflow passes, are none.

        Returns:
            As many rows, with `probability` and `label`; where an image cannot be read, these are None and `error` says
            why.
        """
        import pandas as pd

        futures = []
        for value in model_input[IMAGE]:
            contents = value if isinstance(value, bytes) else b""  # what is no base64 is no image either
            if not isinstance(value, bytes):
                with suppress(ValueError):
                    contents = base64.b64decode(str(value))
            futures.append(self._queue.submit(contents))
        rows: list[tuple[float | None, str | None, str]] = []
        for future in futures:
            try:
                probability = future.result()
            except FrameError as error:
                rows.append((None, None, str(error)))
            else:
                rows.append((probability, self._model.classes.names[int(probability >= self._model.threshold)], ""))
        # Columns of objects, as a missing number would become NaN, which JSON lacks.
        return pd.DataFrame(rows, columns=["probability", "label", "error"], dtype=object)


def _load_pyfunc(path: str, model_config: Mapping[str, Any]) -> ImageScorer:
    """MLflow's entry: the model of a folder that `register` logged; `model_config` has its file name and the device."""
    return ImageScorer(load_model(Path(path) / model_config["file"], device=model_config["device"]))


def register(model: str | None, name: str, store: str | None = None, report: Path | None = None) -> Registered:
    """Log a trained model to MLflow with its files, metrics and report, and register it.

    Args:
        model: as for `resolve_model`.
        name: of the registered model; a new version is added if there is one.
        store: MLflow's tracking URI; None for that of the environment variable MLFLOW_TRACKING_URI, else `STORE`.

    Raises:
        ModelError: if the model cannot be loaded.
        DataError: if MLflow refuses.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    path = resolve_model(model)
    trained = load_model(path, device="cpu")
    extra, engine = ("", "onnxruntime") if isinstance(trained, OnnxModel) else ("[train]", "torch")
    store = store or os.environ.get("MLFLOW_TRACKING_URI") or STORE
    spec, run_metrics = trained.preprocess, path.parent / "metrics.json"
    logged = json.loads(run_metrics.read_text(encoding="utf-8")) if run_metrics.is_file() else {}
    metrics = {f"final/{key}": value for key, value in logged.items() if isinstance(value, int | float)}
    example = io.BytesIO()
    Image.new("RGB", (spec.width, spec.height), "white").save(example, "PNG")
    try:
        mlflow.set_tracking_uri(store)
        if mlflow.get_experiment_by_name(EXPERIMENT) is None:
            location = None
            if store.startswith(SQLITE):  # files go into a folder next to the database
                database = Path(store.removeprefix(SQLITE))
                database.parent.mkdir(parents=True, exist_ok=True)
                location = database.with_suffix("").resolve().as_uri()
            mlflow.create_experiment(EXPERIMENT, location)
        mlflow.set_experiment(EXPERIMENT)
        with mlflow.start_run(run_name=name) as run, tempfile.TemporaryDirectory() as folder:
            files = Path(folder) / "model"
            files.mkdir()
            for file in {path, *(path.with_suffix(suffix) for suffix in PARTS)}:
                if file.is_file():
                    shutil.copy(file, files)
            for file, place in run_files(path.parent) if metrics else ():
                mlflow.log_artifact(str(file), place)
            if report is not None:
                mlflow.log_artifacts(str(report), "report")
            mlflow.log_metrics(metrics)
            mlflow.log_params({"model": path.name, "engine": engine, "threshold": trained.threshold, **spec.to_dict()})
            info = mlflow.pyfunc.log_model(
                name="model",
                loader_module=__name__,
                data_path=str(files),
                model_config={"file": path.name, "device": "auto"},
                signature=ModelSignature(
                    inputs=Schema([ColSpec("binary", IMAGE)]),
                    outputs=Schema(
                        [
                            ColSpec("double", "probability", required=False),
                            ColSpec("string", "label", required=False),
                            ColSpec("string", "error"),
                        ]
                    ),
                ),
                input_example={IMAGE: [example.getvalue()]},
                pip_requirements=[f"flipdetect{extra}=={flipdetect.__version__}", f"{engine}=={version(engine)}"],
                registered_model_name=name,
            )
    except mlflow.MlflowException as error:
        raise DataError(f"MLflow's store {store} refuses the model: {error}; check --store and --name") from error
    return Registered(f"models:/{name}/{info.registered_model_version}", run.info.run_id, store)
