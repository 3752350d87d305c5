"""The page that scans on the phone itself, in Chromium with a camera that shows a film."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from flipdetect.apps.phone_page import DIST, page_server
from flipdetect.errors import FlipdetectError
from flipdetect.inference.load import load_model
from flipdetect.sources.image import decode_frame

WEB = DIST.parent
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PHONE = {"width": 390, "height": 844}
FPS = 15
PATIENCE_MS = 120_000
"""For a machine that does much else."""

Frame = np.ndarray
Opener = Callable[..., Any]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The page, built if the tools for it are there, from a server."""
    if not (DIST / "index.html").is_file():
        if shutil.which("node") is None or not (WEB / "node_modules").is_dir():
            pytest.skip("the page is not built: make web")
        subprocess.run([sys.executable, "scripts/web_models.py"], cwd=WEB.parent, check=True)
        subprocess.run(["node", "build.js"], cwd=WEB, check=True)
    server = page_server("127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def write_y4m(path: Path, frames: Sequence[Frame], fps: int = FPS) -> Path:
    """Frames (H, W, 3) uint8 RGB of one size, height and width even, as Chromium's fake camera takes them."""
    height, width = frames[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            file.write(b"FRAME\n" + cv2.cvtColor(frame, cv2.COLOR_RGB2YUV_I420).tobytes())
    return path


@contextmanager
def browser(film: Path | None = None) -> Iterator[Any]:
    """Chromium whose camera shows a film over and over."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    arguments = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    if film is not None:
        arguments.append(f"--use-file-for-fake-video-capture={film}")
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


def open_page(chromium: Any, address: str, model: str = "tiny_cnn", **context: Any) -> Any:
    page = chromium.new_context(viewport=PHONE, **context).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}?model={model}")
    page.wait_for_selector("#begin:enabled")
    return page


def score(page: Any, frame: Frame) -> dict[str, float]:
    """What the page makes of a frame (H, W, 3) uint8 RGB that it is given as PNG."""
    png = io.BytesIO()
    Image.fromarray(frame).save(png, "png", compress_level=1)
    return page.evaluate(
        """async (png) => {
            const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
            const settings = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
            const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), settings);
            const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
            context.drawImage(bitmap, 0, 0);
            return flipdetect.score(context.getImageData(0, 0, bitmap.width, bitmap.height));
        }""",
        base64.b64encode(png.getvalue()).decode(),
    )


def assert_no_violations(page: Any) -> None:
    page.evaluate((WEB / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [f"{each['id']}: {each['nodes'][0]['html']}" for each in found] == []


def test_the_server_sends_the_page_compressed_and_isolated(address: str) -> None:
    request = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert answer.headers["Content-Type"] == "text/html"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address}../../pyproject.toml")


def test_a_page_that_was_not_built_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FlipdetectError, match="make web"):
        page_server("127.0.0.1", 0, tmp_path)


@pytest.mark.realdev
def test_probabilities_are_those_of_python(address: str, realdev: Path) -> None:
    paths = sorted(realdev.glob("frames/*/*.jpg")) + sorted(realdev.glob("tiles/*/*.jpg"))
    frames = [decode_frame(path) for path in paths[:: len(paths) // 5]][:5]
    with browser() as chromium:
        for name, fast in (("ensemble", True), ("tiny_cnn", False)):
            model, page = load_model(name, threads=1, fast=fast), open_page(chromium, address, name)
            found = [score(page, frame)["probability"] for frame in frames]
            assert found == pytest.approx(model.predict(frames, batch_size=1).tolist(), abs=0.01)
