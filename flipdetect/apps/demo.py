"""The demo in the browser: a picture, a film, or the book under a camera."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from flipdetect.apps.demo_handlers import BOX_HEADS, NO_PICTURE, Demo, boxes_of, card, load, path_of
from flipdetect.errors import ConfigError
from flipdetect.inference.detector import Detector
from flipdetect.inference.load import load_trained
from flipdetect.zoo import NAMES

EXAMPLES = Path(__file__).with_name("examples")
MOST_BYTES = 2_000_000_000
"""Of an uploaded file."""
FRAME_S = 0.12
"""Seconds between two frames of the camera."""
MOST_CAMERAS = 8
"""Cameras watched at a time; others wait."""
KEEP_S = 6 * 3600
"""Seconds after which uploads and what was shown are deleted; all of a user's files are when the page is closed."""

HEAD = "<h1>flipdetect</h1><p>Page turns in photos and films of books, and a clean picture of each spread.</p>"
SYSTEM_FONTS = ("system-ui", "sans-serif")
THEME = gr.themes.Default(primary_hue="orange", neutral_hue="stone", font=SYSTEM_FONTS, font_mono=SYSTEM_FONTS)
CSS = (Path(__file__).with_name("demo.css")).read_text(encoding="utf-8")

logger = logging.getLogger(__name__)


def build(model: str | None, threshold: float | None, root: Path) -> gr.Blocks:
    """The page.

    Args:
        model, threshold: set at first, as for `Demo`; with a detector there is a tab for it, and the others have the
            default model.
        root: folder for all temporary files.

    Raises:
        ModelError: if the model cannot be loaded.
    """
    trained = load_trained(model) if model is not None else None
    detector = trained if isinstance(trained, Detector) else None
    demo = Demo(model, threshold, root) if detector is None else Demo(None, None, root)
    names = [*NAMES] if demo.model_name in NAMES else [demo.model_name, *NAMES]
    page: gr.Blocks
    with gr.Blocks(title="flipdetect", analytics_enabled=False, delete_cache=(600, KEEP_S)) as page:
        gr.HTML(HEAD, padding=False)
        with gr.Accordion("Model and threshold", open=False), gr.Row():
            name = gr.Dropdown(names, value=demo.model_name, label="Model", elem_id="model")
            limit = gr.Slider(
                0.01, 0.99, demo.threshold, step=0.01, label="Threshold: a turn from this probability", elem_id="limit"
            )
            switched = name.input(lambda chosen: load(chosen).threshold, name, limit, show_progress="hidden")
        with gr.Tabs():
            if detector is not None:
                with gr.Tab("Detection"):
                    _detection_tab(detector, threshold)
            with gr.Tab("Picture"):
                _picture_tab(demo, name, limit, switched)
            with gr.Tab("Film"):
                _film_tab(demo, name, limit)
            with gr.Tab("Live"):
                _live_tab(demo, name, limit)
        page.unload(demo.leave)
    return page


def _detection_tab(detector: Detector, threshold: float | None) -> None:
    with gr.Row():
        with gr.Column():
            chosen = gr.Image(type="filepath", label="Picture", sources=["upload", "clipboard"], height=440)
            chosen.preprocess = path_of  # type: ignore[method-assign]  # `decode_frame` says what is wrong with a file
            first = detector.threshold if threshold is None else threshold
            least = gr.Slider(0.01, 0.99, first, step=0.01, label="Least score of a box")
        with gr.Column():
            summary = gr.HTML(card(NO_PICTURE), padding=False)
            shown = gr.Image(label="Boxes", visible=False, height=440, buttons=["fullscreen", "download"])
    table = gr.Dataframe(headers=list(BOX_HEADS), label="Boxes, in pixels", visible=False, interactive=False)
    for event in (chosen.change, least.release):
        event(
            lambda path, score: boxes_of(detector, path, score),
            [chosen, least],
            [summary, shown, table],
            show_progress="minimal",
            concurrency_limit=2,
            api_visibility="private",
        )


def _picture_tab(demo: Demo, name: gr.Dropdown, limit: gr.Slider, switched: Dependency) -> None:
    with gr.Row():
        with gr.Column():
            chosen = gr.Image(type="filepath", label="Picture", sources=["upload", "clipboard"], height=440)
            chosen.preprocess = path_of  # type: ignore[method-assign]  # `decode_frame` says what is wrong with a file
            gr.Examples([[str(path)] for path in sorted(EXAMPLES.glob("*.jpg"))], chosen, label="Examples (rendered)")
        with gr.Column():
            verdict = gr.HTML(card("<p>Choose a picture, or one of the examples.</p>"), padding=False)
            seen = gr.Image(
                label="Orange: speaks for a turn. Blue outline: hands",
                visible=False,
                height=440,
                buttons=["fullscreen"],
            )
    inputs, outputs = [chosen, name, limit], [verdict, seen]
    for event in (chosen.change, limit.release, switched.then):  # once the model's own threshold is set
        event(demo.picture, inputs, outputs, show_progress="minimal", concurrency_limit=2, api_visibility="private")


def _film_tab(demo: Demo, name: gr.Dropdown, limit: gr.Slider) -> None:
    with gr.Row():
        with gr.Column():
            chosen = gr.Video(label="Film", sources=["upload"], height=440)
            gr.Examples([[str(path)] for path in EXAMPLES.glob("*.mp4")], chosen, label="Example (rendered)")
        with gr.Column():
            start = gr.Button("Find the pages", variant="primary")
            cancel = gr.Button("Cancel", variant="stop", visible=False)
            status = gr.HTML(card("<p>Choose a film, or the example.</p>"), padding=False)
            with gr.Row():
                pdf = gr.DownloadButton("Pages as PDF", visible=False, variant="primary")
                table = gr.DownloadButton("Table of turns (CSV)", visible=False)
    timeline = gr.Image(label="Timeline", show_label=False, visible=False, buttons=["fullscreen", "download"])
    pages = gr.Gallery(label="Pages", visible=False, columns=4, height="auto", object_fit="contain")
    heads = ["Turn", "Begin", "End", "Probability", "Kind"]
    turns = gr.Dataframe(headers=heads, label="Turns", visible=False, interactive=False)
    start.click(
        demo.film,
        [chosen, name, limit],
        [status, start, cancel, timeline, turns, pages, pdf, table],
        show_progress="hidden",
        concurrency_limit=1,
        api_visibility="private",
    )
    cancel.click(demo.stop, queue=False, api_visibility="private")


def _live_tab(demo: Demo, name: gr.Dropdown, limit: gr.Slider) -> None:
    selected = gr.State(None)
    wanted = {"video": {"facingMode": "environment", "width": {"ideal": 1920}, "height": {"ideal": 1080}}}
    with gr.Row():
        with gr.Column():
            camera = gr.Image(
                sources=["webcam"],
                streaming=True,
                label="Camera",
                height=440,
                elem_id="camera",
                webcam_options=gr.WebcamOptions(mirror=False, constraints=wanted),
            )
        with gr.Column():
            state = gr.HTML(
                card("<p>Open the camera, press Record, and turn the pages: each spread is captured by itself.</p>"),
                padding=False,
            )
            with gr.Row():
                write = gr.Button("Make the PDF", variant="primary")
                pdf = gr.DownloadButton("Download the PDF", visible=False, variant="primary")
                remove = gr.Button("Remove the selected page")
                again = gr.Button("Start again")
    pages = gr.Gallery(label="Pages", columns=4, height="auto", object_fit="contain", interactive=False)
    shown = [pages, pdf]
    camera.stream(
        demo.frame,
        [camera, name, limit],
        [state, *shown],
        stream_every=FRAME_S,
        time_limit=KEEP_S,
        concurrency_limit=MOST_CAMERAS,
        show_progress="hidden",
        api_visibility="private",
    )

    def position(event: gr.SelectData) -> Any:
        return event.index

    pages.select(position, None, selected, show_progress="hidden", api_visibility="private")
    remove.click(demo.remove, selected, [*shown, selected], show_progress="hidden", api_visibility="private")
    write.click(demo.pdf, None, pdf, api_visibility="private")
    again.click(demo.start_again, None, [state, *shown], show_progress="hidden", api_visibility="private")


def launch(model: str | None, threshold: float | None, host: str, port: int) -> None:
    """Serve the demo until Ctrl-C or SIGTERM.

    Raises:
        ConfigError: if the address cannot be used.
        ModelError: if the model cannot be loaded.
    """
    with tempfile.TemporaryDirectory(prefix="flipdetect-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        page = build(model, threshold, Path(folder))
        page.queue(max_size=40)
        try:
            page.launch(
                server_name=host,
                server_port=port or None,
                share=False,
                max_file_size=MOST_BYTES,
                show_error=True,
                quiet=True,
                prevent_thread_lock=True,
                footer_links=[],
                css=CSS,
                theme=THEME,
            )
            logger.info("The demo is at %s; Ctrl-C ends it", page.local_url)
            threading.Event().wait()
        except OSError as error:
            raise ConfigError(
                f"the demo cannot listen on {host} port {port}: {error}; choose another --port"
            ) from error
        finally:
            page.close(verbose=False)
