"""The chosen frames as picture files, named so that they sort in reading order."""

from __future__ import annotations

import hashlib
import io
import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.records import Still

QUALITY = 95
SHORTEST_NUMBER = 3  # digits
# Bytes of a file name may be 255; the number, the time and the temporary name's ending need some of them.
LONGEST_VIDEO_NAME = 120


def still_name(still: Still, position: int, total: int, video: str = "") -> str:
    """A file name such as `003_00m12.40s.jpg`: the place in the reading order, then the time of the frame.

    Args:
        still: a chosen frame; one hour is `60m00.00s`.
        position: its place among those that are saved, from 1.
        total: how many are saved; numbers get as many digits, 3 at least.
        video: put in front, with what is not fit for a file name replaced; empty leaves it out.

    Raises:
        ValueError: if the still has no frame, or `position` is not from 1 to `total`.
    """
    if still.time_s is None:
        raise ValueError(f"spread {still.spread} of {still.video!r} has no frame that could be named")
    if not 1 <= position <= total:
        raise ValueError(f"position {position} is not from 1 to {total}")
    digits = max(SHORTEST_NUMBER, len(str(total)))
    centiseconds = round(max(still.time_s, 0.0) * 100)
    minutes, rest = divmod(centiseconds, 6000)
    prefix = f"{file_stem(video)}_" if video else ""
    return f"{prefix}{position:0{digits}d}_{minutes:02d}m{rest / 100:05.2f}s.jpg"


def file_stem(video: str) -> str:
    """A video's name as part of a file name: letters of any script, digits and `._-` stay, the rest becomes `_`.

    Where something had to be replaced, six digits of a hash follow, so that two videos do not share a name.
    """
    safe = re.sub(r"[^\w.-]+", "_", video).strip("._") or "video"
    while len(safe.encode()) > LONGEST_VIDEO_NAME:
        safe = safe[:-1]
    if safe == video:
        return safe
    return f"{safe}-{hashlib.sha256(video.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


def encode_still(image: NDArray[np.uint8]) -> bytes:
    """A frame (H, W, 3) uint8 RGB as a JPEG with colours at full resolution, and without metadata.

    Raises:
        ValueError: if `image` is no such array.
    """
    check_picture(image)
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.save(buffer, format="JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return buffer.getvalue()


def check_picture(image: NDArray[np.uint8]) -> None:
    """Raises ValueError if `image` is not (H, W, 3) uint8 with at least one pixel."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"an (H, W, 3) uint8 RGB picture is needed, got {image.shape} {image.dtype}")
