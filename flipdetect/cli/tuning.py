"""What a sweep needs of the training command: the configuration in full, and a fit without a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning.callbacks import Callback

from flipdetect.callbacks import InterruptCheckpoint
from flipdetect.callbacks.pruning import EpochReport, Report
from flipdetect.cli.lightning_cli import TrainCLI
from flipdetect.errors import ConfigError

REFUSED = 2
"""Exit status of a parser that refuses its arguments."""


def resolve_config(args: Sequence[str]) -> dict[str, Any]:
    """The configuration that arguments of `train.py` stand for, every default filled in; builds nothing.

    Raises:
        SystemExit: if it is refused; the reason is on standard error.
    """
    content: dict[str, Any] = yaml.safe_load(_Unbuilt(args).resolved)
    return content


def fit(config: Path, metric: str, report: Report) -> None:
    """Train as a configuration says, without looking at the test side.

    Args:
        config: of one run.
        metric: that `report` is told after each epoch.
        report: may end the training.

    Raises:
        ConfigError: if the configuration is refused.
        KeyboardInterrupt: after Ctrl-C.
    """
    try:
        cli = TrainCLI(["--config", str(config)])
    except SystemExit as error:
        raise ConfigError(f"{config} was refused as a configuration; the reason stands above") from error
    callbacks: list[Callback] = cli.trainer.callbacks  # type: ignore[attr-defined]
    # An interrupted trial is tried again from its start: there is no checkpoint to go on from.
    callbacks[:] = [callback for callback in callbacks if not isinstance(callback, InterruptCheckpoint)]
    callbacks.append(EpochReport(metric, report))
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    except SystemExit as error:  # this is how Lightning ends a fit after Ctrl-C
        raise KeyboardInterrupt from error


class _Unbuilt(TrainCLI):
    """Parses and checks; the classes are left alone."""

    def instantiate_classes(self) -> None:
        """Build nothing."""
