"""Commands that train several times: `flipdetect compare`, `cross-validate` and `tune`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Option

from flipdetect.cli.check_config import checked_arguments
from flipdetect.cli.configs import find_space
from flipdetect.cli.messages import INTERRUPTED, hush_libraries
from flipdetect.cli.options import IS_FOLDER, Config, Device, DeviceName, Override, Seed
from flipdetect.cli.train_arguments import ALLOW, read_arguments
from flipdetect.errors import ConfigError, ModelError, require_extra
from flipdetect.start.lean_imports import defer_torchmetrics

if TYPE_CHECKING:
    import optuna

OwnData = Annotated[
    Path | None,
    Option("--data", "-d", metavar="FOLDER", **IS_FOLDER, help="Labelled frames. Default: the configuration's."),
]

logger = logging.getLogger(__name__)


def compare(
    config: Config,
    data: OwnData = None,
    override: Override = None,
    max_megabytes: Annotated[float | None, Option(min=0, help="Largest file to recommend.")] = None,
    margin: Annotated[float, Option(help="F1 that a smaller model may lack.")] = 0.02,
    resamples: Annotated[int, Option(min=2, help="Bootstrap draws of videos for 95% CIs.")] = 2000,
    seed: Seed = 0,
    device: Device = DeviceName.AUTO,
    output: Annotated[Path, Option("--output", "-o", metavar="FOLDER", help="Folder for all files.")] = Path(
        "runs/compare"
    ),
) -> None:
    """Train several configurations (--config, repeatable) on the data set and split of the first one, and compare them.

    A table of F1 and AUROC with 95% CIs over videos, F1 minus that of the best model (paired by video), parameters,
    file size, estimated memory, time per frame on this CPU and training time; and a recommendation. Finished trainings
    are not repeated, an interrupted one continues.

    Example: flipdetect compare --config tiny_cnn --config mobilenet --max-megabytes 5
    """
    require_extra("train", "torch", "pytorch_lightning")
    values = [*(override or []), f"seed_everything={seed}"]
    arguments = [checked_arguments([each], values, data) for each in config]
    hush_libraries()
    defer_torchmetrics()
    from flipdetect.cli.lightning_cli import resolve_config
    from flipdetect.evaluation import study
    from flipdetect.evaluation.compare import Candidate, evaluate_candidate
    from flipdetect.evaluation.compare import compare as compare_models
    from flipdetect.export.onnx import export_onnx
    from flipdetect.runs import BEST

    # What can be refused is refused before the first training, which takes long.
    configs = [resolve_config(each) for each in arguments]
    shared = study.shared_split(study.training_data(configs[0]), output)
    stems = [Path(each).stem for each in config]
    models: list[Candidate] = []
    with _continuable():
        for place, (stem, resolved) in enumerate(zip(stems, configs, strict=True)):
            name = stem if stem not in stems[:place] else f"{stem}-{place + 1}"
            training = study.Training(name, study.with_values(resolved, shared.values()))
            path = study.run_training(training, output, _trainer(override)) / BEST
            logger.info("Evaluating %s", name)
            models.append(evaluate_candidate(name, path, shared, device.value, output, export_onnx))
            found = compare_models(models, max_megabytes=max_megabytes, margin=margin, resamples=resamples)
            found.write(shared, output)  # after each: trainings take long
            logger.info("Tables are %s, .csv and .json; all scores are next to them", output / "comparison.md")
    print(f"{found.table()}\n\n{found.why}")


def cross_validate(
    config: Config,
    data: OwnData = None,
    override: Override = None,
    folds: Annotated[int, Option(min=2, help="How many.")] = 5,
    leave_one_source_out: Annotated[
        bool, Option("--leave-one-source-out", help="One fold for each source instead of --folds.")
    ] = False,
    group_by: Annotated[
        Literal["source", "video"] | None, Option(help="What is kept together. Default: source, if known.")
    ] = None,
    seed: Seed = 0,
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="FOLDER", help="Default: runs/cross_validation/<configuration>.")
    ] = None,
    device: Device = DeviceName.AUTO,
    resamples: Annotated[int, Option(min=2, help="Draws of videos for the 95% CIs.")] = 2000,
) -> None:
    """Cross-validate a configuration: every video is scored once, by a model that has not seen it or its book.

    Epoch, threshold and temperature of a fold are chosen on a validation split of its training frames. Finished folds
    are not repeated, and an interrupted one continues. To run folds side by side, start the same command several
    times: each process takes the next fold that no other trains. The output folder gets cross_validation.md and .json
    (folds, mean, standard deviation, pooled metrics with 95% CIs over videos) and predictions.csv.

    Example: flipdetect cross-validate --config tiny_cnn --folds 5 --data my_frames/
    """
    require_extra("train", "torch", "pytorch_lightning")
    arguments = checked_arguments(config, [*(override or []), f"seed_everything={seed}"], data)
    hush_libraries()
    defer_torchmetrics()
    from flipdetect.atomic import write_json, write_text
    from flipdetect.cli.lightning_cli import resolve_config
    from flipdetect.evaluation import cross_validation as cv
    from flipdetect.evaluation.study import Training, labelled_index, training_data

    name = "+".join(Path(each).stem for each in config)
    folder = output or Path("runs/cross_validation") / name
    training = Training(name, resolve_config(arguments))
    frames = training_data(training.config)
    index = labelled_index(frames)
    kept, splits = cv.make_splits(
        index,
        frames.classes,
        folds=None if leave_one_source_out else folds,
        group_by=group_by,
        val_fraction=frames.val_fraction,
        seed=frames.split_seed,
    )
    plan = cv.write_plan(folder, training, index, kept, splits)
    with _continuable():
        cv.run_folds(folder, plan, training, _trainer(override), device.value)
    result = cv.gather(folder, plan, resamples)
    write_text(folder / "cross_validation.md", f"# {result.title}\n\n{result.table('github')}\n")
    write_json(folder / "cross_validation.json", result.as_dict())
    print(f"{result.title}\n{result.table()}")
    logger.info("Written: cross_validation.md, cross_validation.json and %s in %s", cv.PREDICTIONS, folder)


def tune(
    config: Config,
    space: Annotated[
        str,
        Option(
            metavar="NAME|PATH", help="YAML file: which values vary, and how; or a space of the package: tune/tiny_cnn."
        ),
    ],
    data: OwnData = None,
    override: Override = None,
    trials: Annotated[int, Option(min=1, help="Trials of the study in total, those of earlier calls included.")] = 20,
    metric: Annotated[str, Option(help="Logged by validation; one that ends in _loss is minimized.")] = "val_f1",
    study: Annotated[str | None, Option(help="Name of the study. Default: that of the first configuration.")] = None,
    output: Annotated[
        Path | None, Option("--output", "-o", metavar="FOLDER", help="Default: runs/tune/<study>.")
    ] = None,
    timeout: Annotated[float | None, Option(metavar="SECONDS", min=0, help="Start no trial after so long.")] = None,
    seed: Seed = 0,
) -> None:
    """Search for better hyperparameters with Optuna, by validation; the test split is not evaluated.

    The same command continues a study until it has --trials trials. The output folder gets best.yaml (a configuration
    for `flipdetect train`), trials.csv, history.png and a folder per trial.

    Example: flipdetect tune --config tiny_cnn --space tune/tiny_cnn --trials 20
    """
    require_extra("tune", "optuna")
    require_extra("train", "torch", "pytorch_lightning")
    arguments = checked_arguments(config, override or [], data)
    space_file = find_space(space)
    hush_libraries()
    defer_torchmetrics()
    from flipdetect.cli.lightning_cli import resolve_config
    from flipdetect.evaluation.tuning import Sweep, load_space, open_study, run_trials, write_best, write_results

    resolved = resolve_config(arguments)
    name = study or Path(config[0]).stem
    sweep = Sweep(name, resolved, load_space(space_file, resolved), metric, output or Path("runs/tune") / name)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    found = open_study(sweep, f"sqlite:///{sweep.folder / 'tune.db'}", seed)
    interrupted, allow = False, _allow_options(override)
    try:
        with redirect_stdout(sys.stderr):
            run_trials(
                found, sweep, lambda path, trial: _fit([f"--config={path}", *allow], trial, metric), trials, timeout
            )
    except KeyboardInterrupt:
        logger.warning("Interrupted; run the same command to continue")
        interrupted = True
    print(write_results(found, sweep))
    try:
        best = write_best(found, sweep, config)
    except ModelError:
        if interrupted:
            raise typer.Exit(INTERRUPTED) from None
        raise
    logger.info("Train with the best values: flipdetect train --config %s", best)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


@contextmanager
def _continuable() -> Iterator[None]:
    """Exit after Ctrl-C with a word on how to continue."""
    try:
        yield
    except KeyboardInterrupt:
        logger.warning("Interrupted; run the same command to continue")
        raise typer.Exit(INTERRUPTED) from None


def _trainer(override: Sequence[str] | None) -> Callable[[list[str]], int]:
    """`train.py`, with the classes that the overrides allow."""
    from flipdetect.cli import train

    return lambda arguments: train.main([*arguments, *_allow_options(override)])


def _allow_options(override: Sequence[str] | None) -> list[str]:
    """The overrides that allow classes, as options of each training."""
    return [f"--{pair}" for pair in override or () if pair.startswith(f"{ALLOW}=")]


def _fit(arguments: Sequence[str], trial: optuna.Trial, metric: str) -> tuple[float | None, int]:
    """Train a configuration without testing it; returns the best value and the number of epochs."""
    import optuna

    from flipdetect.callbacks import InterruptCheckpoint
    from flipdetect.callbacks.monitoring import OptunaPruning
    from flipdetect.cli.lightning_cli import TrainCLI

    try:
        cli = TrainCLI(read_arguments(arguments))
    except SystemExit as error:
        raise ConfigError(f"{arguments[0]} was refused as a configuration; see the message above") from error
    callbacks: list[Any] = cli.trainer.callbacks  # type: ignore[attr-defined]
    # An interrupted trial is tried again from its start: it needs no checkpoint to continue from.
    callbacks[:] = [callback for callback in callbacks if not isinstance(callback, InterruptCheckpoint)]
    pruning = OptunaPruning(trial, metric)
    callbacks.append(pruning)
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    except SystemExit as error:  # this is how Lightning ends a fit after Ctrl-C
        raise KeyboardInterrupt from error
    finally:
        cli.release()
    if pruning.pruned:
        raise optuna.TrialPruned(f"after {pruning.epochs} epochs")
    return pruning.best, pruning.epochs
