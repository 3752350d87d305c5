"""From results to the page: what the template is to show, then the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from flipdetect.errors import ConfigError
from flipdetect.outputs.clock import clock
from flipdetect.outputs.curve import probability_curve
from flipdetect.outputs.report.chart import Chart, make_chart
from flipdetect.outputs.report.pictures import EmbeddedPicture, PictureBox, Pictures
from flipdetect.outputs.writing import writing
from flipdetect.records import FlipEvent, FrameScore, Still, VideoResult

TEMPLATES = ("report.html.j2", "report.css")
TITLE = "Page turns"
POINTS_OF_ALL, POINTS_OF_ONE, LEAST_POINTS = 60_000, 4_000, 400
TALL = 1.1  # height by width from which pictures get narrower cards


@dataclass(frozen=True)
class _Spread:
    still: Still
    picture: EmbeddedPicture | None
    repeats: bool


@dataclass(frozen=True)
class _Turn:
    event: FlipEvent
    reveals: int | None


@dataclass(frozen=True)
class _Video:
    """One section of the page; `key` is what addresses inside the page begin with."""

    key: str
    result: VideoResult
    name: str
    chart: Chart
    spreads: tuple[_Spread, ...]
    turns: tuple[_Turn, ...]
    flawed: int
    repeated: int
    problems: tuple[str, ...]
    tall: bool


def write_report(
    path: Path,
    results: Sequence[VideoResult],
    scores: Mapping[str, Sequence[FrameScore]] | None = None,
    pictures: Pictures | None = None,
    title: str = TITLE,
) -> None:
    """Write one HTML file that shows all videos: summary, timeline, spreads with their pictures, table of turns.

    The file holds all it needs, loads nothing and runs no script; it is readable in light and dark, on narrow
    screens and on paper. Pictures are put in as JPEGs of 480 pixels' width, smaller from 150 spreads on, and
    curves with a few thousand points that keep every peak, so that the file stays at some 10 MB.

    Args:
        path: the file.
        results: one per video.
        scores: video -> scores of its frames, in any order; without them the timeline has no curve.
        pictures: (video, spread) -> (H, W, 3) uint8 RGB of any size, as a mapping or a function.
        title: heading of the page.

    Raises:
        ConfigError: if Jinja2 is not installed.
        DataError: if the file cannot be written.
        ValueError: if a picture is no such array.
    """
    box = PictureBox(pictures, sum(len(result.stills) for result in results))
    points = min(max(POINTS_OF_ALL // max(len(results), 1), LEAST_POINTS), POINTS_OF_ONE)
    videos = [
        _video(f"v{number}", result, (scores or {}).get(result.video, ()), box, points)
        for number, result in enumerate(results, start=1)
    ]
    text = _render(title, videos)
    # Bytes of a file name that are no UTF-8 are shown as question marks.
    with writing(path) as part:
        part.write_bytes(text.encode("utf-8", "replace"))


def _video(key: str, result: VideoResult, scores: Sequence[FrameScore], box: PictureBox, points: int) -> _Video:
    known = {still.spread for still in result.stills}
    spreads = tuple(
        _Spread(still, box.embed(result.video, still.spread), still.same_as in known) for still in result.stills
    )
    turns = tuple(_Turn(event, event.number + 1 if event.number + 1 in known else None) for event in result.events)
    shapes = [each.picture.height / each.picture.width for each in spreads if each.picture]
    return _Video(
        key=key,
        result=result,
        name=result.video or result.source or "video",
        chart=make_chart(result, probability_curve(scores, result), points),
        spreads=spreads,
        turns=turns,
        flawed=sum(bool(still.flaw) for still in result.stills),
        repeated=sum(still.same_as is not None for still in result.stills),
        problems=(() if result.complete else ("The video was not read to its end.",)) + result.problems,
        tall=bool(shapes) and sum(shapes) / len(shapes) > TALL,
    )


def _render(title: str, videos: Sequence[_Video]) -> str:
    try:
        import jinja2
    except ImportError as error:
        raise ConfigError("writing a report needs Jinja2; install it: pip install jinja2") from error
    folder = resources.files("flipdetect.outputs.report")
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({name: folder.joinpath(name).read_text(encoding="utf-8") for name in TEMPLATES}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clock"] = clock
    environment.filters["per_cent"] = lambda share: f"{share * 100:.0f}%"
    return environment.get_template(TEMPLATES[0]).render(title=title, videos=videos)
