"""What was found, as one HTML file that needs nothing else: no network, no script, no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flipdetect.atomic import writing
from flipdetect.errors import ConfigError
from flipdetect.outputs.still_files import check_picture
from flipdetect.outputs.tables import clock
from flipdetect.records import VideoResult

TEMPLATES = ("report.html.j2", "report.css")
TITLE = "Page turns"
TALL = 1.1  # height by width from which pictures get narrower cards
# So many pictures in a page, and the width and JPEG quality that keep it at some 10 MB at most.
SIZES = ((150, 480, 80), (500, 360, 75), (2000, 240, 70))
SMALLEST = (160, 60)
TALLEST = 1.34  # height of a picture in widths of the box

Pictures = Mapping[tuple[str, int], NDArray[np.uint8]]
"""(video, spread) -> (H, W, 3) uint8 RGB."""


def write_report(path: Path, results: Sequence[VideoResult], pictures: Pictures | None = None) -> None:
    """Write one HTML file that shows all videos: summary, timeline, spreads with their pictures, table of turns.

    It loads nothing and runs no script; it is readable in light and dark, on narrow screens and on paper.

    Args:
        pictures: of the spreads, of any size; a missing one is left blank.

    Raises:
        ConfigError: if Jinja2 is not installed.
        DataError: if the file cannot be written.
        ValueError: if a picture is no (H, W, 3) uint8 array.
    """
    if find_spec("jinja2") is None:
        raise ConfigError("writing a report needs Jinja2; install it: pip install 'flipdetect[plots]'")
    from flipdetect.outputs.plots.timeline import draw_timeline  # matplotlib takes its time

    count = sum(len(result.stills) for result in results)
    width, quality = next(((width, quality) for most, width, quality in SIZES if count <= most), SMALLEST)
    videos: list[dict[str, Any]] = []
    for number, result in enumerate(results, start=1):
        images = [(pictures or {}).get((result.video, still.spread)) for still in result.stills]
        embedded = [None if image is None else embed_jpeg(image, width, width * TALLEST, quality) for image in images]
        shapes = [picture["height"] / picture["width"] for picture in embedded if picture]
        before = {still.spread: image for still, image in zip(result.stills, embedded, strict=True)}
        videos.append({
            "key": f"v{number}",  # what addresses inside the page begin with
            "result": result,
            "name": result.video or result.source or "video",
            "timeline": _embedded("png", draw_timeline(result)),
            "spreads": list(zip(result.stills, embedded, strict=True)),
            "doubts": [
                (still, before.get(still.spread - 1), before[still.spread]) for still in result.stills if still.doubt
            ],
            "known": {still.spread for still in result.stills},
            "flawed": sum(bool(still.flaw) for still in result.stills),
            "repeated": sum(still.same_as is not None for still in result.stills),
            "problems": (() if result.complete else ("The video was not read to its end.",)) + result.problems,
            "tall": bool(shapes) and sum(shapes) / len(shapes) > TALL,
        })  # fmt: skip
    filters = {"clock": clock, "per_cent": lambda share: f"{share * 100:.0f}%"}
    text = page_template("flipdetect.outputs", TEMPLATES, filters).render(title=TITLE, videos=videos)
    # Bytes of a file name that are not UTF-8 are shown as question marks.
    with writing(path) as part:
        part.write_bytes(text.encode("utf-8", "replace"))


def page_template(package: str, names: Sequence[str], filters: Mapping[str, Callable[..., str]]) -> Any:
    """The Jinja template `names[0]` of a package; the other files are those that it includes."""
    import jinja2

    folder = resources.files(package)
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({name: folder.joinpath(name).read_text(encoding="utf-8") for name in names}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(names[0])


def embed_jpeg(image: NDArray[np.uint8], width: float, height: float, quality: int) -> dict[str, Any]:
    """A picture (H, W, 3) uint8 RGB within `width` by `height` pixels, as `address` (data:), `width` and `height`.

    Raises:
        ValueError: if it is no such array.
    """
    check_picture(image)
    small = Image.fromarray(np.ascontiguousarray(image))
    small.thumbnail((round(width), round(height)), Image.Resampling.LANCZOS, reducing_gap=3.0)
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=quality, optimize=True)
    return _embedded("jpeg", file.getvalue())


def _embedded(kind: str, content: bytes) -> dict[str, Any]:
    """An image file as a `data:` address, and its size in pixels."""
    with Image.open(io.BytesIO(content)) as image:
        width, height = image.size
    address = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return {"address": address, "width": width, "height": height}
