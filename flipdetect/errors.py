"""The program's own exceptions. Each message says what is wrong, what was received, and what to do."""

from __future__ import annotations

from importlib.util import find_spec


class FlipdetectError(Exception):
    """Base of all errors that a user can act on; the command line prints it without a traceback."""


class ConfigError(FlipdetectError):
    """A setting is missing, contradicts another, or has a value that cannot work."""


class DataError(FlipdetectError):
    """A data set cannot be used as a whole: no frames, one class only, too few videos."""


class FrameError(FlipdetectError):
    """One file cannot be read as a frame. The rest of the work goes on."""


class ModelError(FlipdetectError):
    """A checkpoint or a weights file cannot be loaded, or does not fit the model."""


class TrainingError(FlipdetectError):
    """A training cannot go on: its numbers are no longer finite."""


class MissingExtraError(FlipdetectError):
    """A part of the program needs packages that are not installed."""


def printable(text: str, keep: str = "") -> str:
    """Text for a terminal: control characters, as names of files may hold, are escaped, but for those in `keep`."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def require_extra(extra: str, *modules: str) -> None:
    """Check that the packages of an optional extra are installed; imports none of them.

    Args:
        extra: its name in pyproject.toml, such as "train".
        modules: top-level modules that it brings, such as "torch".

    Raises:
        MissingExtraError: with the line that installs the extra.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingExtraError(f"{', '.join(missing)} {verb} not installed: run pip install 'flipdetect[{extra}]'")
