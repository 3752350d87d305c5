"""The program's own exceptions. Each message says what is wrong, what was received, and what to do."""

from __future__ import annotations


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
