"""A matplotlib figure as SVG to be put into a page, whose style sheet gives it its colours: light, dark or on paper."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from flipdetect.outputs.plots.canvas import FAINT, INK, NEGATIVE_COLOUR, POSITIVE_COLOUR, SERIES_COLOURS

VARIABLES = {
    "#ffffff": "--card",
    "#000000": "--ink",
    INK: "--ink",
    "#262626": "--ink",
    FAINT: "--axis",
    "#EBEBEB": "--grid",
    "#8A8A8A": "--soft",
    NEGATIVE_COLOUR: "--negative",
    POSITIVE_COLOUR: "--positive",
    **{colour: f"--series-{number}" for number, colour in enumerate(SERIES_COLOURS) if colour != POSITIVE_COLOUR},
}
"""Colours of the plots, and the CSS variables that take their places; a page that embeds plots defines them."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_FAMILY = re.compile(r"font-family:[^;\"]*")
_SIZED = re.compile(r'<svg[^>]*viewBox="([^"]*)"[^>]*>')
_KEPT = re.compile(r'(?:url\(#|href="#)([^)"]+)')


def figure_to_svg(figure: Figure, name: str, label: str = "") -> str:
    """An `<svg>` element that scales to the width it is given; equal figures give equal text.

    Text stays text, in the page's own font. The colours of `VARIABLES` become references to CSS variables.

    Args:
        figure: any.
        name: unique in the page: what ids within the element are derived from.
        label: what the picture shows, for readers who cannot see it; plain text.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        canvas: Any = FigureCanvasSVG(figure)  # its methods have no type hints
        canvas.print_svg(buffer, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = text.replace("xlink:href", "href")
    text = _unnamed(text)
    text = _FAMILY.sub("font-family: inherit", text)
    known = {colour.lower(): variable for colour, variable in VARIABLES.items()}
    text = _COLOUR.sub(lambda found: _variable(found[0], known), text)
    box = _SIZED.match(text)
    assert box is not None
    head = f'<svg class="plot" viewBox="{box[1]}" role="img" aria-label="{_escaped(label or name)}">'
    return re.sub(r"\n\s*", "\n", head + text[box.end() :]).strip()


def _unnamed(text: str) -> str:
    """Without ids that nothing refers to: several figures stand in one page, and ids must be unique there."""
    kept = set(_KEPT.findall(text))
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in kept else "", text)


def _variable(colour: str, known: dict[str, str]) -> str:
    variable = known.get(colour.lower())
    return f"var({variable}, {colour})" if variable else colour


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
