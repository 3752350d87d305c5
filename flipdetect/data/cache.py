"""Decoded frames on disk: each frame is decoded once, at the model's input size, and memory-mapped from then on.

One pass over the files both fills the cache and finds the files that cannot be decoded, so that training meets
no bad file after its first epoch has begun. Frames are found by the digest of their file's bytes and by the
preprocessing: a file that was moved, copied or touched is not decoded again, and a set that has grown by a few frames
costs those few.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from flipdetect.data.cachefolder import CacheFolder
from flipdetect.data.decoded import DecodedFrames, check_frames
from flipdetect.data.filling import Filling
from flipdetect.data.preprocess import PreprocessSpec

__all__ = ["DecodedFrames", "decode_frames"]

logger = logging.getLogger(__name__)


def decode_frames(
    paths: Sequence[Path | str],
    spec: PreprocessSpec,
    *,
    cache_dir: Path | None,
    max_bytes: int = 8 << 30,
    workers: int | None = None,
    beside: Sequence[DecodedFrames] = (),
) -> DecodedFrames:
    """Decode all files once, in threads, into the cache; take them from there if they lie in it already.

    Several processes may do so at a time; where frames are missing, the others wait for the first and find its work.

    Args:
        paths: the frame files.
        spec: gives the size; its normalisation plays no part.
        cache_dir: the folder of the cache; None decodes once to find bad files, and keeps nothing.
        max_bytes: limit for all cached frames together. What was not used for longest is deleted to make room; a set
            that alone is larger is not cached.
        workers: decoding threads; default: one per core.
        beside: sets in use at the same time, whose frames must stay. Two that do not fit in together would else
            push each other out at every start.
    """
    files = tuple(os.fspath(path) for path in paths)
    size = len(files) * spec.height * spec.width * spec.channels
    kept = {pack for frames in beside for pack in frames.packs}
    left = max_bytes - sum(pack.stat().st_size for pack in kept if pack.exists())
    if cache_dir is not None and size > left:
        logger.warning(
            "%d frames need %.1f GB decoded, more than the %.1f GB left in the cache: they are decoded anew in "
            "every epoch. Raise data.cache_gb to avoid that.",
            len(files),
            size / 2**30,
            left / 2**30,
        )
        cache_dir = None
    if cache_dir is None or not files:
        return check_frames(files, spec, workers)
    filling = Filling(files, spec, CacheFolder(cache_dir), max_bytes, kept)
    if filling.missing:
        try:
            with filling.folder.locked():
                filling.look()  # another process may have done the work meanwhile
                filling.fill(workers)
        except OSError as error:
            logger.warning(
                "The cache %s cannot be written (%s): %d frames are decoded anew in every epoch. Make room or correct "
                "data.cache_dir.",
                cache_dir,
                error,
                len(filling.missing),
            )
            filling.find_bad(workers)
    return filling.frames()
