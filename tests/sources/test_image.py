import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flipdetect.errors import FrameError
from flipdetect.sources import image as decode
from flipdetect.sources.image import decode_frame, probe_frame

ORIENTATION = 0x0112


def encode(image: Image.Image, fmt: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def quarters(width: int = 64, height: int = 96) -> Image.Image:
    """Red, green, blue, white from the top left in reading order: each turn and mirroring looks different."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (255, 0, 0)
    pixels[: height // 2, width // 2 :] = (0, 255, 0)
    pixels[height // 2 :, : width // 2] = (0, 0, 255)
    pixels[height // 2 :, width // 2 :] = (255, 255, 255)
    return Image.fromarray(pixels)


def corners(frame: np.ndarray) -> list[tuple[int, ...]]:
    """Colours near the four corners in reading order, rounded to 0 or 255."""
    height, width = frame.shape[:2]
    places = [(height // 8, width // 8), (height // 8, -width // 8), (-height // 8, width // 8)]
    return [tuple(int(v > 127) * 255 for v in frame[place]) for place in [*places, (-height // 8, -width // 8)]]


UPRIGHT = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(samples: np.ndarray, colour_type: int) -> bytes:
    """A 16-bit PNG, which Pillow cannot write for colour."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize(("suffix", "fmt"), [(".jpg", "JPEG"), (".png", "PNG"), (".webp", "WEBP"), (".bmp", "BMP")])
def test_every_format_becomes_rgb(tmp_path, suffix, fmt):
    path = tmp_path / f"x{suffix}"
    path.write_bytes(encode(quarters(), fmt))
    frame = decode_frame(path)
    assert frame.shape == (96, 64, 3)
    assert frame.dtype == np.uint8
    assert frame.flags.writeable
    assert frame.flags.c_contiguous
    assert corners(frame) == UPRIGHT
    assert np.array_equal(frame, decode_frame(path.read_bytes()))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_undone(orientation, fmt):
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    image = quarters() if stored is None else quarters().transpose(stored)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    frame = decode_frame(encode(image, fmt, exif=exif))
    assert frame.shape == (96, 64, 3)
    assert corners(frame) == UPRIGHT


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_is_ignored():
    data = encode(quarters(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff\0\0\0")
    assert corners(decode_frame(data)) == UPRIGHT


def test_scaled_decoding_still_covers_the_wanted_size():
    data = encode(quarters(1080, 1920), "JPEG")
    assert decode_frame(data, min_size=(256, 144)).shape == (480, 270, 3)
    assert decode_frame(data, min_size=(240, 135)).shape == (240, 135, 3)
    assert decode_frame(data, min_size=(241, 135)).shape == (480, 270, 3)
    assert decode_frame(data, min_size=(1000, 1000)).shape == (1920, 1080, 3)
    assert decode_frame(data, min_size=(5000, 5000)).shape == (1920, 1080, 3)
    assert corners(decode_frame(data, min_size=(256, 144))) == UPRIGHT


def test_the_wanted_size_is_meant_upright():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    data = encode(quarters(1080, 1920).transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif)
    frame = decode_frame(data, min_size=(240, 135))
    assert frame.shape == (240, 135, 3)
    assert corners(frame) == UPRIGHT
    assert decode_frame(data, min_size=(135, 240)).shape == (480, 270, 3)


def test_scaled_pixels_are_the_mean_of_those_they_replace():
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).resize((768, 768), Image.Resampling.BICUBIC)
    data = encode(coarse, "JPEG", quality=95, subsampling=0)
    full, scaled = decode_frame(data).astype(float), decode_frame(data, min_size=(192, 192)).astype(float)
    mean = full.reshape(192, 4, 192, 4, 3).mean(axis=(1, 3))
    assert np.abs(scaled - mean).mean() < 1.0


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_images(channels):
    grey = Image.fromarray(np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8))
    frame = decode_frame(encode(grey), channels=channels)
    assert frame.shape == (64, 64, channels)
    assert np.array_equal(frame[..., 0], np.asarray(grey))
    assert (frame == frame[..., :1]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_white(mode):
    image = Image.new(mode, (16, 16), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    image.paste((0, 0, 0, 255) if mode == "RGBA" else (0, 255), (0, 0, 8, 16))
    frame = decode_frame(encode(image))
    assert (frame[:, :8] == 0).all()
    assert (frame[:, 8:] == 255).all()


def test_palette_images_with_and_without_transparency():
    image = quarters().quantize(4)
    assert corners(decode_frame(encode(image))) == UPRIGHT
    blue = image.getpixel((8, 88))
    frame = decode_frame(encode(image, transparency=blue))
    assert corners(frame) == [UPRIGHT[0], UPRIGHT[1], (255, 255, 255), (255, 255, 255)]


def test_sixteen_bit_grey_is_scaled_not_clipped():
    samples = np.array([[0, 257, 32768, 65535, 1000, 129]], np.uint16)
    frame = decode_frame(make_png(samples, 0))
    assert frame[0, :, 0].tolist() == [0, 1, 128, 255, 4, 1]
    assert (frame == frame[..., :1]).all()


def test_cmyk_comes_out_in_its_colours():
    # Pillow writes CMYK as Photoshop does: inverted, with Adobe's marker.
    data = encode(quarters().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data[:200]
    assert corners(decode_frame(data)) == UPRIGHT
    assert corners(decode_frame(data, min_size=(12, 8))) == UPRIGHT


def test_the_first_picture_of_a_phone_photo_with_several_is_read():
    buffer = io.BytesIO()
    quarters(640, 960).save(buffer, "MPO", save_all=True, append_images=[Image.new("RGB", (640, 960))])
    frame = decode_frame(buffer.getvalue(), min_size=(120, 80))
    assert frame.shape == (120, 80, 3)
    assert corners(frame) == UPRIGHT


@pytest.fixture(scope="module")
def noisy_jpeg() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    return encode(Image.fromarray(pixels), "JPEG")


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.9, 0.9999])
@pytest.mark.parametrize("filler", [b"", b"\0"])
def test_a_cut_jpeg_is_an_error_even_when_padded_with_zeros(noisy_jpeg, kept, filler):
    cut = int(len(noisy_jpeg) * kept)
    with pytest.raises(FrameError, match=r"cut short|damaged|no JPEG"):
        decode_frame(noisy_jpeg[:cut] + filler * (len(noisy_jpeg) - cut))


def test_the_end_of_a_thumbnail_does_not_pass_for_the_end_of_the_picture(noisy_jpeg):
    thumbnail = encode(Image.new("RGB", (16, 16)), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    data = noisy_jpeg[:2] + segment + noisy_jpeg[2:]
    assert decode_frame(data).shape == (256, 256, 3)
    with pytest.raises(FrameError, match="cut short"):
        decode_frame(data[: len(data) // 2] + bytes(len(data) // 2))


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(noisy_jpeg):
    assert np.array_equal(decode_frame(noisy_jpeg + b"motion photo" * 100), decode_frame(noisy_jpeg))


def test_a_hole_of_zeros_is_damage(noisy_jpeg, tmp_path):
    """Situation F11: downloads that were broken off, and cut after any byte (F1)."""
    picture = Image.open(io.BytesIO(noisy_jpeg)).convert("RGB")
    for fmt in ("JPEG", "WEBP", "PNG", "BMP"):
        whole = encode(picture, fmt)
        decode_frame(whole)
        half = len(whole) // 2 + 7
        with pytest.raises(FrameError):
            decode_frame(whole[:half] + bytes(len(whole) - half))
        if fmt != "BMP":
            with pytest.raises(FrameError, match="a part of the file is missing"):
                decode_frame(whole[:half] + bytes(300) + whole[half + 300 :])


@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}])
@pytest.mark.parametrize("fmt", ["JPEG", "WEBP", "PNG", "BMP"])
def test_black_and_flat_pictures_have_no_hole(fmt, options):
    for colour in ("black", "white", (20, 90, 160)):
        flat = Image.new("RGB", (1600, 1200), colour)
        decode_frame(encode(flat, fmt, **options))
        flat.paste((200, 180, 30), (0, 700, 900, 1200))
        decode_frame(encode(flat, fmt, **options))


@pytest.mark.parametrize("mode", ["1", "P", "L", "RGB"])
def test_a_bitmap_may_be_black_from_the_middle_of_a_row_up(mode):
    """Stored from its last row up, it looks as if zeros followed: a drawing, or a file that was cut."""
    for width in (12, 1600) if mode == "1" else (12,):
        drawing = Image.new("L", (width, 9), 0)
        drawing.paste(255, (0, 2, width // 2, 9))
        drawing.paste(255, (width // 2, 3, width, 9))
        stored = drawing.convert(mode)
        assert np.array_equal(decode_frame(encode(stored, "BMP"), channels=1)[..., 0], np.asarray(drawing))


def test_whatever_the_decoder_raises_is_an_error_of_that_file(tmp_path, monkeypatch):
    def fail(*_):
        raise AssertionError("a bug in the decoder")

    path = tmp_path / "x.png"
    path.write_bytes(encode(quarters()))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)
    with pytest.raises(FrameError, match=r"x\.png: the image is damaged or cut short \(a bug in the decoder\)"):
        decode_frame(path)


@pytest.mark.parametrize("read", [decode_frame, probe_frame])
class TestUnusableFiles:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (None, "there is no such file; correct the path"),
            (b"", r"the file is empty \(0 bytes\)"),
            (b"this is no image\n", "it is no JPEG, PNG, WebP or BMP image"),
            (encode(quarters(), "GIF"), "it is no JPEG"),
        ],
    )
    def test_content(self, tmp_path, read, content, said):
        if content is not None:
            (tmp_path / "x.jpg").write_bytes(content)
        with pytest.raises(FrameError, match=rf"x\.jpg: {said}"):
            read(tmp_path / "x.jpg")
        with pytest.raises(FrameError, match="it is a folder"):
            read(tmp_path)

    def test_permission_denied(self, tmp_path, read, monkeypatch):
        path = tmp_path / "x.jpg"
        path.write_bytes(encode(quarters(), "JPEG"))

        def refuse(*args, **kwargs):
            raise PermissionError(13, "Permission denied")

        # Not by chmod: tests may run as root, who may read everything.
        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(FrameError, match=r"x\.jpg: it may not be read \(permission denied\)"):
            read(path)

    def test_file_over_the_limit(self, tmp_path, read, monkeypatch):
        path = tmp_path / "x.jpg"
        path.write_bytes(encode(quarters(), "JPEG"))
        monkeypatch.setattr(decode, "MAX_FILE_BYTES", 100)
        with pytest.raises(FrameError, match="the limit is 100"):
            read(path)

    def test_far_too_many_pixels(self, tmp_path, read):
        header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(bytes(1000)))
        (tmp_path / "x.png").write_bytes(bomb)
        with pytest.raises(FrameError, match="too many pixels"):
            read(tmp_path / "x.png")

    def test_more_pixels_than_our_own_limit(self, tmp_path, read, monkeypatch):
        path = tmp_path / "x.png"
        path.write_bytes(encode(quarters(), "PNG"))
        monkeypatch.setattr(decode, "MAX_PIXELS", 64 * 96 - 1)
        with pytest.raises(FrameError, match="64 x 96 pixels, the limit"):
            read(path)


def test_a_huge_jpeg_is_welcome_if_it_is_scaled_while_decoded(monkeypatch):
    monkeypatch.setattr(decode, "MAX_PIXELS", 10_000)
    data = encode(quarters(320, 480), "JPEG")
    assert decode_frame(data, min_size=(60, 40)).shape == (60, 40, 3)
    with pytest.raises(FrameError, match="the limit"):
        decode_frame(data)


def test_threads_get_the_same_pixels(tmp_path):
    paths = []
    for number in range(24):
        path = tmp_path / f"{number}.jpg"
        pixels = np.random.default_rng(number).integers(0, 255, (160, 90, 3), np.uint8)
        path.write_bytes(encode(Image.fromarray(pixels), "JPEG"))
        paths.append(path)
    alone = [decode_frame(path, min_size=(40, 22)) for path in paths]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda path: decode_frame(path, min_size=(40, 22)), paths))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
