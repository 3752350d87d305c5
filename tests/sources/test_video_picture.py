import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from flipdetect.sources.video_pixels import HLG, PQ, Orientation, orientation_of_matrix, to_standard_range
from flipdetect.sources.video_seek import frame_at
from tests.sources.films import number_of, read, write


def mean(image: np.ndarray, rows: slice, columns: slice) -> list[int]:
    return [round(value) for value in image[rows, columns].mean((0, 1))]


def quarters(height: int, width: int) -> np.ndarray:
    """Red, green, blue, white in reading order."""
    image = np.full((height, width, 3), 255, np.uint8)
    image[: height // 2, : width // 2] = (255, 0, 0)
    image[: height // 2, width // 2 :] = (0, 255, 0)
    image[height // 2 :, : width // 2] = (0, 0, 255)
    return image


def corner_names(image: np.ndarray) -> str:
    """Colours near the four corners in reading order."""
    height, width = image.shape[:2]
    names = {(255, 0, 0): "R", (0, 255, 0): "G", (0, 0, 255): "B", (255, 255, 255): "W"}
    places = [(y, x) for y in (height // 6, -height // 6) for x in (width // 6, -width // 6)]
    return "".join(names[tuple(int(value > 127) * 255 for value in image[place])] for place in places)


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write a display matrix into the track header of an MP4 (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    assert struct.unpack_from(">9i", data, at) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, at, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


class TestPicture:
    @pytest.mark.parametrize(
        ("matrix", "corners"),
        [
            ((1, 0, 0, 1), "RGBW"),
            ((0, 1, -1, 0), "BRWG"),  # a quarter clockwise
            ((-1, 0, 0, -1), "WBGR"),
            ((0, -1, 1, 0), "GWRB"),
            ((-1, 0, 0, 1), "GRWB"),
            ((1, 0, 0, -1), "BWRG"),
            ((0, 1, 1, 0), "RBGW"),
            ((0, -1, -1, 0), "WGBR"),
        ],
    )
    def test_the_display_matrix_is_applied(self, tmp_path, matrix, corners):
        path = write(tmp_path / "v.mp4", [quarters(48, 80)] * 2)
        set_matrix(path, *matrix)
        image = read(path, min_size=(30, 30))[0].image
        sideways = matrix[0] == 0
        assert corner_names(image) == corners
        assert image.shape == ((50, 30, 3) if sideways else (30, 50, 3))
        assert corner_names(next(frame_at(path, [0.04])).image) == corners

    def test_a_crooked_angle_becomes_the_nearest_quarter(self):
        angle = np.deg2rad(85)
        a, b = (np.array([np.cos(angle), np.sin(angle)]) * 65536).astype(np.int32)
        assert orientation_of_matrix(np.array([a, b, 0, -b, a, 0, 0, 0, 1 << 30], np.int32)) == Orientation(
            swap=True, mirror=True
        )

    def test_pixels_become_square(self, tmp_path):
        def anamorphic(stream):
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

        path = write(tmp_path / "v.mp4", [quarters(48, 60)] * 2, setup=anamorphic)
        assert read(path)[0].image.shape == (48, 80, 3)
        assert read(path, min_size=(24, 24))[0].image.shape == (24, 40, 3)

    def test_min_size_is_covered_and_nothing_is_enlarged(self, film):
        assert read(film, min_size=(24, 24))[0].image.shape == (24, 32, 3)
        assert read(film, min_size=(10, 60))[0].image.shape == (45, 60, 3)
        assert read(film, min_size=(480, 640))[0].image.shape == (48, 64, 3)
        frames = read(film, min_size=(24, 32))
        assert [number_of(frame.image) for frame in frames] == list(range(100))

    def test_odd_sizes(self, tmp_path):
        path = write(tmp_path / "v.mkv", [quarters(47, 63)] * 2, codec="ffv1")
        assert corner_names(read(path)[0].image) == "RGBW"

    @pytest.mark.parametrize(
        ("codec", "pix_fmt", "suffix"),
        [
            ("libx264", "yuv420p", ".mp4"),
            ("libx264", "yuvj420p", ".mp4"),
            ("libx264", "yuv420p10le", ".mp4"),
            ("libx264", "yuv444p", ".mkv"),
            ("mjpeg", "yuvj422p", ".avi"),
            ("ffv1", "bgr0", ".mkv"),
            ("rawvideo", "yuyv422", ".avi"),
        ],
    )
    def test_colours_survive_every_format(self, tmp_path, codec, pix_fmt, suffix):
        tone = np.full((48, 64, 3), (200, 100, 50), np.uint8)
        path = write(tmp_path / f"v{suffix}", [tone] * 2, codec=codec, pix_fmt=pix_fmt, options={})
        for min_size in (None, (24, 24)):
            assert mean(read(path, min_size=min_size)[0].image, slice(4, -4), slice(4, -4)) == pytest.approx(
                [200, 100, 50], abs=5
            )

    @pytest.mark.parametrize(("named", "red"), [(1, [254, 0, 0]), (2, [254, 0, 0])])
    def test_large_pictures_are_bt709_also_if_they_do_not_say_so(self, tmp_path, named, red):
        """Red of BT.709 is Y 63, U 102, V 240; by BT.601 it would come out darker."""
        path = tmp_path / "v.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 1280, 64, "yuv420p"
            stream.options = {"preset": "ultrafast"}
            stream.codec_context.colorspace = named
            frame = av.VideoFrame(1280, 64, "yuv420p")
            for plane, value in zip(frame.planes, (63, 102, 240), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.colorspace = 0, named
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
        assert mean(read(path)[0].image, slice(8, -8), slice(8, -8)) == pytest.approx(red, abs=4)

    def test_transparent_pixels_lie_on_white(self, tmp_path):
        clear = np.zeros((48, 64, 4), np.uint8)
        clear[:, 32:] = (200, 0, 0, 255)
        path = write(tmp_path / "v.mov", [clear] * 2, codec="qtrle", pix_fmt="argb")
        image = read(path)[0].image
        assert mean(image, slice(None), slice(0, 30)) == [255, 255, 255]
        assert mean(image, slice(None), slice(34, None)) == [200, 0, 0]

    def test_high_dynamic_range_is_brought_down(self, tmp_path):
        def as_hlg(stream):
            context = stream.codec_context
            context.color_trc, context.color_primaries, context.colorspace = HLG, 9, 9

        grey = np.full((48, 64, 3), 191, np.uint8)  # 75 per cent: diffuse white
        path = write(tmp_path / "v.mkv", [grey] * 2, pix_fmt="yuv420p10le", setup=as_hlg)
        for min_size in (None, (24, 24)):
            image = read(path, min_size=min_size)[0].image
            assert image.dtype == np.uint8
            assert mean(image, slice(4, -4), slice(4, -4)) == pytest.approx([236, 236, 236], abs=8)


class TestTone:
    @pytest.mark.parametrize(("transfer", "white"), [(PQ, 0.5807), (HLG, 0.75)])
    def test_paper_stays_bright_and_order_is_kept(self, transfer, white):
        codes = np.round(np.array([0, 0.3, 0.5, white, 0.99]) * 65535).astype(np.uint16)
        tones = to_standard_range(np.repeat(codes[None, :, None], 3, axis=2), transfer)[0]
        assert np.all(np.ptp(tones.astype(int), axis=1) <= 1)  # greys stay grey
        assert np.all(np.diff(tones[:, 1].astype(int)) > 0)
        assert tones[0, 1] == 0
        assert 225 <= tones[3, 1] <= 245
        assert tones[4, 1] >= 250
