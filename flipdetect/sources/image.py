"""Decode an image file: the only place where the program does so.

Training, evaluation and inference all call `decode_frame`, so that a model never sees pixels that were decoded another
way. Colours are used as stored: embedded colour profiles are not applied. Of an animation or a multi-picture file the
first picture is decoded.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

# Importing a plugin registers it: here, so that no thread does so while another one opens an image.
from PIL import (  # noqa: F401
    BmpImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from flipdetect.errors import ConfigError, FrameError

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
# A page filmed at 8K has 33 million pixels. Far more in a small file is an error or an attack on memory. The decoded
# size counts: a larger JPEG may be scaled down while it is decoded.
MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 512 * 1024 * 1024

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})


def decode_frame(
    source: Path | bytes, *, min_size: tuple[int, int] | None = None, channels: int = 3
) -> NDArray[np.uint8]:
    """Decode an image file, or its bytes, to upright pixels. Safe to call from several threads.

    A JPEG is scaled by 1/2, 1/4 or 1/8 while it is decoded (in the domain of its cosine transform), which costs a
    fraction of a full decode and resize. Transparent pixels are laid on white. 16-bit samples are scaled to 8 bits.

    Args:
        source: the file, or its contents.
        min_size: (height, width) in pixels, upright, that the result must still cover; a smaller image keeps its size.
            None: the full size.
        channels: 3 for RGB, 1 for grey.

    Returns:
        `(H, W, channels) uint8`, contiguous and writable.

    Raises:
        FrameError: if the file is absent, empty, damaged, too large, no image, or may not be read.
        ConfigError: if `min_size` or `channels` is impossible.
    """
    if channels not in (1, 3):
        raise ConfigError(f"a frame has 1 channel (grey) or 3 (RGB), not {channels}")
    if min_size is not None and min(min_size) < 1:
        raise ConfigError(f"min_size must be (height, width) of at least one pixel each, got {min_size}")
    name = str(source) if not isinstance(source, bytes) else f"image in memory ({len(source)} bytes)"
    data = source if isinstance(source, bytes) else read_bytes(source)
    with _damage_is_an_error_of(name), _open(io.BytesIO(data), len(data), name) as image:
        is_jpeg = image.format in ("JPEG", "MPO")
        size = None
        if min_size is not None:
            height, width = min_size
            size = (height, width) if is_jpeg and _orientation(image) in _SIDEWAYS else (width, height)
        image.draft("L" if channels == 1 else None, size)  # JPEG only: decode as small, or as grey, as allowed
        _check_pixels(image, name)
        if is_jpeg and not _jpeg_ends(data):
            _fail(name, "the JPEG is cut short", "copy or export it again")
        image.load()
        pixels = _convert(image, channels)
        upright = _UPRIGHT.get(_orientation(image))
        if upright is not None:
            pixels = pixels.transpose(upright)
        array = np.array(pixels, dtype=np.uint8)
    return array.reshape(*array.shape[:2], channels)


def probe_frame(path: Path) -> None:
    """Read only the header of an image file, which distinguishes pictures from other files.

    A file that passes may still be damaged further on, which `decode_frame` finds.

    Raises:
        FrameError: as `decode_frame`, for what the header shows.
    """
    size = _size(path)
    name = str(path)
    try:
        file = path.open("rb")
    except OSError as error:
        _fail_to_read(path, error)
    with file, _damage_is_an_error_of(name), _open(file, size, name) as image:
        image.draft(None, (1, 1))
        _check_pixels(image, name)


def usable_cores() -> int:
    """Cores that this process may run on; containers and administrators may grant fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _damage_is_an_error_of(name: str) -> Iterator[None]:
    """Turn whatever the decoder raises over the bytes of one file into the `FrameError` of that file.

    Pillow and the libraries below it raise exceptions of many kinds over damaged or hostile bytes.
    """
    try:
        yield
    except FrameError:
        raise
    except Exception as error:
        _fail(name, f"the image is damaged or cut short ({_words(error)})", "copy or export it again", error)


def _size(path: Path) -> int:
    """Size in bytes of a file, which must be a regular one."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        _fail_to_read(path, error)
    if stat.S_ISDIR(status.st_mode):
        _fail(str(path), "it is a folder", "give the image files in it")
    if not stat.S_ISREG(status.st_mode):
        _fail(str(path), "it is not a regular file", "give an image file")
    if status.st_size > MAX_FILE_BYTES:
        _fail(str(path), f"it has {status.st_size:,} bytes, the limit is {MAX_FILE_BYTES:,}", "save it smaller")
    return status.st_size


def read_bytes(path: Path) -> bytes:
    """The contents of a file that is to be decoded.

    Raises:
        FrameError: as `decode_frame`, for what the file system shows.
    """
    _size(path)
    try:
        return path.read_bytes()
    except OSError as error:
        _fail_to_read(path, error)


def _open(file: io.BufferedIOBase, size: int, name: str) -> ImageFile.ImageFile:
    """Read the header."""
    if size == 0:
        _fail(name, "the file is empty (0 bytes)", "copy or export it again")
    if size > MAX_FILE_BYTES:
        _fail(name, f"it has {size:,} bytes, the limit is {MAX_FILE_BYTES:,}", "save it smaller")
    try:
        return Image.open(file, formats=FORMATS)  # type: ignore[arg-type]
    except Image.DecompressionBombError as error:
        _fail(name, f"it has too many pixels ({error})", "save it smaller", error)
    except UnidentifiedImageError:
        _fail(name, "it is no JPEG, PNG, WebP or BMP image, whatever its name says", "remove or convert it")


def _check_pixels(image: ImageFile.ImageFile, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        _fail(name, f"it has {width} x {height} pixels, the limit is {MAX_PIXELS:,} in all", "save it smaller")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; 1 if there is none or it cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data, which says nothing about the pixels
        return 1


def _convert(image: Image.Image, channels: int) -> Image.Image:
    """Any mode to 8-bit RGB or grey."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode.startswith("I"):
        samples = np.asarray(image).astype(np.int64).clip(0, 65535)
        image = Image.fromarray(((samples * 255 + 32767) // 65535).astype(np.uint8))
    elif image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def _jpeg_ends(data: bytes) -> bool:
    """Whether an end marker follows the start of the picture.

    When zeros follow the cut, as in unfinished downloads, a decoder fills the missing part with grey. The marker cannot
    occur within compressed data, but it does end a thumbnail in the header: hence the walk through the segments.
    """
    position = 2
    while data[position : position + 1] == b"\xff" and position + 1 < len(data):
        marker = data[position + 1]
        if marker == 0xDA:
            return data.rfind(b"\xff\xd9", position) >= 0  # from the end, where it stands
        if marker == 0xFF:
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return True  # an unusual header: leave it to the decoder


def _words(error: BaseException) -> str:
    return str(error).split("\n")[0][:120] or type(error).__name__


def _fail_to_read(path: Path, error: Exception) -> NoReturn:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        _fail(str(path), "there is no such file", "correct the path", error)
    if isinstance(error, PermissionError):
        _fail(str(path), "it may not be read (permission denied)", "change its permissions (chmod +r)", error)
    _fail(str(path), f"it cannot be read ({_words(error)})", "check the disk and the path", error)


def _fail(name: str, what: str, remedy: str, cause: BaseException | None = None) -> NoReturn:
    raise FrameError(f"{name}: {what}; {remedy}") from cause
