"""Decode an image file: the only place where the program does so.

Training, evaluation and inference all call `decode_frame`, so that a model never sees pixels that were decoded another
way. Colours are used as stored: embedded colour profiles are not applied. Of an animation or a multi-picture file the
first picture is decoded.
"""

from __future__ import annotations

import io
import os
import stat
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn, TypeVar

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

from flipdetect.errors import FlipdetectError, FrameError

Item = TypeVar("Item")

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
# A page filmed at 8K has 33 million pixels. Far more in a small file is an error or an attack on memory. The decoded
# size counts: a larger JPEG may be scaled down while it is decoded.
MAX_PIXELS = 100_000_000
MAX_FILE_BYTES = 512 * 1024 * 1024
HOLE = 256
"""Zeros in a row that do not occur in compressed pixels."""

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
        min_size: (height, width) in pixels, upright, that the result must still cover; a smaller image keeps its size.
            None: the full size.
        channels: 3 for RGB, 1 for grey.

    Returns:
        `(H, W, channels) uint8`, contiguous and writable.

    Raises:
        FrameError: if the file is absent, empty, damaged, too large, no image, or may not be read.
    """
    name = str(source) if not isinstance(source, bytes) else f"image in memory ({len(source)} bytes)"
    if isinstance(source, bytes):
        data = source
    else:
        _check_bytes(file_size(source, "an image file"), name)
        try:
            data = source.read_bytes()
        except OSError as error:
            _fail_to_read(source, error)
    with damage_is_an_error_of(name), _open(io.BytesIO(data), len(data), name) as image:
        is_jpeg = image.format in ("JPEG", "MPO")
        size = None
        if min_size is not None:
            height, width = min_size
            size = (height, width) if is_jpeg and _orientation(image) in _SIDEWAYS else (width, height)
        image.draft("L" if channels == 1 else None, size)  # JPEG only: decode as small, or as grey, as allowed
        _check_pixels(image, name)
        if is_jpeg and not _jpeg_ends(data):
            fail(name, "the JPEG is cut short", "copy or export it again")
        if _has_hole(data, str(image.format)):
            fail(name, "a part of the file is missing (zeros instead, or a wrong checksum)", "copy or export it again")
        image.load()
        pixels = _convert(image, channels)
        if image.format == "BMP" and image.mode in ("RGB", "L") and _rows_are_missing(pixels):
            fail(name, "the picture ends in the middle of a row, and zeros follow", "copy or export it again")
        upright = _UPRIGHT.get(_orientation(image))
        if upright is not None:
            pixels = pixels.transpose(upright)
        array = np.array(pixels, dtype=np.uint8)
    return array.reshape(*array.shape[:2], channels)


def check_frame(frame: Any, name: str = "a frame") -> None:
    """Raise a `FrameError` unless `frame` is a decoded frame, (H, W, 3) uint8 with at least one pixel."""
    if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
        got = f"{frame.dtype} of shape {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise FrameError(f"{name} must be a uint8 array (height, width, 3) in RGB, got {got}; convert it")
    if 0 in frame.shape:
        raise FrameError(f"{name} has no pixels, its shape is {frame.shape}; leave it out")


def probe_frame(path: Path) -> tuple[int, int]:
    """Read only the header of an image file, which distinguishes pictures from other files; (height, width), upright.

    A file that passes may still be damaged further on, which `decode_frame` finds.

    Raises:
        FrameError: as `decode_frame`, for what the header shows.
    """
    size, name = file_size(path, "an image file"), str(path)
    try:
        file = path.open("rb")
    except OSError as error:
        _fail_to_read(path, error)
    with file, damage_is_an_error_of(name), _open(file, size, name) as image:
        width, height = image.size
        sideways = image.format in ("JPEG", "MPO") and _orientation(image) in _SIDEWAYS
        image.draft(None, (1, 1))
        _check_pixels(image, name)
    return (width, height) if sideways else (height, width)


def file_size(path: Path, kind: str) -> int:
    """Size in bytes of a file that is to be decoded, of a kind such as "an image file".

    Raises:
        FrameError: if it is absent, no regular file, empty, or may not be read.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        _fail_to_read(path, error)
    if stat.S_ISDIR(status.st_mode):
        fail(path, "it is a folder", f"give {kind}")
    if not stat.S_ISREG(status.st_mode):
        fail(path, "it is not a regular file", f"give {kind}")
    if status.st_size == 0:
        fail(path, "the file is empty (0 bytes)", "copy or export it again")
    if not os.access(path, os.R_OK):
        fail(path, "it may not be read (permission denied)", "change its permissions (chmod +r)")
    return status.st_size


def fail(name: Path | str, what: str, remedy: str, cause: BaseException | None = None) -> NoReturn:
    """Raise the `FrameError` of a file."""
    raise FrameError(f"{name}: {what}; {remedy}") from cause


def usable_cores() -> int:
    """Cores that this process may run on; containers and administrators may grant fewer than there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(calls: Iterable[Callable[[], Item]], workers: int, most: int) -> Generator[Item, None, None]:
    """Results of calls in threads, in their order; at most `most` are started before the first of them is needed."""
    queue = iter(calls)
    started: deque[Future[Item]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        while True:
            started += (pool.submit(call) for call in islice(queue, most - len(started)))
            if not started:
                return
            yield started.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def damage_is_an_error_of(name: Path | str, kind: str = "image") -> Iterator[None]:
    """Turn whatever the decoder raises over the bytes of one file into the `FrameError` of that file.

    Pillow, PyAV and the libraries below them raise exceptions of many kinds over damaged or hostile bytes. A video is
    decoded frame by frame: if there is no memory for that, the video is not at fault.
    """
    try:
        yield
    except FlipdetectError:
        raise
    except Exception as error:
        if kind == "video" and isinstance(error, MemoryError):
            raise
        fail(name, f"the {kind} is damaged or cut short ({_words(error)})", "copy or export it again", error)


def _open(file: io.BufferedIOBase, size: int, name: str) -> ImageFile.ImageFile:
    """Read the header."""
    _check_bytes(size, name)
    try:
        return Image.open(file, formats=FORMATS)  # type: ignore[arg-type]
    except Image.DecompressionBombError as error:
        fail(name, f"it has too many pixels ({error})", "save it smaller", error)
    except UnidentifiedImageError:
        fail(name, "it is no JPEG, PNG, WebP or BMP image, whatever its name says", "remove or convert it")


def _check_bytes(size: int, name: str) -> None:
    if size > MAX_FILE_BYTES:
        fail(name, f"it has {size:,} bytes, the limit is {MAX_FILE_BYTES:,}", "save it smaller")


def _check_pixels(image: ImageFile.ImageFile, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        fail(name, f"it has {width} x {height} pixels, the limit is {MAX_PIXELS:,} in all", "save it smaller")


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


def _has_hole(data: bytes, kind: str) -> bool:
    """Whether compressed pixels contain a stretch of zeros that no encoder writes, or have a wrong checksum (PNG).

    Downloads and copies that were broken off leave such holes, and decoders fill them with something.
    """
    if kind == "PNG":
        position = 8
        while (length := int.from_bytes(data[position : position + 4], "big")) < len(data) - position - 11:
            end = position + 8 + length
            if data[position + 4 : position + 8] == b"IDAT" and (
                zlib.crc32(data[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big")
            ):
                return True
            position = end + 4
        return False
    if bytes(HOLE) not in data:
        return False
    if kind == "WEBP":
        position = 12
        while position < len(data):
            end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "little")
            if data[position : position + 4] in (b"VP8 ", b"VP8L") and data.find(bytes(HOLE), position, end) >= 0:
                return True
            position = end + end % 2
        return False
    if kind not in ("JPEG", "MPO"):
        return False
    # In tables made for one picture, zeros may mean "as before, to the end of the block" (code 0 for the symbol 0 in
    # all of them): such files pass, and progressive ones. With the usual tables zeros mean coefficients.
    position, progressive, ends = 2, False, []
    while position + 4 <= len(data) and data[position] == 0xFF and data[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        progressive |= data[position + 1] == 0xC2
        table = position + 4
        while data[position + 1] == 0xC4 and table + 17 <= end:
            if data[table] >> 4 == 1:
                ends.append(data[table + 17] == 0)
            table += 17 + sum(data[table + 1 : table + 17])
        position = end
    hole, end = data.find(bytes(HOLE), position), data.find(b"\xff\xd9", position)
    return not (progressive or all(ends)) and 0 <= hole < end


def _rows_are_missing(pixels: Image.Image) -> bool:
    """Whether an uncompressed picture, stored from its last row up, turns black for good in the middle of a row.

    Fewer black pixels than a hole has bytes may be part of the picture.
    """
    black = np.asarray(pixels).reshape(pixels.height, pixels.width, -1).max(axis=2) == 0
    rows = int(np.argmin(black.all(axis=1)))  # wholly black ones at the top
    if rows == 0 or rows + 1 >= pixels.height or black.all():
        return False
    start = pixels.width - int(np.argmin(black[rows][::-1]))
    is_hole = (rows + 1) * pixels.width - start >= HOLE
    return start < pixels.width and is_hole and not black[rows + 1, start:].any()


def _words(error: BaseException) -> str:
    return str(error).split("\n")[0][:120] or type(error).__name__


def _fail_to_read(path: Path, error: Exception) -> NoReturn:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        fail(path, "there is no such file", "correct the path", error)
    if isinstance(error, PermissionError):
        fail(path, "it may not be read (permission denied)", "change its permissions (chmod +r)", error)
    fail(path, f"it cannot be read ({_words(error)})", "check the disk and the path", error)
