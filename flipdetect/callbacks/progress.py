"""The progress bar on standard error; where that is not a terminal, a line from time to time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import redirect_stdout

from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm

from flipdetect.progress import EVERY_S, Lines


class _Lines(Lines, Tqdm):
    """Lightning's bar as lines of a log."""


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, but on standard error: in a pipe, it would mix with the table of results.

    Args:
        refresh_rate: steps between two updates; 0 for no bar.
    """

    def __init__(self, refresh_rate: int = 5) -> None:
        super().__init__(refresh_rate=refresh_rate)

    def init_sanity_tqdm(self) -> Tqdm:
        """The bar of the sanity check."""
        return self._bar(super().init_sanity_tqdm, self.sanity_check_description, leave=False)

    def init_train_tqdm(self) -> Tqdm:
        """The bar of a training epoch."""
        return self._bar(super().init_train_tqdm, self.train_description)

    def init_validation_tqdm(self) -> Tqdm:
        """The bar of a validation run."""
        return self._bar(super().init_validation_tqdm, self.validation_description, leave=False)

    def init_test_tqdm(self) -> Tqdm:
        """The bar of a test run."""
        return self._bar(super().init_test_tqdm, self.test_description)

    def _bar(self, of_lightning: Callable[[], Tqdm], description: str, *, leave: bool = True) -> Tqdm:
        if not sys.stderr.isatty():
            # A bar that disappears when it ends, as that of validation, is only worth a line if it takes long.
            settings = {"disable": self.is_disabled, "leave": leave, "delay": 0 if leave else EVERY_S, "smoothing": 0}
            return _Lines(desc=description, file=sys.stderr, **settings)
        with redirect_stdout(sys.stderr):
            return of_lightning()
