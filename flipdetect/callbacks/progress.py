"""The progress bar, on standard error."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout

from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm


class ProgressBar(TQDMProgressBar):
    """Lightning's bar, which writes to standard output; there it would mix with the table of results in a pipe.

    Args:
        refresh_rate: steps between two updates; 0 for no bar.
    """

    def __init__(self, refresh_rate: int = 5) -> None:
        super().__init__(refresh_rate=refresh_rate)

    def init_sanity_tqdm(self) -> Tqdm:
        """The bar of the sanity check."""
        with redirect_stdout(sys.stderr):
            return super().init_sanity_tqdm()

    def init_train_tqdm(self) -> Tqdm:
        """The bar of a training epoch."""
        with redirect_stdout(sys.stderr):
            return super().init_train_tqdm()

    def init_validation_tqdm(self) -> Tqdm:
        """The bar of a validation run."""
        with redirect_stdout(sys.stderr):
            return super().init_validation_tqdm()

    def init_test_tqdm(self) -> Tqdm:
        """The bar of a test run."""
        with redirect_stdout(sys.stderr):
            return super().init_test_tqdm()
