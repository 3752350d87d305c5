"""`flipdetect tune`: search for better hyperparameters with Optuna."""

from __future__ import annotations

import logging
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flipdetect.cli.messages import INTERRUPTED, hush_libraries
from flipdetect.cli.options import Config, Override, Seed
from flipdetect.cli.training.check_config import checked_arguments
from flipdetect.cli.training.configs import find_space
from flipdetect.errors import ConfigError, require_extra

if TYPE_CHECKING:
    import optuna

logger = logging.getLogger("flipdetect")


def tune(
    config: Config,
    space: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH", help="YAML file: which values vary, and how; or a space of the package: tune/tiny_cnn."
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="FOLDER", help="Labelled frames. Default: the configuration's."),
    ] = None,
    override: Override = None,
    trials: Annotated[
        int, typer.Option(min=1, help="Trials of the study in total, those of earlier calls included.")
    ] = 20,
    metric: Annotated[str, typer.Option(help="Logged by validation; one that ends in _loss is minimized.")] = "val_f1",
    study: Annotated[
        str | None, typer.Option(help="Name of the study. Default: that of the first configuration.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="sqlite:///tune.db, or a file's path. Default: tune.db in --output.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FOLDER", help="Default: runs/tune/<study>.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(metavar="SECONDS", help="Start no trial after so long.")] = None,
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
    from flipdetect.cli.training.lightning_cli import resolve_config
    from flipdetect.evaluation.tuning import Sweep, load_space, open_study, run_trials, write_best, write_results

    resolved = resolve_config(arguments)
    name = study or Path(config[0]).stem
    sweep = Sweep(name, resolved, load_space(space_file, resolved), metric, output or Path("runs/tune") / name)
    sweep.folder.mkdir(parents=True, exist_ok=True)
    address = storage or str(sweep.folder / "tune.db")
    found = open_study(sweep, address if "://" in address else f"sqlite:///{address}", seed)
    interrupted = False
    try:
        with redirect_stdout(sys.stderr):
            run_trials(found, sweep, lambda path, trial: _fit(path, trial, metric), trials, timeout)
    except KeyboardInterrupt:
        logger.warning("Interrupted; run the same command to continue")
        interrupted = True
    print(write_results(found, sweep))
    try:
        best = write_best(found, sweep, config)
    except ConfigError:
        if interrupted:
            raise typer.Exit(INTERRUPTED) from None
        raise
    logger.info("Train with the best values: flipdetect train --config %s", best)
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def _fit(config: Path, trial: optuna.Trial, metric: str) -> tuple[float | None, int]:
    """Train a configuration without testing it; returns the best value and the number of epochs.

    Raises:
        ConfigError: if the configuration is refused.
        KeyboardInterrupt: after Ctrl-C.
        optuna.TrialPruned: if the trial was stopped early.
    """
    import optuna

    from flipdetect.callbacks import InterruptCheckpoint
    from flipdetect.callbacks.monitoring import OptunaPruning
    from flipdetect.cli.training.lightning_cli import TrainCLI

    try:
        cli = TrainCLI(["--config", str(config)])
    except SystemExit as error:
        raise ConfigError(f"{config} was refused as a configuration; see the message above") from error
    callbacks: list[Any] = cli.trainer.callbacks  # type: ignore[attr-defined]
    # An interrupted trial is tried again from its start: it needs no checkpoint to continue from.
    callbacks[:] = [callback for callback in callbacks if not isinstance(callback, InterruptCheckpoint)]
    pruning = OptunaPruning(trial, metric)
    callbacks.append(pruning)
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    except SystemExit as error:  # this is how Lightning ends a fit after Ctrl-C
        raise KeyboardInterrupt from error
    if pruning.pruned:
        raise optuna.TrialPruned(f"after {pruning.epochs} epochs")
    return pruning.best, pruning.epochs
