"""Progress on standard error: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from time import monotonic, time
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tqdm import tqdm

from flipdetect.errors import printable

EVERY_S = 10.0
"""Seconds between two lines of a log."""

Item = TypeVar("Item")


if TYPE_CHECKING:
    _Tqdm = tqdm[Any]
else:  # tqdm is generic for type checkers alone
    _Tqdm = tqdm


class Lines(_Tqdm):
    """A tqdm bar for what is no terminal: a line every `EVERY_S` seconds and one at the end, without a drawn bar."""

    _said_s = -EVERY_S
    _said = ""

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:  # type: ignore[override]
        """Write a line if it is time for one; says that nothing is left to be cleared."""
        complete = self.total is not None and self.n >= self.total
        if msg != "" and self._is_late() and (complete or monotonic() - self._said_s >= EVERY_S):
            self._say()
        return False

    def close(self) -> None:
        """Write how far it came, unless nothing was shown so far and nothing is to stay."""
        if not self.disable and self.leave and self._is_late():
            self._say()
        self.leave = False  # or tqdm would write the line end of a bar
        super().close()

    def _say(self) -> None:
        count = f"{self.n}/{self.total}"
        if count in (self._said, "0/None"):
            return
        self._said, self._said_s = count, monotonic()
        self.fp.write(f"{self.format_meter(**{**self.format_dict, 'ncols': 0})}\n")
        self.fp.flush()

    def _is_late(self) -> bool:
        """Whether it took long enough to be worth a word."""
        return not self.delay or time() - self.start_t >= self.delay


@overload
def progress_bar(**settings: Any) -> tqdm[Any]: ...


@overload
def progress_bar(iterable: Iterable[Item], **settings: Any) -> tqdm[Item]: ...


def progress_bar(iterable: Iterable[Any] | None = None, **settings: Any) -> tqdm[Any]:
    """A tqdm bar on standard error, or `Lines` where that is no terminal.

    Args:
        iterable: what is gone through, as for tqdm; None if it is moved by hand.
        settings: of tqdm, such as `total`, `desc`, `unit`, `delay`, `leave`, `disable`.
    """
    if "desc" in settings:
        settings["desc"] = printable(settings["desc"] or "")
    if sys.stderr.isatty():
        return tqdm(iterable, file=sys.stderr, **settings)
    return Lines(iterable, file=sys.stderr, **settings)
