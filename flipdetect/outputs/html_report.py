"""From results to the HTML page: what the template shows, then the file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.atomic import writing
from flipdetect.errors import ConfigError
from flipdetect.outputs.still_files import check_picture
from flipdetect.outputs.tables import clock
from flipdetect.records import Still, VideoResult

TEMPLATES = ("report.html.j2", "report.css")
TITLE = "Page turns"
TALL = 1.1  # height by width from which pictures get narrower cards
# So many pictures in a page, and the width and JPEG quality that keep it at some 10 MB at most.
SIZES = ((150, 480, 80), (500, 360, 75), (2000, 240, 70))
SMALLEST = (160, 60)
TALLEST = 1.34  # height of a picture in widths of the box

Pictures = Mapping[tuple[str, int], NDArray[np.uint8]]
"""(video, spread) -> (H, W, 3) uint8 RGB."""


@dataclass(frozen=True)
class _Picture:
    """An image as a `data:` address, and its size in pixels."""

    address: str
    width: int
    height: int


@dataclass(frozen=True)
class _Video:
    """One section of the page; `key` is what addresses inside the page begin with."""

    key: str
    result: VideoResult
    name: str
    timeline: _Picture
    spreads: tuple[tuple[Still, _Picture | None], ...]
    known: frozenset[int]
    flawed: int
    repeated: int
    problems: tuple[str, ...]
    tall: bool


def write_report(
    path: Path, results: Sequence[VideoResult], pictures: Pictures | None = None, title: str = TITLE
) -> None:
    """Write one HTML file that shows all videos: summary, timeline, spreads with their pictures, table of turns.

    The file contains all it needs, loads nothing and runs no script; it is readable in light and dark, on narrow
    screens and on paper. Pictures are embedded as JPEGs of 480 pixels' width, smaller from 150 spreads on, so that the
    file stays at some 10 MB.

    Args:
        path: the file.
        results: one per video, with scores for the timeline.
        pictures: of the spreads, of any size; a missing one is left blank.
        title: heading of the page.

    Raises:
        ConfigError: if Jinja2 is not installed.
        DataError: if the file cannot be written.
        ValueError: if a picture is no (H, W, 3) uint8 array.
    """
    try:
        import jinja2
    except ImportError as error:
        raise ConfigError("writing a report needs Jinja2; install it: pip install jinja2") from error
    count = sum(len(result.stills) for result in results)
    width, quality = next(((width, quality) for most, width, quality in SIZES if count <= most), SMALLEST)
    videos = []
    for number, result in enumerate(results, start=1):
        spreads = []
        for still in result.stills:
            image = (pictures or {}).get((result.video, still.spread))
            spreads.append((still, None if image is None else _embed_jpeg(image, width, quality)))
        shapes = [picture.height / picture.width for _, picture in spreads if picture]
        videos.append(
            _Video(
                key=f"v{number}",
                result=result,
                name=result.video or result.source or "video",
                timeline=_embed_timeline(result),
                spreads=tuple(spreads),
                known=frozenset(still.spread for still in result.stills),
                flawed=sum(bool(still.flaw) for still in result.stills),
                repeated=sum(still.same_as is not None for still in result.stills),
                problems=(() if result.complete else ("The video was not read to its end.",)) + result.problems,
                tall=bool(shapes) and sum(shapes) / len(shapes) > TALL,
            )
        )
    folder = resources.files("flipdetect.outputs")
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({name: folder.joinpath(name).read_text(encoding="utf-8") for name in TEMPLATES}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = clock
    environment.filters["per_cent"] = lambda share: f"{share * 100:.0f}%"
    text = environment.get_template(TEMPLATES[0]).render(title=title, videos=videos)
    # Bytes of a file name that are not UTF-8 are shown as question marks.
    with writing(path) as part:
        part.write_bytes(text.encode("utf-8", "replace"))


def _embed_jpeg(image: NDArray[np.uint8], width: int, quality: int) -> _Picture:
    check_picture(image)
    small = Image.fromarray(np.ascontiguousarray(image))
    small.thumbnail((width, round(width * TALLEST)), Image.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=quality, optimize=True)
    return _Picture(_address("image/jpeg", file.getvalue()), *small.size)


def _embed_timeline(result: VideoResult) -> _Picture:
    from flipdetect.outputs.plots.timeline import draw_timeline

    png = draw_timeline(result)
    with Image.open(io.BytesIO(png)) as image:
        return _Picture(_address("image/png", png), *image.size)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
