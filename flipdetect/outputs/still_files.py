"""The chosen frames as picture files, named so that they sort in reading order, and as one PDF document."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.atomic import writing
from flipdetect.errors import ConfigError, DataError
from flipdetect.records import Still

QUALITY = 95
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
FIELDS = {"video": ".+", "number": r"\d{3,}", "spread": r"\d{3,}", "time": r"\d{2,}m\d\d\.\d\ds"}
"""What a template of names may hold in braces, and what it looks like in a name."""
_FIELD = re.compile(r"\{(\w*)\}")
SHORTEST_NUMBER = 3  # digits
# Bytes of a file name may be 255; the number, the time and the temporary name's ending need some of them.
LONGEST_VIDEO_NAME = 120
LONG_SIDE_PT = 297 / 25.4 * 72
"""Points of a page's longer side: that of A4, so that pages print at a size one can read, whatever the camera."""


@dataclass(frozen=True)
class StillStyle:
    """How stills are named and encoded.

    Attributes:
        name: template of the name, with fields of `FIELDS` in braces: `number` is the place in the reading order.
        suffix: one of `FORMATS`.
        quality: of JPEG and WebP, 1 to 100.

    Raises:
        ConfigError: if a field or the suffix is unknown, the number impossible, or all stills would have one name.
    """

    name: str = "{number}_{time}"
    suffix: str = ".jpg"
    quality: int = QUALITY

    def __post_init__(self) -> None:
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        fields = set(_FIELD.findall(self.name))
        if not fields <= set(FIELDS) or re.search(r"[{}/\\\0]", _FIELD.sub("", self.name)):
            raise ConfigError(f"names of stills are made of text and {known}, without folders; got {self.name!r}")
        if not fields & {"number", "spread", "time"}:
            raise ConfigError(f"stills would all have one name: {self.name!r} needs {{number}}, {{spread}} or {{time}}")
        if self.suffix not in FORMATS or not 1 <= self.quality <= 100:
            raise ConfigError(
                f"stills are written as {', '.join(FORMATS)} with a quality from 1 to 100, got {self.suffix!r} and "
                f"{self.quality}"
            )

    def matches(self, name: str) -> bool:
        """Whether a file may be a still of an earlier run: named by this template or by the default."""
        for template in {self.name, StillStyle.name}:
            parts = _FIELD.split(template)  # text and fields in turn
            pattern = "".join(FIELDS[part] if place % 2 else re.escape(part) for place, part in enumerate(parts))
            if re.fullmatch(rf"(?:.+_)?{pattern}(?:_left|_right|_whole)?\.(?:jpg|png|webp)", name):
                return True
        return False


def still_name(still: Still, position: int, total: int, video: str = "", style: StillStyle | None = None) -> str:
    """A file name such as `003_00m12.40s.jpg`: the place in the reading order, then the time of the frame.

    Args:
        still: one with a frame; one hour is `60m00.00s`.
        position, total: its place among those that are saved, from 1, and how many are; numbers have as many digits.
        video: put in front, unless the template names it; empty leaves it out.
    """
    assert still.time_s is not None
    digits = max(SHORTEST_NUMBER, len(str(total)))
    centiseconds = round(max(still.time_s, 0.0) * 100)
    minutes, rest = divmod(centiseconds, 6000)
    style = style or StillStyle()
    prefix = f"{file_stem(video)}_" if video and "{video}" not in style.name else ""
    values = {
        "video": file_stem(video or still.video),
        "number": f"{position:0{digits}d}",
        "spread": f"{still.spread:0{digits}d}",
        "time": f"{minutes:02d}m{rest / 100:05.2f}s",
    }
    return prefix + _FIELD.sub(lambda field: values[field[1]], style.name) + style.suffix


def set_aside(folder: Path, style: StillStyle | None = None) -> Path | None:
    """Move the stills of an earlier run to a sub-folder (`earlier-1`, ...), so that new ones do not mix with them.

    Returns the sub-folder; None if there were no stills. Raises OSError if they cannot be moved.
    """
    style = style or StillStyle()
    found = [path for path in folder.iterdir() if style.matches(path.name)] if folder.is_dir() else []
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


def encode_still(image: NDArray[np.uint8], suffix: str = ".jpg", quality: int = QUALITY) -> bytes:
    """A frame (H, W, 3) uint8 RGB as a picture file without metadata; a JPEG has colours at full resolution.

    Args:
        image: or a grey one, (H, W) uint8; raises ValueError if it is no such array.
        suffix: one of `FORMATS`.
        quality: of JPEG and WebP, 1 to 100.
    """
    if image.ndim != 2 or image.dtype != np.uint8 or not image.size:
        check_picture(image)
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    options = {"subsampling": 0, "optimize": True} if suffix == ".jpg" else {}
    picture.save(buffer, format=FORMATS[suffix], quality=quality, **options)
    return buffer.getvalue()


def check_picture(image: NDArray[np.uint8]) -> None:
    """Raises ValueError if `image` is not (H, W, 3) uint8 with at least one pixel."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"an (H, W, 3) uint8 RGB picture is needed, got {image.shape} {image.dtype}")


def write_pdf(
    path: Path, images: Sequence[Path], title: str = "", labels: Sequence[str] = (), outline: Sequence[str] = ()
) -> None:
    """Write one page per picture, in the order given; the JPEG files are put in as they are, without a loss.

    A page has its picture's shape, and a longer side of 297 mm (1920 pixels: 164 dpi). The document (PDF 1.4,
    ISO 32000-1) holds no date and no name of a program or machine: the same pictures and title make the same bytes.

    Args:
        images: JPEG files, in grey or colour, upright as they are stored.
        title: shown by readers as the window's title; empty leaves it out.
        labels, outline: number of each page as readers show it (none: 1, 2, 3, ...), and its bookmark.

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
        after = 4 + 3 * len(pages)  # the number of the object after the pages
        numbers = " ".join(f"{place} << /P {_pdf_text(label)} >>" for place, label in enumerate(labels))
        add(
            "/Type /Catalog /Pages 2 0 R"
            + (f" /PageLabels << /Nums [{numbers}] >>" if labels else "")
            + (f" /Outlines {after} 0 R /PageMode /UseOutlines" if outline else "")
        )
        kids = " ".join(f"{4 + 3 * place} 0 R" for place in range(len(pages)))
        add(f"/Type /Pages /Count {len(pages)} /Kids [{kids}]")
        add(f"/Title {_pdf_text(title)}" if title else "")
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
        last = after + len(outline)
        if outline:
            add(f"/Type /Outlines /First {after + 1} 0 R /Last {last} 0 R /Count {len(outline)}")
        for place, text in enumerate(outline):
            number = after + 1 + place
            before = f" /Prev {number - 1} 0 R" if place else ""
            following = f" /Next {number + 1} 0 R" if number < last else ""
            add(f"/Title {_pdf_text(text)} /Parent {after} 0 R /Dest [{4 + 3 * place} 0 R /Fit]{before}{following}")
        start = file.tell()
        table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
        size = len(offsets) + 1
        file.write(
            f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R /Info 3 0 R >>\n"
            f"startxref\n{start}\n%%EOF\n".encode("ascii")
        )


def _pdf_text(text: str) -> str:
    """A text string, with a byte order mark; bytes of a file name that are no UTF-8 cannot stand in one."""
    return f"<feff{text.encode('utf-16-be', 'replace').hex()}>"
