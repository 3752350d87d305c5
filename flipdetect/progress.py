"""Progress on standard error: a bar in a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from time import monotonic, time
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tqdm import tqdm

from flipdetect.errors import printable

EVERY_S = 10.0
"""Seconds between two lines of a log."""

_LOCK = threading.RLock()
"""Bars are drawn by one process: tqdm's own lock, for several, takes time to import."""

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
        shape = {} if self.bar_format else {"ncols": 0}  # without a drawn bar
        self.fp.write(f"{self.format_meter(**{**self.format_dict, **shape})}\n")
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
    """
    tqdm.set_lock(_LOCK)
    if "desc" in settings:
        settings["desc"] = printable(settings["desc"] or "")
    if sys.stderr.isatty():
        return tqdm(iterable, file=sys.stderr, **settings)
    return Lines(iterable, file=sys.stderr, **settings)


class JobProgress:
    """One bar over all phases of a job, with the time left until its end.

    Work is planned by part, in units of about the same time each; a plan may be changed when more is known.

    Args:
        on_show: called before each change; ends the job by raising what is no error of files, such as on cancelling.

    Attributes:
        words: the phase, as it is shown; empty before the first.
        share: how much of the whole job is done, 0 to 1; never goes back, though a plan may grow.
    """

    def __init__(self, *, disable: bool = False, on_show: Callable[[], None] = lambda: None) -> None:
        self.words, self.share = "", 0.0
        self._disable = disable
        self._on_show = on_show
        self._bar: Any = None
        self._planned: dict[str, float] = {}
        self._done: dict[str, float] = {}
        self._part = ""

    def plan(self, part: str, units: float) -> None:
        """Say how much work a part is."""
        self._planned[part] = units

    def show(self, part: str, words: str, units: float = 0.0) -> None:
        """Show that this much of a part is done; the part shown before is complete if it is another."""
        self._on_show()
        if self._bar is None:
            drawn = "|{bar}|" if sys.stderr.isatty() else ""
            form = "{desc}: {percentage:3.0f}%" + drawn + " {elapsed} so far, {remaining} left"
            self._bar = progress_bar(
                total=1, delay=1, leave=False, smoothing=0.1, miniters=0, bar_format=form, disable=self._disable
            )
        is_new = part != self._part
        if is_new and self._part:
            self._done[self._part] = self._planned[self._part]
        self._part = part
        self._done[part] = units
        self._planned[part] = max(units, self._planned.get(part, 0.0))
        self._bar.total = sum(self._planned.values()) or 1
        done = sum(self._done.values())
        self.words, self.share = words, max(self.share, done / self._bar.total)
        self._bar.set_description_str(printable(words), refresh=False)
        self._bar.update(done - self._bar.n)
        if is_new and not self._disable and time() - self._bar.start_t >= self._bar.delay:
            self._bar.refresh()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
