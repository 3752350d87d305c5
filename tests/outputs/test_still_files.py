"""Names and files of the stills, and the PDF made of them."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pikepdf
import pytest
from PIL import Image

from flipdetect.errors import ConfigError, DataError
from flipdetect.outputs.still_files import StillStyle, encode_still, set_aside, still_name, write_pdf
from flipdetect.records import Still
from tests.outputs.made_up import made_up_picture

STILL = Still(3, "book", 10.0, 14.0, 12.404, 124, 0.9)


def picture() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    smooth = np.add.outer(np.arange(60), np.arange(80)) + np.zeros((3, 1, 1), dtype=np.int64)
    return smooth.transpose(1, 2, 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("time", "position", "total", "name"),
    [
        (12.404, 3, 12, "003_00m12.40s.jpg"),
        (0.0, 1, 1, "001_00m00.00s.jpg"),
        (59.996, 12, 1200, "0012_01m00.00s.jpg"),
        (4985.2, 999, 999, "999_83m05.20s.jpg"),
        (7200.0, 7, 9, "007_120m00.00s.jpg"),
    ],
)
def test_a_name_has_place_and_time(time: float, position: int, total: int, name: str) -> None:
    assert still_name(replace(STILL, time_s=time), position, total) == name


def test_names_sort_in_reading_order() -> None:
    names = [still_name(replace(STILL, time_s=7.0 * number), number, 1001) for number in range(1, 1002)]
    assert names == sorted(names)


def test_a_video_stands_in_front_and_is_fit_for_a_file_name() -> None:
    assert still_name(STILL, 3, 12, "Faust_2") == "Faust_2_003_00m12.40s.jpg"
    assert still_name(STILL, 3, 12, "本") == "本_003_00m12.40s.jpg"
    names = {still_name(STILL, 1, 1, video) for video in ("a/b", "a_b", "a b", "a:b", "../a_b", "...", "é" * 300)}
    assert len(names) == 7
    for name in names:
        assert re.fullmatch(r"[\w.-]+_001_00m12\.40s\.jpg", name)
        assert not name.startswith(".")
        assert len(name.encode()) < 200


def test_names_follow_a_template(tmp_path: Path) -> None:
    style = StillStyle("{video} p{number}", ".png")
    assert still_name(STILL, 3, 12, style=style) == "book p003.png"
    assert still_name(STILL, 3, 12, "a/b", style).startswith("a_b-")
    assert still_name(STILL, 3, 12, "b", StillStyle("{spread}")) == "b_003.jpg"
    for name in ("book p003.png", "book p0013.jpg", "003_00m12.40s.webp", "p003.png", "book p3.png", "holiday.jpg"):
        (tmp_path / name).touch()
    set_aside(tmp_path, style)
    assert {path.name for path in tmp_path.iterdir()} == {"earlier-1", "p003.png", "book p3.png", "holiday.jpg"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "{page}"}, "made of text and {video}, {number}"),
        ({"name": "a/{number}"}, "without folders"),
        ({"name": "{number"}, "got '{number'"),
        ({"name": "still {video}"}, "one name"),
        ({"suffix": ".tif"}, "'.tif'"),
        ({"quality": 0}, "quality from 1 to 100"),
    ],
)
def test_a_style_that_cannot_work_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        StillStyle(**changes)  # type: ignore[arg-type]


def test_formats_and_quality() -> None:
    image = picture()
    with Image.open(io.BytesIO(encode_still(image, ".png"))) as found:
        assert np.array_equal(np.asarray(found), image)
    with Image.open(io.BytesIO(encode_still(image, ".webp", 80))) as found:
        assert found.format == "WEBP"
    assert len(encode_still(image, quality=40)) < len(encode_still(image))


def test_a_still_keeps_its_pixels_and_nothing_else_is_in_the_file() -> None:
    image = picture()
    with Image.open(io.BytesIO(encode_still(image))) as found:
        assert found.format == "JPEG"
        assert not found.getexif()
        assert set(found.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert np.abs(np.asarray(found).astype(int) - image).max() <= 4


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), "f4"), np.zeros((4, 4, 4), "u1"), np.zeros((4, 4, 3), "f4"), np.zeros((0, 4, 3), "u1")],
)
def test_a_still_is_a_colour_or_grey_picture(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        encode_still(image)


def saved(path: Path, image: np.ndarray) -> Path:
    path.write_bytes(encode_still(image))
    return path


def test_a_pdf_has_a_page_per_picture_in_its_shape(tmp_path: Path) -> None:
    files = [
        saved(tmp_path / "1.jpg", made_up_picture((200, 30, 30))),
        saved(tmp_path / "2.jpg", made_up_picture((30, 30, 200), 160, 90)),
    ]
    write_pdf(tmp_path / "book.pdf", files, "Über Bücher (ചെറു)")
    content = (tmp_path / "book.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    # The JPEG's own bytes are in it: nothing was compressed again.
    assert files[0].read_bytes() in content
    for word in (b"CreationDate", b"ModDate", b"Producer", str(tmp_path).encode()):
        assert word not in content
    with pikepdf.open(tmp_path / "book.pdf") as document:
        sizes = [[round(float(side)) for side in page.mediabox[2:]] for page in document.pages]
        assert str(document.docinfo["/Title"]) == "Über Bücher (ചെറു)"
        assert list(document.docinfo.keys()) == ["/Title"]
        assert document.check_pdf_syntax() == []
        shown = [
            np.asarray(pikepdf.PdfImage(page.obj.Resources.XObject["/Im0"]).as_pil_image()) for page in document.pages
        ]
    for image, file in zip(shown, files, strict=True):
        assert np.array_equal(image, np.asarray(Image.open(file)))
    assert sizes == [[842, 474], [474, 842]]
    write_pdf(tmp_path / "again.pdf", files, "Über Bücher (ചെറു)")
    assert (tmp_path / "again.pdf").read_bytes() == content


def test_a_pdf_has_labels_and_an_outline(tmp_path: Path) -> None:
    files = [saved(tmp_path / f"{n}.jpg", picture()) for n in range(3)]
    outline = ["spread 1 at 0:02.5", "spread 3 at 0:07.1", "本 at 1:00:00"]
    write_pdf(tmp_path / "book.pdf", files, "", ["1", "3", "本 (4)"], outline)
    with pikepdf.open(tmp_path / "book.pdf") as document:
        assert document.check_pdf_syntax() == []
        assert [page.label for page in document.pages] == ["1", "3", "本 (4)"]
        with document.open_outline() as found:
            assert [item.title for item in found.root] == outline
            assert [item.destination[0].objgen for item in found.root] == [page.objgen for page in document.pages]


def test_pictures_that_make_no_pdf_are_named(tmp_path: Path) -> None:
    good = saved(tmp_path / "1.jpg", picture())
    (tmp_path / "text.jpg").write_text("no picture")
    for name in ("text.jpg", "none.jpg"):
        with pytest.raises(DataError, match=rf"{re.escape(name)} cannot be put into a PDF"):
            write_pdf(tmp_path / "book.pdf", [good, tmp_path / name])
    with pytest.raises(DataError, match="no picture"):
        write_pdf(tmp_path / "book.pdf", [])
    with pytest.raises(DataError, match="cannot be written"):
        write_pdf(good / "book.pdf", [good])
    assert not (tmp_path / "book.pdf").exists()
