"""From findings to the two documents: one HTML file that needs nothing else, and Markdown with pictures beside it."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from flipdetect.errors import ConfigError, DataError
from flipdetect.evaluation.report.drawing import MISTAKE, MOST_TIMELINES, video_lines
from flipdetect.evaluation.report.findings import Findings
from flipdetect.evaluation.report.parts import FEWEST_VIDEOS, comparisons
from flipdetect.evaluation.report.reading import count, percent, read, suspect_sentences, with_bounds, worst_sentences
from flipdetect.evaluation.report.saved import PicturedFrame
from flipdetect.metrics.bootstrap import Estimate
from flipdetect.metrics.clip import Confusion

OWN = "flipdetect.evaluation.report"
STYLE = ("flipdetect.outputs.report", "report.css")
TEMPLATES = ((OWN, "judgement.html.j2"), (OWN, "judgement.css"), (OWN, "judgement.md.j2"), STYLE)
TILES = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "accuracy": "accuracy",
    "f1_at_0.5": "F1 at threshold 0.5",
}
AGGREGATED = {"mean": "mean of its frames", "max": "highest of its frames", "top_k": "mean of its three highest"}
ROLES = {
    "hit": "flips found",
    "miss": "flips missed",
    "alarm": "false alarms",
    "rest": "rightly left alone",
}
"""Parts about what the model looks at, in order; "flip" is replaced by the positive class's name."""


@dataclass(frozen=True)
class Cell:
    """Of a confusion matrix."""

    number: int
    share: float
    right: bool


def render_html(found: Findings, charts: Mapping[str, str], folder: Path) -> str:
    """The page.

    Args:
        found: the numbers.
        charts: by name of the drawing, an `<svg>` element.
        folder: of the report, from which pictures of frames are put into the page.

    Raises:
        ConfigError: if Jinja2 is not installed.
        DataError: if a picture cannot be read.
    """
    from markupsafe import Markup

    embedded = {name: _address(folder / name) for each in found.pictured for name in _files(each)}
    parts = {**_shown(found), "charts": {name: Markup(text) for name, text in charts.items()}}
    page: str = _environment(html=True).get_template(TEMPLATES[0][1]).render(**parts, embedded=embedded)
    return page


def render_markdown(found: Findings, pictures: Mapping[str, str]) -> str:
    """The same as Markdown.

    Args:
        found: the numbers.
        pictures: by name of the drawing, its file relative to the report's folder.

    Raises:
        ConfigError: if Jinja2 is not installed.
    """
    text = _environment(html=False).get_template(TEMPLATES[2][1]).render(**_shown(found), pictures=pictures)
    lines = [line.rstrip() for line in text.splitlines()]
    return "\n".join(line for place, line in enumerate(lines) if line or place == 0 or lines[place - 1]) + "\n"


def _shown(found: Findings) -> dict[str, Any]:
    judged = found.judged
    timelines = len(video_lines(found.scored, judged.threshold))
    return {
        "title": f"How well {judged.model} tells {judged.classes.positive} from {judged.classes.negative}",
        "found": found,
        "judged": judged,
        "reading": read(found),
        "tiles": [(title, found.headline[name]) for name, title in TILES.items()],
        "facts": _facts(found),
        "of_frames": _matrix(found.counts),
        "of_videos": _matrix(found.clips[0].counts),
        "clips": [(AGGREGATED[each.how], each) for each in found.clips],
        "one_frame_videos": found.spread.longest <= 1,
        "worst": worst_sentences(found),
        "suspects": suspect_sentences(found),
        "slices": found.slices,
        "comparisons": len(comparisons(found.slices)),
        "fewest_videos": FEWEST_VIDEOS,
        "mistakes": [each for each in found.pictured if each.role == MISTAKE],
        "looks": _looks(found),
        "more_timelines": max(timelines - MOST_TIMELINES, 0),
        "robustness": found.robustness,
        "expected_error": found.calibration.expected_error,
    }


def _facts(found: Findings) -> list[tuple[str, str]]:
    judged = found.judged
    side = f", {judged.side} side of its split" if judged.side else ""
    sources = f" of {count(found.sources, 'source')}" if found.sources else ""
    share = percent(found.positives / len(found.scored))
    facts = [
        ("Set", f"{judged.set_name}{side}" + (f" ({judged.folder})" if judged.folder else "")),
        (
            "Frames",
            f"{len(found.scored):,} of {count(found.videos, 'video')}{sources}; "
            f"{found.positives:,} ({share}) are {judged.classes.positive}",
        ),
        ("Data", judged.data_version),
        ("Data, fingerprint", judged.set_hash),
        ("Model", judged.model + (f" ({judged.model_file})" if judged.model_file else "")),
        ("Model, SHA-256", judged.model_hash),
        *judged.facts.items(),
        ("Threshold", f"{judged.threshold:.4f}, {judged.threshold_origin}"),
        ("Judged on", judged.date),
    ]
    return [(name, text) for name, text in facts if text]


def _matrix(counts: Confusion) -> list[list[Cell]]:
    rows = counts.matrix().tolist()
    return [
        [Cell(number, number / sum(row) if sum(row) else math.nan, truth == said) for said, number in enumerate(row)]
        for truth, row in enumerate(rows)
    ]


def _looks(found: Findings) -> list[tuple[str, list[PicturedFrame]]]:
    groups = [(role, [each for each in found.pictured if each.role == role]) for role in ROLES]
    flip = found.judged.classes.positive
    titles = {role: title.replace("flips", f"{flip} frames") for role, title in ROLES.items()}
    return [(titles[role].capitalize(), group) for role, group in groups if group]


def _files(each: PicturedFrame) -> list[str]:
    return [name for name in (each.file, each.heat, each.maps) if name]


def _address(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the picture {path} cannot be read ({error.strerror or error}); make it anew with evaluate.py --report"
        ) from error
    return "data:image/jpeg;base64," + base64.b64encode(data).decode("ascii")


@cache
def _environment(*, html: bool) -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise ConfigError("writing a report needs Jinja2; install it: pip install jinja2") from error
    texts = {name: resources.files(room).joinpath(name).read_text(encoding="utf-8") for room, name in TEMPLATES}
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(texts),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        number=_number,
        place=lambda share: f"{100 * min(max(share, 0.0), 1.0):.2f}%",
        bounds=_bounds,
        range=_range,
        with_bounds=with_bounds,
        count=count,
        cell=_cell,
    )
    return environment


def _number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _bounds(each: Estimate) -> str:
    return "no interval" if math.isnan(each.low) else f"{each.low:.3f} to {each.high:.3f}"


def _range(each: Estimate) -> str:
    return "no interval" if math.isnan(each.low) else f"{each.low:.0%} to {each.high:.0%}"


def _cell(text: object) -> str:
    """Text that stays within its cell of a Markdown table, and is no markup."""
    plain = " ".join(str(text).split())
    for sign in "\\`*_[]<>|#":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
