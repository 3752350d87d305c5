"""`flipdetect compare`: several models on one test split, and which one to take."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flipdetect.cli.messages import INTERRUPTED, hush_libraries
from flipdetect.cli.options import Device, DeviceName, Models, Override, Seed
from flipdetect.cli.training.check_config import checked_arguments
from flipdetect.errors import ModelError, require_extra

if TYPE_CHECKING:
    from flipdetect.evaluation.compare import Candidate, Comparison, SharedSplit
    from flipdetect.evaluation.footprint import Footprint
    from flipdetect.inference.torch_model import TorchModel

FOOTPRINTS = "footprints.json"

logger = logging.getLogger("flipdetect")


def compare(
    config: Annotated[
        list[str] | None,
        typer.Option("--config", "-c", metavar="NAME|PATH", help="A configuration to train; repeatable."),
    ] = None,
    model: Models = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="FOLDER", help="Labelled frames. Default: the first configuration's."),
    ] = None,
    override: Override = None,
    manifest: Annotated[Path | None, typer.Option(metavar="CSV", help="A table that describes the data set.")] = None,
    split_file: Annotated[
        Path | None, typer.Option(metavar="CSV", help="The split. Default: made as the first configuration says.")
    ] = None,
    max_megabytes: Annotated[float | None, typer.Option(help="Largest file to recommend.")] = None,
    margin: Annotated[float, typer.Option(help="F1 that a smaller model may lack.")] = 0.02,
    resamples: Annotated[int, typer.Option(min=2, help="Bootstrap draws of videos for 95% CIs.")] = 2000,
    seed: Seed = 0,
    device: Device = DeviceName.AUTO,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for all files.")] = Path(
        "runs/compare"
    ),
) -> None:
    """Compare models on one test split: train configurations (--config), add trained models (--model).

    A table of F1 and AUROC with 95% CIs over videos, F1 minus that of the best model (paired by video), parameters,
    file size, estimated memory, time per frame on this CPU and training time; and a recommendation. Finished trainings
    are not repeated, an interrupted one continues. Trained models must not have seen the test frames.

    Example: flipdetect compare --config tiny_cnn --config mobilenet --max-megabytes 5
    """
    require_extra("train", "torch", "pytorch_lightning")
    if not (config or model):
        raise typer.BadParameter("name what to compare: --config to train, --model for trained models")
    if not config and not (data and split_file):
        raise typer.BadParameter("without --config, name the data set and its split: --data and --split-file")
    values = [*(override or []), f"seed_everything={seed}"]
    given = {"manifest": manifest, "split_file": split_file}
    named = [f"data.{name}={path}" for name, path in given.items() if path]
    # All are trained on the data set of the first, which names the split, too.
    arguments = [
        checked_arguments([each], values if place else [*values, *named], data)
        for place, each in enumerate(config or [])
    ]
    hush_libraries()
    from flipdetect.cli import train
    from flipdetect.cli.training.lightning_cli import resolve_config
    from flipdetect.evaluation.compare import SharedSplit, check_unseen, shared_split
    from flipdetect.evaluation.compare import compare as compare_models
    from flipdetect.evaluation.evaluate import short_model_name
    from flipdetect.evaluation.study import Training, run_training, training_data, with_values
    from flipdetect.inference.load import resolve_model
    from flipdetect.runs import BEST

    if config:
        resolved = resolve_config(arguments[0])
        shared = shared_split(training_data(resolved), output)
    else:
        assert data is not None
        assert split_file is not None
        shared = SharedSplit(data, split_file, manifest)

    def candidates() -> Iterator[Candidate]:
        names: list[str] = []
        for each in config or []:
            names.append(_distinct(Path(each).stem, names))
            own = with_values(resolve_config(checked_arguments([each], values, shared.root)), shared.values())
            run = run_training(Training(names[-1], own), output, train.main)
            yield _evaluated(names[-1], run / BEST, shared, device.value, output)
        for each in model or []:
            path = resolve_model(each)
            check_unseen(path, shared)
            names.append(_distinct(short_model_name(str(path)), names))
            yield _evaluated(names[-1], path, shared, device.value, output)

    models: list[Candidate] = []
    try:
        for candidate in candidates():
            models.append(candidate)
            found = compare_models(models, max_megabytes=max_megabytes, margin=margin, resamples=resamples)
            _write(found, shared, output)  # after each: trainings take long
    except KeyboardInterrupt:
        logger.warning("Interrupted; run the same command to continue")
        raise typer.Exit(INTERRUPTED) from None
    print(f"{found.table()}\n\n{found.why}")


def _evaluated(name: str, path: Path, shared: SharedSplit, device: str, folder: Path) -> Candidate:
    """A trained model, evaluated on the test split and measured."""
    from flipdetect.evaluation.compare import Candidate
    from flipdetect.evaluation.evaluate import evaluate_folder
    from flipdetect.inference.torch_model import load_torch_model
    from flipdetect.tasks.fit import METRICS_FILE

    logger.info("Evaluating %s", name)
    evaluation = evaluate_folder(
        load_torch_model(path, device), shared.root, split="test", split_file=shared.path, manifest=shared.manifest
    )
    metrics = path.with_name(METRICS_FILE)
    seconds = json.loads(metrics.read_text(encoding="utf-8")).get("fit_seconds") if metrics.is_file() else None
    return Candidate(name, evaluation, _footprint(name, load_torch_model(path, "cpu"), folder), seconds)


def _footprint(name: str, model: TorchModel, folder: Path) -> Footprint:
    """Measured once for each model file."""
    from dataclasses import asdict

    from flipdetect.atomic import write_json
    from flipdetect.evaluation.footprint import Footprint, measure_footprint
    from flipdetect.export.onnx import export_onnx
    from flipdetect.inference.onnx_model import file_digest

    path, digest = folder / FOOTPRINTS, file_digest(model.path)
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if digest not in known:
        exported = None
        try:
            exported = export_onnx(model, folder / "exported" / f"{name.replace('/', '-')}.onnx")
        except ModelError as error:
            logger.warning("%s is timed with PyTorch, and its file is estimated: %s", name, error)
        known[digest] = asdict(measure_footprint(model, exported))
        write_json(path, known)
    return Footprint(**known[digest])


def _write(found: Comparison, shared: SharedSplit, folder: Path) -> None:
    from flipdetect.atomic import write_csv, write_json, write_text
    from flipdetect.evaluation.evaluate import write_predictions

    evaluation = found.models[0].evaluation
    text = (
        f"# Models compared\n\nOn {shared.root}, test split of {shared.path.name}: {len(evaluation.scored):,} frames "
        f"of {evaluation.videos:,} videos. In brackets: 95% CI over videos; the difference from the best model "
        f"({found.best}) is paired by video. Times are per frame, by {found.models[0].footprint.engine}.\n\n"
        f"{found.table('github')}\n\n{found.why}\n"
    )
    rows = found.rows()
    write_text(folder / "comparison.md", text)
    write_csv(folder / "comparison.csv", list(rows[0]), (list(row.values()) for row in rows))
    write_json(folder / "comparison.json", {"root": str(shared.root), "split": str(shared.path), **found.as_dict()})
    write_predictions(folder / "predictions.csv", [(m.name, str(shared.root), m.evaluation) for m in found.models])
    logger.info("Tables are %s, .csv and .json; all scores %s", folder / "comparison.md", folder / "predictions.csv")


def _distinct(name: str, taken: list[str]) -> str:
    number = next(n for n in range(1, len(taken) + 2) if (name if n == 1 else f"{name}-{n}") not in taken)
    return name if number == 1 else f"{name}-{number}"
