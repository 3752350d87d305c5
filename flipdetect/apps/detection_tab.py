"""The demo's tab for a detector: a picture, and the boxes that are found in it."""

from __future__ import annotations

import html
from collections import Counter
from pathlib import Path
from typing import Any

import gradio as gr

from flipdetect.apps.demo_handlers import Told, card, path_of
from flipdetect.inference.detector import Detector
from flipdetect.outputs.box_files import COLUMNS, box_rows
from flipdetect.outputs.drawn_boxes import draw_boxes
from flipdetect.records import DetectionResult
from flipdetect.sources.image import decode_frame

NOTHING = "<p>Choose a picture.</p>"
HEADS = COLUMNS[1:7]


def boxes_of(detector: Detector, path: str | None, threshold: float) -> tuple[str, Any, Any]:
    """What is found in a picture, as HTML; the picture with the boxes; and their table."""
    if path is None:
        return card(NOTHING), gr.update(value=None, visible=False), gr.update(value=None, visible=False)
    with Told():
        image = decode_frame(Path(path))
        (found,) = detector.predict(image, threshold)
    boxes = detector.named(found)
    counts = Counter(box.label for box in boxes)
    words = [f"<li>{html.escape(name)}: <b>{counts[name]}</b></li>" for name in detector.classes if counts[name]]
    text = f"<ul>{''.join(words)}</ul>" if words else f"<p>Nothing with a score of at least {threshold:.2f}.</p>"
    rows = [row[1:7] for row in box_rows([DetectionResult(path, image.shape[1], image.shape[0], boxes)])]
    drawn = draw_boxes(image, found.boxes, found.labels.tolist(), detector.classes, found.scores.tolist())
    return card(text), gr.update(value=drawn, visible=True), gr.update(value=rows, visible=bool(rows))


def detection_tab(detector: Detector, threshold: float | None) -> None:
    """Lay out the tab, in the page that is being built.

    Args:
        detector: finds the boxes.
        threshold: that is set at first; None: the detector's own.
    """
    with gr.Row():
        with gr.Column():
            chosen = gr.Image(type="filepath", label="Picture", sources=["upload", "clipboard"], height=440)
            chosen.preprocess = path_of  # type: ignore[method-assign]  # `decode_frame` says what is wrong with a file
            first = detector.threshold if threshold is None else threshold
            least = gr.Slider(0.01, 0.99, first, step=0.01, label="Least score of a box")
        with gr.Column():
            summary = gr.HTML(card(NOTHING), padding=False)
            shown = gr.Image(label="Boxes", visible=False, height=440, buttons=["fullscreen", "download"])
    table = gr.Dataframe(headers=list(HEADS), label="Boxes, in pixels", visible=False, interactive=False)
    for event in (chosen.change, least.release):
        event(
            lambda path, score: boxes_of(detector, path, score),
            [chosen, least],
            [summary, shown, table],
            show_progress="minimal",
            concurrency_limit=2,
            api_visibility="private",
        )
