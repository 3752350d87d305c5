"""`flipdetect cross-validate`: score every video with a model that has not seen it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from flipdetect.cli.messages import INTERRUPTED, hush_libraries
from flipdetect.cli.options import Config, Device, DeviceName, Override, Seed
from flipdetect.cli.training.check_config import checked_arguments
from flipdetect.errors import ConfigError, require_extra

TABLE, METRICS = "cross_validation.md", "cross_validation.json"

logger = logging.getLogger("flipdetect")


def cross_validate(
    config: Config,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="FOLDER", help="Labelled frames. Default: the configuration's."),
    ] = None,
    override: Override = None,
    folds: Annotated[int, typer.Option(min=2, help="How many.")] = 5,
    leave_one_source_out: Annotated[
        bool, typer.Option("--leave-one-source-out", help="One fold for each source instead of --folds.")
    ] = False,
    group_by: Annotated[
        str | None, typer.Option(metavar="source|video", help="What is kept together. Default: source, if known.")
    ] = None,
    fold: Annotated[
        list[int] | None, typer.Option(metavar="N", help="Only this fold, counted from 0; repeatable. Default: all.")
    ] = None,
    gather: Annotated[bool, typer.Option("--gather", help="Train nothing; combine the finished folds.")] = False,
    seed: Seed = 0,
    split_seed: Annotated[int, typer.Option(help="Seed of the folds.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Default: runs/cross_validation/<configuration>."),
    ] = None,
    device: Device = DeviceName.AUTO,
    resamples: Annotated[int, typer.Option(min=2, help="Draws of videos for the 95% CIs.")] = 2000,
) -> None:
    """Cross-validate a configuration: every video is scored once, by a model that has not seen it or its book.

    Epoch, threshold and temperature of a fold are chosen on a validation split of its training frames. Finished folds
    are not repeated, and an interrupted one continues. To run folds side by side, start the same command several
    times: each process takes the next fold that no other trains. The output folder gets cross_validation.md and .json
    (folds, mean, standard deviation, pooled metrics with 95% CIs over videos) and predictions.csv.

    Example: flipdetect cross-validate --config tiny_cnn --folds 5 --data my_frames/
    """
    require_extra("train", "torch", "pytorch_lightning")
    if group_by not in (None, "source", "video"):
        raise typer.BadParameter(f"source or video is needed, got {group_by!r}", param_hint="--group-by")
    arguments = checked_arguments(config, [*(override or []), f"seed_everything={seed}"], data)
    hush_libraries()
    from flipdetect.atomic import write_json, write_text
    from flipdetect.cli import train
    from flipdetect.cli.training.lightning_cli import resolve_config
    from flipdetect.evaluation import cross_validation as cv
    from flipdetect.evaluation.study import Training, labelled_index, training_data

    name = "+".join(Path(each).stem for each in config)
    folder = output or Path("runs/cross_validation") / name
    if not gather:
        training = Training(name, resolve_config(arguments))
        frames = training_data(training.config)
        index = labelled_index(frames)
        kept, splits = cv.make_splits(
            index,
            frames.classes,
            folds=None if leave_one_source_out else folds,
            group_by=group_by,  # type: ignore[arg-type]
            val_fraction=frames.val_fraction,
            seed=split_seed,
        )
        chosen = list(dict.fromkeys(range(len(splits)) if fold is None else fold))
        if outside := [number for number in chosen if not 0 <= number < len(splits)]:
            raise ConfigError(f"folds are 0 to {len(splits) - 1}, got {outside[0]}")
        plan = cv.write_plan(folder, training, index, kept, splits, split_seed)
        try:
            for count, number in enumerate(cv.run_folds(folder, plan, training, chosen, train.main, device.value), 1):
                logger.info("Fold %d (%s) is finished, %d of %d", number, plan.folds[number], count, len(chosen))
        except KeyboardInterrupt:
            logger.warning("Interrupted; run the same command to continue")
            raise typer.Exit(INTERRUPTED) from None
    result = cv.gather(folder, resamples)
    write_text(folder / TABLE, f"# {result.title}\n\n{result.table('github')}\n")
    write_json(folder / METRICS, result.as_dict())
    print(f"{result.title}\n{result.table()}")
    logger.info("Tables: %s and %s; all scores: %s", folder / TABLE, folder / METRICS, folder / cv.PREDICTIONS)
