"""Tell from a single frame whether a page of a book is being turned."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("flipdetect")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
