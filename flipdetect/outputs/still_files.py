"""The chosen frames as picture files, named so that they sort in reading order, and as one PDF document."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.atomic import writing
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import Still

QUALITY = 95
SHORTEST_NUMBER = 3  # digits
# Bytes of a file name may be 255; the number, the time and the temporary name's ending need some of them.
LONGEST_VIDEO_NAME = 120
LONG_SIDE_PT = 297 / 25.4 * 72
"""Points of a page's longer side: that of A4, so that pages print at a size one can read, whatever the camera."""


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


def write_pdf(path: Path, images: Sequence[Path], title: str = "") -> None:
    """Write one page per picture, in the order given; JPEG files are put in as they are, without a loss.

    A page has its picture's shape, and a longer side of 297 mm (1920 pixels: 164 dpi). The document holds no date
    and no name of a program or machine: the same pictures and title make the same bytes. What a JPEG says of its
    camera stays in it; files of `save_still` say nothing.

    Args:
        path: the document.
        images: JPEG or PNG files.
        title: shown by readers as the window's title; empty leaves it out.

    Raises:
        ConfigError: if img2pdf is not installed.
        DataError: if there is no picture, one cannot be used, or the document cannot be written.
    """
    try:
        import img2pdf
        import pikepdf
    except ImportError as error:
        raise ConfigError("writing a PDF needs img2pdf; install it: pip install img2pdf") from error
    if not images:
        raise DataError(f"{path}: no picture to make a PDF of")
    for image in images:
        # img2pdf takes the name of a missing file for the bytes of a picture.
        if not image.is_file():
            raise DataError(f"{image} cannot be put into a PDF: there is no such file")

    def layout(width_px: int, height_px: int, _dpi: tuple[float, float]) -> tuple[float, float, float, float]:
        """Width and height of page and picture, in points."""
        scale = LONG_SIDE_PT / max(width_px, height_px)
        return (width_px * scale, height_px * scale) * 2

    def convert(pictures: Sequence[Path]) -> bytes:
        # Bytes of a file name that are no UTF-8 cannot stand in a title.
        settings = {"title": title.encode("utf-8", "replace").decode()} if title else {}
        content: bytes = img2pdf.convert(
            *map(str, pictures), layout_fun=layout, rotation=img2pdf.Rotation.ifvalid, nodate=True, **settings
        )
        return content

    refusals = (
        img2pdf.AlphaChannelError, img2pdf.ImageOpenError, img2pdf.JpegColorspaceError,
        img2pdf.UnsupportedColorspaceError, OSError, ValueError,
    )  # fmt: skip
    try:
        content = convert(images)
    except refusals:
        for image in images:
            # Alone, to learn which one it was: the library's messages do not name it.
            try:
                convert([image])
            except refusals as error:
                raise DataError(f"{image} cannot be put into a PDF: {error}") from error
        raise
    # img2pdf leaves an ID in the document that is made of the time.
    with writing(path) as part, pikepdf.open(io.BytesIO(content)) as document:
        if "/ID" in document.trailer:
            del document.trailer["/ID"]
        document.save(part, deterministic_id=True, linearize=True)
