"""In the place of a kill between two changes of the file system: nothing is changed after it, by no handler either."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

CHANGES = ("replace", "rename", "unlink", "remove", "rmdir")


class KilledError(BaseException):
    """The process would not be there any more."""


@contextmanager
def killed_before(number: int, patch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """In the block, this change of a name, counted from 0, and all later ones are not made; yields whether it came."""
    left = iter(range(number))
    killed: list[bool] = []

    def counted(change: Callable[..., None]) -> Callable[..., None]:
        def changed(*args: object, **options: object) -> None:
            if next(left, None) is None:
                killed.append(True)
                raise KilledError
            change(*args, **options)

        return changed

    with patch.context() as patched:
        for name in CHANGES:
            patched.setattr(os, name, counted(getattr(os, name)))
        with suppress(KilledError):
            yield killed
