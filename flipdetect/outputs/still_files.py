"""The chosen frames as picture files, named so that they sort in reading order, and as one PDF document."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.atomic import writing
from flipdetect.errors import DataError
from flipdetect.records import Still

QUALITY = 95
_STILL = re.compile(r"(?:^|_)\d{3,}_\d{2,}m\d\d\.\d\ds\.jpg$")
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


def set_aside(folder: Path) -> Path | None:
    """Move the stills of an earlier run to a sub-folder (`earlier-1`, ...), so that new ones do not mix with them.

    Returns:
        The sub-folder; None if there were no stills.

    Raises:
        OSError: if they cannot be moved.
    """
    found = [path for path in folder.iterdir() if _STILL.search(path.name)] if folder.is_dir() else []
    if not found:
        return None
    aside = next(path for n in count(1) if not (path := folder / f"earlier-{n}").exists())
    aside.mkdir()
    for path in found:
        path.rename(aside / path.name)
    return aside


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
    """Write one page per picture, in the order given; the JPEG files are put in as they are, without a loss.

    A page has its picture's shape, and a longer side of 297 mm (1920 pixels: 164 dpi). The document (PDF 1.4,
    ISO 32000-1) holds no date and no name of a program or machine: the same pictures and title make the same bytes.

    Args:
        path: the document.
        images: JPEG files, in grey or colour, upright as they are stored.
        title: shown by readers as the window's title; empty leaves it out.

    Raises:
        DataError: if there is no picture, one cannot be used, or the document cannot be written.
    """
    if not images:
        raise DataError(f"{path}: no picture to make a PDF of")
    pages = []
    for image in images:
        try:
            with Image.open(image, formats=("JPEG",)) as picture:
                pages.append((image, picture.size, {"L": "DeviceGray", "RGB": "DeviceRGB"}[picture.mode]))
        except (OSError, KeyError) as error:
            raise DataError(f"{image} cannot be put into a PDF: it is no JPEG in grey or colour ({error})") from error
    with writing(path) as part, part.open("wb") as file:
        offsets: list[int] = []

        def add(entries: str, stream: bytes | None = None) -> None:
            """One object, a dictionary; objects are numbered from 1."""
            offsets.append(file.tell())
            length = "" if stream is None else f" /Length {len(stream)}"
            file.write(f"{len(offsets)} 0 obj\n<< {entries}{length} >>\n".encode("ascii"))
            if stream is not None:
                file.write(b"stream\n" + stream + b"\nendstream\n")
            file.write(b"endobj\n")

        file.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        add("/Type /Catalog /Pages 2 0 R")
        kids = " ".join(f"{4 + 3 * place} 0 R" for place in range(len(pages)))
        add(f"/Type /Pages /Count {len(pages)} /Kids [{kids}]")
        # With a byte order mark; bytes of a file name that are no UTF-8 cannot stand in a title.
        add(f"/Title <feff{title.encode('utf-16-be', 'replace').hex()}>" if title else "")
        for place, (image, (width, height), colours) in enumerate(pages):
            number = 4 + 3 * place
            scale = LONG_SIDE_PT / max(width, height)
            across, up = f"{width * scale:.2f}", f"{height * scale:.2f}"
            add(
                f"/Type /Page /Parent 2 0 R /MediaBox [0 0 {across} {up}] /Contents {number + 1} 0 R "
                f"/Resources << /XObject << /Im0 {number + 2} 0 R >> >>"
            )
            add("", f"q {across} 0 0 {up} 0 0 cm /Im0 Do Q".encode("ascii"))
            add(
                f"/Type /XObject /Subtype /Image /Width {width} /Height {height} /ColorSpace /{colours} "
                "/BitsPerComponent 8 /Filter /DCTDecode",
                image.read_bytes(),
            )
        start = file.tell()
        table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
        size = len(offsets) + 1
        file.write(
            f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R /Info 3 0 R >>\n"
            f"startxref\n{start}\n%%EOF\n".encode("ascii")
        )
