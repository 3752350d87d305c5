"""Write a picture or document whole or not at all, with errors that a user can act on."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flipdetect.atomic import replacing
from flipdetect.errors import DataError

_REMEDIES = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "the quota is used up: delete files, or write to another disk",
    errno.EACCES: "write to a folder that is yours, or change its permissions",
    errno.EPERM: "write to a folder that is yours, or change its permissions",
    errno.EROFS: "write to another disk",
    errno.ENOTDIR: "a part of the path is a file, not a folder: choose another path",
    errno.EEXIST: "a part of the path is a file, not a folder: choose another path",
    errno.EISDIR: "there is a folder of that name: choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` if the block ends well, and is removed if it does not.

    Raises:
        DataError: if the system refuses (disk full, not writable, ...), in place of the block's OSError; names the
            file, the reason and what to do.
    """
    try:
        with replacing(path) as part:
            yield part
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        remedy = _REMEDIES.get(error.errno or 0, "choose another path")
        raise DataError(f"{path} cannot be written: {reason}; {remedy}") from error
