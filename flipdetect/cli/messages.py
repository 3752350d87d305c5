"""How the commands speak: messages on standard error, results on standard output."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from typing import Any

from flipdetect.errors import ConfigError, FlipdetectError, printable

# Warnings of the libraries below that no user of this program can act on.
_NOISE = (
    ".*does not have many workers.*",  # the number of loader processes is chosen by the number of cores
    ".*number of training batches.*",  # small sets are welcome
    "(?s).*does not round-trip.*",  # tuples become lists in the saved configuration, and are read back all the same
    ".*isinstance\\(treespec, LeafSpec\\).*",
    "(?s).*skip_none parameter was deprecated.*",  # the replacement is younger than the oldest release we support
    "LightningCLI's args parameter.*",  # main() takes its arguments on purpose
    "Precision bf16-mixed is not supported by the model summary.*",
    ".*Using `DistributedSampler` with the dataloaders.*",  # ours repeats no frame
    ".*exists and is not empty.*",  # the run's folder holds its other files, and a resumed run's earlier ones
)
_ADVERTISEMENT = "litlogger"

REFUSED = 2
"""Exit status where arguments cannot work."""
INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 + SIGINT, as shells report it."""


def set_up_logging() -> None:
    """Send the package's messages to standard error, so that standard output stays usable in a pipe."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    root = logging.getLogger("flipdetect")
    root.handlers[:] = [handler]
    # Of several processes that train together, one speaks; the others only of what is wrong.
    root.setLevel(logging.INFO if os.environ.get("LOCAL_RANK", "0") == "0" else logging.WARNING)
    root.propagate = False


def stop_on_signals() -> None:
    """Have SIGTERM (docker stop, systemd, timeout) and SIGHUP (a closed terminal) end the program as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        return

    def interrupt(number: int, frame: Any) -> None:
        signal.signal(number, signal.SIG_IGN)  # once: what follows writes what there is
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, interrupt)


def explain(error: FlipdetectError) -> int:
    """Print an error; returns the exit status: 2 if arguments or settings cannot work, else 1."""
    logging.getLogger("flipdetect").error("%s", error)
    return REFUSED if isinstance(error, ConfigError) else 1


def hush_libraries() -> None:
    """Leave out what Lightning and jsonargparse say to developers rather than to users."""
    for message in _NOISE:
        warnings.filterwarnings("ignore", message=message)
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.rank_zero"):
        logging.getLogger(name).addFilter(lambda record: _ADVERTISEMENT not in record.getMessage())


class _Formatter(logging.Formatter):
    """Plain text for information, a leading word for what needs attention."""

    def format(self, record: logging.LogRecord) -> str:
        text = printable(record.getMessage(), keep="\n")
        if record.levelno >= logging.ERROR:  # of libraries, too, which draw where in a file an error is
            text = " ".join(text.split())
        return text if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {text}"
