"""`flipdetect demo`: pictures, films and a camera in the browser."""

from __future__ import annotations

from typing import Annotated

import typer

from flipdetect.cli.options import Model, Threshold
from flipdetect.errors import require_extra


def demo(
    model: Model = None,
    threshold: Threshold = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any that is free.")] = 7860,
) -> None:
    """Try it in the browser: a picture, a film, or the book under a camera.

    Browsers open a camera on localhost and over HTTPS only.

    Examples: flipdetect demo; flipdetect demo --model tiny_cnn --port 8080
    """
    require_extra("demo", "gradio", "matplotlib")
    from flipdetect.apps.demo import launch

    launch(model, threshold, host, port)
