"""The page that scans on the phone itself, in Chromium with a camera that shows a film."""

from __future__ import annotations

import base64
import io
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pikepdf
import pytest
from filelock import FileLock
from PIL import Image

from flipdetect.apps.phone_page import DIST, page_server
from flipdetect.errors import ConfigError
from flipdetect.inference.load import load_model
from flipdetect.inference.model import Model, prepare_frame
from flipdetect.sources.image import decode_frame
from flipdetect.stills.quality import FrameMeter
from tests.frame_sets import page_frame

WEB = DIST.parent
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PHONE = {"width": 390, "height": 844}
FPS = 15
PATIENCE_MS = 120_000
"""For a machine that does much else."""
SLOW_CLOCK = "const now = performance.now.bind(performance); performance.now = () => now() / {slow};"
REFUSED_CAMERA = """navigator.mediaDevices.getUserMedia = () =>
    Promise.reject(new DOMException("Permission denied", "NotAllowedError"));"""

STEPPED_CAMERA = """
    let place = 0;
    performance.now = () => (1000 * place) / %(fps)g;
    navigator.mediaDevices.getUserMedia = async () => {
        const canvas = document.createElement("canvas");
        const stream = canvas.captureStream(0);
        const show = async () => {
            for (; place < %(frames)d; place++) {
                const bitmap = await createImageBitmap(await (await fetch(`film/${place}`)).blob());
                [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
                const seen = flipdetect.scan.frames;
                for (let wait = 0; flipdetect.scan.frames === seen; wait++) {
                    if (wait %% 100 === 0) {  // again, if the page did not look yet when it was shown
                        canvas.getContext("2d").drawImage(bitmap, 0, 0);
                        stream.getVideoTracks()[0].requestFrame();
                    }
                    await new Promise((resolve) => setTimeout(resolve, 10));
                }
            }
            document.documentElement.dataset.film = "over";
        };
        show();
        return stream;
    };
"""
"""A camera that shows the next frame when the page has scored the one before, and a clock that goes with it: what the
page does is the same however busy the machine is."""

NOTED_SIGNALS = """
    self.given = [];
    navigator.vibrate = (pattern) => given.push(`vibration of ${pattern}`);
    speechSynthesis.speak = ({ text }) => given.push(text);
    self.OscillatorNode = class extends OscillatorNode {
        constructor(context, options) {
            super(context, options);
            given.push(`${options.frequency} Hz`);
        }
    };
"""

Frame = np.ndarray


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """Node.js, with the models and facts of the page in their place, for one process at a time."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("there is no Node.js: apt-get install nodejs npm")
    with FileLock(WEB / "generated.lock"):
        subprocess.run([sys.executable, "scripts/web_models.py"], cwd=WEB.parent, check=True)
        yield program


@pytest.fixture(scope="module")
def address(node: str) -> Iterator[str]:
    """The page, built anew, from a server."""
    if not (WEB / "node_modules").is_dir():
        pytest.skip("the packages of the page are not installed: make web")
    subprocess.run([node, "build.js"], cwd=WEB, check=True)
    server = page_server("127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    thread.join()
    server.server_close()


def write_y4m(path: Path, frames: Sequence[Frame], fps: str = f"{FPS}:1") -> Path:
    """Frames (H, W, 3) uint8 RGB of one size, height and width even, as Chromium's fake camera takes them."""
    height, width = frames[0].shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps} Ip A1:1 C420jpeg\n".encode())
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


def open_page(chromium: Any, address: str, model: str = "tiny_cnn", script: str = "", **context: Any) -> Any:
    page = chromium.new_context(**{"viewport": PHONE, **context}).new_page()
    page.add_init_script(script)
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}?model={model}")
    page.wait_for_selector("#begin:enabled")
    return page


def png_of(frame: Frame) -> bytes:
    png = io.BytesIO()
    Image.fromarray(frame).save(png, "png", compress_level=1)
    return png.getvalue()


def score(page: Any, frame: Frame) -> dict[str, float]:
    """What the page makes of a frame (H, W, 3) uint8 RGB that it is given as PNG."""
    return page.evaluate(
        """async (png) => {
            const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
            const settings = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
            const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), settings);
            const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
            context.drawImage(bitmap, 0, 0);
            return flipdetect.score(context.getImageData(0, 0, bitmap.width, bitmap.height));
        }""",
        base64.b64encode(png_of(frame)).decode(),
    )


def assert_no_violations(page: Any) -> None:
    page.evaluate((WEB / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    assert [f"{each['id']}: {each['nodes'][0]['html']}" for each in found] == []


def test_the_sequences_of_the_detectors_and_of_live_capture_pass_in_javascript(node: str) -> None:
    run = subprocess.run([node, "--test"], cwd=WEB, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    assert "# fail 0" in run.stdout


def test_the_server_isolates_the_page(address: str) -> None:
    with urllib.request.urlopen(address) as answer:
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        assert answer.headers["Content-Type"] == "text/html"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address}../../pyproject.toml")


def test_a_page_that_was_not_built_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make web"):
        page_server("127.0.0.1", 0, tmp_path)


def coverage_of(model: Model, frame: np.ndarray) -> float:
    """Share of the pages in a frame that hands cover."""
    _, maps = model.predict_with_maps(prepare_frame(model.preprocess, frame)[np.newaxis])
    assert maps is not None
    coverage = FrameMeter()(frame, model.preprocess.unplace(maps[0], *frame.shape[:2])).coverage
    assert coverage is not None
    return coverage


@pytest.mark.realdev
def test_probabilities_and_hands_are_those_of_python(address: str, realdev: Path) -> None:
    paths = sorted(realdev.glob("frames/*/*.jpg")) + sorted(realdev.glob("tiles/*/*.jpg"))
    frames = [decode_frame(path) for path in paths[:: len(paths) // 5]][:5]
    with browser() as chromium:
        # The roundings of two runtimes differ, and 8-bit layers make more of them.
        for name, error in (("ensemble", 0.05), ("tiny_cnn", 0.001)):
            model, page = load_model(name, threads=1, fast=True), open_page(chromium, address, name)
            found = [score(page, frame) for frame in frames]
            known = model.predict(frames, batch_size=1).tolist()
            assert [one["probability"] for one in found] == pytest.approx(known, abs=error)
            covered = [coverage_of(model, frame) for frame in frames]
            assert [one["hands"] for one in found] == pytest.approx(covered, abs=0.02)


@pytest.mark.realdev
def test_turns_of_a_real_book_are_counted(address: str, realdev: Path) -> None:
    paths = sorted(realdev.glob("frames/flip/0003_*.jpg"))[::2]
    assert len(paths) > 10
    rest, *turn = (
        cv2.resize(decode_frame(path), (360, 640), interpolation=cv2.INTER_AREA)
        for path in (realdev / "frames/notflip/0001_000000001.jpg", *paths)
    )
    frames = [*[rest] * 16, *turn, *[rest] * 12, *turn, *[rest] * 10]
    with browser() as chromium:
        script = STEPPED_CAMERA % {"frames": len(frames), "fps": 7.5}
        page = open_page(chromium, address, script=script, service_workers="block")
        page.route("**/film/*", lambda route: route.fulfill(body=png_of(frames[int(route.request.url.split("/")[-1])])))
        page.click("#begin")
        page.wait_for_selector("html[data-film=over]", state="attached", timeout=5 * PATIENCE_MS)
        assert page.evaluate("flipdetect.scan.turns") == 2
        assert page.inner_text("#count") == "3"


@pytest.mark.parametrize(
    ("after", "signals"),
    [
        (0, ("Spread 1.", "vibration of 120", "880 Hz", "Turn the page.", "vibration of 40,60,40", "523 Hz")),
        (
            60,
            ("Spread 1.", "No book in the picture. Move the book or the camera.", "vibration of 250,100,250", "196 Hz"),
        ),
    ],
)
def test_captures_turns_and_warnings_are_spoken_heard_and_felt(
    address: str, after: int, signals: tuple[str, ...]
) -> None:
    frames = [*[page_frame(False, 1, 480)] * 20, *[np.full((480, 270, 3), 20, np.uint8)] * after]
    with browser() as chromium:
        script = STEPPED_CAMERA % {"frames": len(frames), "fps": 7.5} + NOTED_SIGNALS
        page = open_page(chromium, address, script=script, service_workers="block")
        page.route("**/film/*", lambda route: route.fulfill(body=png_of(frames[int(route.request.url.split("/")[-1])])))
        page.click("#begin")
        for signal in signals:
            page.wait_for_function("(signal) => given.includes(signal)", arg=signal)


def test_a_book_is_scanned_kept_and_saved_without_a_network(address: str, tmp_path: Path) -> None:
    film = write_y4m(tmp_path / "film.y4m", [page_frame(False, 1, 480)] * 4)
    with browser(film) as chromium:
        page = open_page(chromium, address, color_scheme="dark")
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        assert_no_violations(page)

        # The spread is captured by itself; the button takes it again.
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("#count:text('1')")
        page.wait_for_selector("#headline:text('Turn the page')")
        assert_no_violations(page)
        page.click("#take")
        page.keyboard.press("Escape")
        page.wait_for_selector("#gallery:not([hidden])")
        assert page.inner_text("#title") == "1 spread"

        # What was captured is still there after a reload without a network.
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.context.set_offline(True)
        page.reload()
        page.wait_for_selector("#begin:enabled")
        page.click("#open-gallery")
        page.wait_for_selector("#spreads li")
        assert_no_violations(page)

        # Deleted and brought back, and taken again.
        page.click("[aria-label='Delete spread 1']")
        page.wait_for_selector("#empty:visible")
        page.click("#undo-button")
        page.wait_for_selector("#spreads li")
        page.click("[aria-label='Retake spread 1']")
        page.wait_for_selector("#headline:text('Find the spread')")
        page.click("#take")
        page.wait_for_selector("#spreads li")

        # Saved: a page in the picture's shape.
        with page.expect_download() as download:
            page.click("#save")
        with pikepdf.open(download.value.path()) as document:
            (only,) = document.pages
            assert [float(value) for value in only.mediabox] == pytest.approx([0, 0, 473.55, 841.89], abs=0.1)
            assert pikepdf.PdfImage(only.get_images()["/Im0"]).as_pil_image().size == (270, 480)
        page.click("#clear")
        page.click("#confirm [value=yes]")
        page.wait_for_selector("#start:not([hidden])")
        assert problems == []


def test_a_camera_that_may_not_be_used_is_explained(address: str) -> None:
    with browser() as chromium:
        page = open_page(chromium, address, script=REFUSED_CAMERA)
        page.click("#begin")
        page.wait_for_selector("#error:text('allow it in the settings')")
        assert_no_violations(page)
