"""The chosen frames as one PDF document, a page each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flipdetect.atomic import writing
from flipdetect.errors import ConfigError, DataError

LONG_SIDE_PT = 297 / 25.4 * 72
"""Points of a page's longer side: that of A4, so that pages print at a size one can read, whatever the camera."""


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
    except ImportError as error:
        raise ConfigError("writing a PDF needs img2pdf; install it: pip install img2pdf") from error
    if not images:
        raise DataError(f"{path}: no picture to make a PDF of")
    for image in images:
        # img2pdf takes the name of a missing file for the bytes of a picture.
        if not image.is_file():
            raise DataError(f"{image} cannot be put into a PDF: there is no such file")
    content = _convert(img2pdf, images, title)
    with writing(path) as part:
        part.write_bytes(content)


def _convert(img2pdf: Any, images: Sequence[Path], title: str) -> bytes:
    def convert(pictures: Sequence[Path]) -> bytes:
        # Bytes of a file name that are no UTF-8 cannot stand in a title.
        settings = {"title": title.encode("utf-8", "replace").decode()} if title else {}
        content: bytes = img2pdf.convert(
            *map(str, pictures), layout_fun=_layout, rotation=img2pdf.Rotation.ifvalid, nodate=True, **settings
        )
        return content

    refusals = (
        img2pdf.AlphaChannelError,
        img2pdf.ImageOpenError,
        img2pdf.JpegColorspaceError,
        img2pdf.UnsupportedColorspaceError,
        OSError,
        ValueError,
    )
    try:
        return convert(images)
    except refusals:
        for image in images:
            # Alone, to learn which one it was: the library's messages do not name it.
            try:
                convert([image])
            except refusals as error:
                raise DataError(f"{image} cannot be put into a PDF: {error}") from error
        raise


def _layout(width_px: int, height_px: int, _dpi: tuple[float, float]) -> tuple[float, float, float, float]:
    """Width and height of page and picture, in points."""
    scale = LONG_SIDE_PT / max(width_px, height_px)
    width, height = width_px * scale, height_px * scale
    return width, height, width, height
