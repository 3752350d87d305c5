"""Damaged frames: cut, flipped, emptied; formats, modes, orientations, names, and files that are none."""

import io
import os
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageOps

from flipdetect.errors import FrameError
from flipdetect.sources.folder import find_inputs
from flipdetect.sources.image import decode_frame
from tests.faults.runner import REFUSED, SURVIVED, Fault, check_words

KINDS: dict[str, dict[str, object]] = {
    "baseline.jpg": {"quality": 90},
    "progressive.jpg": {"quality": 90, "progressive": True},
    "optimized.jpg": {"quality": 90, "optimize": True, "subsampling": 0},
    "plain.png": {},
    "lossy.webp": {"quality": 90},
    "lossless.webp": {"lossless": True},
    "plain.bmp": {},
}
# What docs/reliability.md says is not detected: zeros in these kinds.
UNDETECTED = ("progressive.jpg", "optimized.jpg", "plain.bmp")
SMALL, LARGE = (24, 32), (600, 800)
NAMES = [
    b"with  spaces ", b"new\nline", b"tab\tand\rreturn", "emoji 📖".encode(),
    "e\u0301 and é".encode(), b"not utf-8 \xff\xfe",
    b"n" * 250, b"-leading", b"--help", b"%03d", b"[x]", b"*", b"?", b"~", b"$HOME", b"a:b", b"file:x", b"\x1b[31mred",
    b"'quote\"", b"=1+1", b"a,b;c", b"x..", b"back\\slash", b"\xe2\x80\xaeright to left",
]  # fmt: skip


def picture(size: tuple[int, int]) -> np.ndarray:
    """Lines of print on paper, with noise: (height, width, 3) uint8."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    page = 200 + 40 * np.sin(columns / size[1] * 3) - 120 * ((rows // 4 % 3 == 0) & (columns % 7 < 5))
    return np.clip(page[..., None] + rng.normal(0, 12, (*size, 3)), 1, 255).astype(np.uint8)


@cache
def original(kind: str, size: tuple[int, int]) -> tuple[bytes, np.ndarray]:
    """A whole file, and its pixels as it is decoded undamaged."""
    data = io.BytesIO()
    Image.fromarray(picture(size)).save(
        data, {".jpg": "JPEG"}.get(Path(kind).suffix, Path(kind).suffix[1:]), **KINDS[kind]
    )
    return data.getvalue(), decode_frame(data.getvalue())


def looked_at(path: Path, data: bytes | None = None, right: np.ndarray | None = None) -> str:
    """Decode a file: either the right pixels, where they are known, or an error that names the file and a remedy."""
    if data is not None:
        path.write_bytes(data)
    try:
        pixels = decode_frame(path)
    except FrameError as error:
        check_words(error, path)
        return REFUSED
    assert pixels.dtype == np.uint8, pixels.dtype
    assert pixels.ndim == 3, pixels.shape
    assert pixels.shape[2] == 3, pixels.shape
    assert right is None or np.array_equal(pixels, right), "a wrong picture"
    return SURVIVED


def place_of(number: int) -> tuple[str, int]:
    """The kind and the byte of a number, counted through the small files of all kinds."""
    for kind in KINDS:
        size = len(original(kind, SMALL)[0])
        if number < size:
            return kind, number
        number -= size
    raise IndexError(number)


def cut_small(rng: Random, number: int, place: Path) -> str:
    kind, size = place_of(number)
    data, right = original(kind, SMALL)
    return looked_at(place / kind, data[:size], right)


def cut_large(rng: Random, number: int, place: Path) -> str:
    kind, percent, zeros = list(KINDS)[number // 200], number % 100, number // 100 % 2
    data, right = original(kind, LARGE)
    size = len(data) * percent // 100
    known = zeros and kind == "plain.bmp"
    return looked_at(place / kind, data[:size] + zeros * bytes(len(data) - size), None if known else right)


def damaged(rng: Random, data: bytes) -> bytes:
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        made[rng.randrange(len(made) if rng.random() < 0.5 else 64)] ^= 1 << rng.randrange(8)
    return bytes(made)


def flip_bits(rng: Random, number: int, place: Path) -> str:
    kind = list(KINDS)[number % len(KINDS)]
    return looked_at(place / kind, damaged(rng, original(kind, SMALL)[0]))


def zero_hole(rng: Random, number: int, place: Path) -> str:
    kind = list(KINDS)[number % len(KINDS)]
    data, right = original(kind, LARGE)
    start, size = rng.randrange(len(data) - 512), rng.choice((512, 4096, 65536))
    hole = data[:start] + bytes(min(size, len(data) - start)) + data[start + size :]
    return looked_at(place / kind, hole, None if kind in UNDETECTED else right)


MODES = [
    *((mode, ".png") for mode in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16")),
    *((mode, ".bmp") for mode in ("1", "L", "P", "RGB")),
    *((mode, ".webp") for mode in ("RGB", "RGBA", "L")),
    *((mode, ".jpg") for mode in ("L", "RGB", "CMYK", "YCbCr")),
]


def mode(rng: Random, number: int, place: Path) -> str:
    name, suffix = MODES[number % len(MODES)]
    size = (rng.randint(1, 40), rng.randint(1, 40))
    rgb = Image.fromarray(np.full((*size, 3), [rng.randrange(256) for _ in range(3)], np.uint8))
    alpha = rng.randrange(256) if name in ("LA", "PA", "RGBA") else 255
    if name == "I;16":
        level = rng.randrange(65536)
        image, shown = Image.fromarray(np.full(size, level, np.uint16)), Image.new("RGB", rgb.size, (level // 257,) * 3)
    elif name == "PA":  # a palette with one transparent colour
        image, shown = rgb.convert("P", palette=Image.Palette.ADAPTIVE), Image.new("RGB", rgb.size, "white")
        image.info["transparency"] = image.getpixel((0, 0))
    else:
        image = rgb.convert(name)
        shown = image.convert("RGB")
    if name in ("LA", "RGBA"):
        image.putalpha(alpha)
    image.save(place / f"x{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    white = 255 * (1 - alpha / 255)
    right = np.asarray(shown).astype(float) * (1 if name == "PA" else alpha / 255) + (0 if name == "PA" else white)
    pixels = decode_frame(place / f"x{suffix}")
    assert pixels.shape == right.shape, (pixels.shape, right.shape)
    assert np.abs(pixels - right).max() <= (8 if suffix == ".jpg" else 1.01), (
        f"{name} {suffix} {pixels[0, 0]} {right[0, 0]}"
    )
    grey = decode_frame(place / f"x{suffix}", channels=1)
    assert np.abs(grey.astype(float)[..., 0] - right @ [0.299, 0.587, 0.114]).max() <= 9, f"grey of {name} {suffix}"
    return SURVIVED


def orientation(rng: Random, number: int, place: Path) -> str:
    value, suffix = number % 8 + 1, (".jpg", ".png", ".webp")[number // 8 % 3]
    size = (rng.randint(1, 50), rng.randint(1, 50))
    image = Image.fromarray(picture((rng.randint(1, 90), rng.randint(1, 90))))
    exif = Image.Exif()
    exif[0x0112] = value
    path = place / f"turned{suffix}"
    image.save(path, exif=exif, **({"lossless": True} if suffix == ".webp" else {}))
    with Image.open(path) as stored:
        right = np.asarray(ImageOps.exif_transpose(stored))
    assert np.array_equal(decode_frame(path), right), value
    small = decode_frame(path, min_size=size)
    shape = min(size[0], right.shape[0]), min(size[1], right.shape[1])
    assert small.shape[0] >= shape[0], (small.shape, right.shape, size)
    assert small.shape[1] >= shape[1], (small.shape, right.shape, size)
    return SURVIVED


def name(rng: Random, number: int, place: Path) -> str:
    kind, raw = list(KINDS)[number // len(NAMES) % len(KINDS)], NAMES[number % len(NAMES)]
    data, right = original(kind, SMALL)
    path = Path(os.fsdecode(os.fsencode(place) + b"/" + raw + Path(kind).suffix.encode()))
    path.write_bytes(data)
    found = find_inputs([str(place)])
    assert (found.frames, found.videos, found.problems) == ([path], [], []), found
    assert find_inputs([str(path)]).frames == [path]
    return looked_at(path, None, right)


def special(rng: Random, number: int, place: Path) -> str:
    """Files that are no regular ones: none may block, and each has a reason."""
    path = place / "x.jpg"
    data, right = original("baseline.jpg", SMALL)
    (place / "real.jpg").write_bytes(data)
    cases = (
        "link",
        "dangling",
        "loop",
        "folder loop",
        "fifo",
        "device",
        "socket",
        "folder",
        "unreadable",
        "vanished",
        "mem",
    )
    case = cases[number % len(cases)]
    if case in ("link", "dangling", "loop"):
        path.symlink_to({"link": "real.jpg", "dangling": "nowhere", "loop": "x.jpg"}[case])
    elif case == "folder loop":
        (place / "below").mkdir()
        (place / "below" / "again").symlink_to(place)
        assert find_inputs([str(place)]).frames == [place / "real.jpg"]
        return SURVIVED
    elif case == "fifo":
        os.mkfifo(path)
    elif case == "device":
        path.symlink_to(rng.choice(("/dev/zero", "/dev/null", "/dev/random", "/dev/full")))
    elif case == "socket":
        import socket

        with socket.socket(socket.AF_UNIX) as made:
            made.bind("x.jpg")
    elif case == "folder":
        path.mkdir()
    elif case == "mem":
        path.symlink_to(rng.choice(("/proc/self/mem", "/proc/kmsg", "/proc/self/maps")))
    elif case == "unreadable":
        path.write_bytes(data)
        path.chmod(0)
        if os.geteuid() == 0:
            return looked_at(path, None, right)  # nothing is unreadable for root
    elif case == "vanished":
        path.write_bytes(data)
        found = find_inputs([str(place)])
        path.unlink()
        assert path in found.frames
    found = find_inputs([str(place)])
    named = {*found.frames, *(problem.path for problem in found.problems)}
    assert named == {place / "real.jpg"} | ({path} if case not in ("vanished", "folder") else set()), found
    outcome = looked_at(path, None, right)
    assert (outcome == SURVIVED) == (case == "link"), case
    return outcome


def many(rng: Random, number: int, place: Path) -> str:
    """100,000 entries."""
    for entry in range(100_000):
        os.close(os.open(f"{entry}.jpg", os.O_CREAT))
    assert len(find_inputs([str(place)]).frames) == 100_000
    return SURVIVED


BYTES = sum(len(original(kind, SMALL)[0]) for kind in KINDS)
FAULTS = [
    Fault("frame cut at every byte", cut_small, BYTES, 300),
    Fault("large frame cut at every 1%", cut_large, 200 * len(KINDS), 70),
    Fault("bits of a frame flipped", flip_bits, 4000, 300),
    Fault("zeros in a frame", zero_hole, 700, 70),
    Fault("formats and modes", mode, 20 * len(MODES), 2 * len(MODES)),
    Fault("orientations", orientation, 240, 48),
    Fault("names of frames", name, len(NAMES) * len(KINDS), len(NAMES)),
    Fault("what is no regular file", special, 55, 11),
    Fault("100,000 entries", many, 1, 0),
]
