"""The demo as people use it: the command, and headless Chromium with a camera that plays a recording."""

import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import yaml

from flipdetect.inference.load import load_model
from flipdetect.inference.occlusion import occlusion_map
from flipdetect.sources.image import decode_frame
from flipdetect.sources.video import open_video
from tests.conftest import REPOSITORY
from tests.sources.films import write

pytest.importorskip("gradio", reason="needs the extra demo")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
EXAMPLES = Path(__file__).resolve().parents[2] / "flipdetect" / "apps" / "examples"
TURNS = 4
"""In the example film, by hand."""
PATIENCE_MS = 120_000

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example film as raw video (YUV4MPEG2), which Chromium plays in the place of a camera."""
    path = tmp_path_factory.mktemp("camera") / "film.y4m"
    with open_video(EXAMPLES / "film.mp4", stride=1) as reader, path.open("wb") as file:
        for number, frame in enumerate(reader):
            height, width = frame.image.shape[:2]
            if number == 0:
                file.write(f"YUV4MPEG2 W{width} H{height} F8:1 Ip A1:1 C420jpeg\n".encode())
            planes = av.VideoFrame.from_ndarray(frame.image, "rgb24").reformat(format="yuv420p").to_ndarray()
            file.write(b"FRAME\n" + planes.tobytes())
    return path


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of `flipdetect demo`; its temporary files are gone when it has ended."""
    temporary = tmp_path_factory.mktemp("temporary")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "flipdetect", "demo", "--model", "ensemble", "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        line = next((line for line in process.stderr if "The demo is at" in line), "")
        yield re.findall(r"http://\S+?/", line)[0]
    finally:
        process.terminate()
        assert process.wait(60) == 130
    assert list(temporary.glob("flipdetect-demo-*")) == []


@pytest.fixture
def page(address: str, camera: Path) -> Iterator[Any]:
    arguments = [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
    ]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        page = browser.new_context(permissions=["camera"]).new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        yield page
        browser.close()


@needs_chromium
def test_a_picture_gets_a_label_and_a_wrong_file_an_error(page: Any, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.jpg"
    wrong.write_bytes(b"\xff\xd8 this is no picture")
    upload = page.locator("input[type=file]").first
    upload.set_input_files(EXAMPLES / "turn.jpg")
    page.get_by_text("A page is being turned").wait_for()
    page.get_by_label("Remove Image").first.click()
    page.get_by_text("Choose a picture").first.wait_for()
    page.locator("input[type=file]").first.set_input_files(wrong)
    page.get_by_text("wrong.jpg").first.wait_for()


@needs_chromium
def test_a_film_gives_pages_and_a_pdf(page: Any, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Film").click()
    page.locator("input[type=file][accept*=video]").first.set_input_files(EXAMPLES / "film.mp4")
    page.get_by_role("button", name="Find the pages").click()
    page.get_by_role("heading", name=f"{TURNS} turns").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Pages as PDF").click()
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")


@needs_chromium
def test_a_film_is_cancelled_and_what_is_none_has_an_error(page: Any, tmp_path: Path) -> None:
    page.get_by_role("tab", name="Film").click()
    page.locator("input[type=file][accept*=video]").first.set_input_files(long_film(tmp_path / "long.mp4"))
    page.get_by_role("button", name="Find the pages").click()
    page.get_by_text(re.compile("Reading long.* left")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("Cancelled.").wait_for()
    page.get_by_role("button", name="Find the pages").wait_for()

    (tmp_path / "none.mp4").write_bytes(b"no film")
    page.get_by_label("Clear").first.click()
    page.locator("input[type=file][accept*=video]").first.set_input_files(tmp_path / "none.mp4")
    page.get_by_role("button", name="Find the pages").click()
    page.get_by_text("This film cannot be used").wait_for()


@needs_chromium
def test_model_and_threshold_are_chosen(page: Any) -> None:
    page.get_by_role("button", name="Model and threshold").click()
    page.locator("input[type=file]").first.set_input_files(EXAMPLES / "turn.jpg")
    page.get_by_text("A page is being turned").wait_for()
    page.locator("#limit input[type=number]").fill("0.99")
    page.locator("#limit input[type=number]").blur()
    page.get_by_text("threshold 99%").first.wait_for()

    page.locator("#model input").click()
    page.get_by_role("option", name="tiny_cnn").click()
    threshold = load_model("tiny_cnn", threads=1).threshold
    page.get_by_text(f"threshold {threshold:.0%}").first.wait_for()


def long_film(path: Path) -> Path:
    """The example over and over: four minutes."""
    with open_video(EXAMPLES / "film.mp4", stride=1) as reader:
        frames = [frame.image for frame in reader]
    return write(path, (frame for _ in range(20) for frame in frames), rate=8)


@needs_chromium
def test_the_camera_counts_turns_and_captures_spreads(page: Any) -> None:
    page.get_by_role("tab", name="Live").click()
    page.get_by_text("Click to Access Webcam").click()
    page.locator("#camera").get_by_text("Record", exact=True).click()
    page.get_by_text(re.compile("[2-9] *turns")).first.wait_for()
    page.get_by_text(re.compile("[2-9] *pages captured")).first.wait_for()
    page.get_by_role("button", name="Make the PDF").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the PDF").click()
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")


@needs_chromium
def test_files_of_the_machine_are_not_served(address: str) -> None:
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{address}gradio_api/file=/etc/passwd")


def test_the_space_starts_the_demo_with_the_gradio_that_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("flipdetect.apps.demo.launch", lambda **options: asked.update(options))
    space = REPOSITORY / "apps" / "space"
    runpy.run_path(str(space / "app.py"), run_name="__main__")
    assert asked == {"model": None, "threshold": None, "host": "0.0.0.0", "port": 7860}
    card = yaml.safe_load((space / "README.md").read_text("utf-8").split("---")[1])
    assert (space / card["app_file"]).is_file()
    assert f"gradio=={card['sdk_version']}" in (REPOSITORY / "constraints.txt").read_text("utf-8").splitlines()
    assert (space / "requirements.txt").read_text("utf-8").split() == ["flipdetect[demo]"]


def test_what_speaks_for_a_turn_is_the_lifted_page() -> None:
    model = load_model("tiny_cnn", threads=1)
    lost = occlusion_map(model, model.preprocess.load(EXAMPLES / "turn.jpg"))
    height, width = decode_frame(EXAMPLES / "turn.jpg").shape[:2]
    shown = model.preprocess.unplace(lost, height, width)
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert shown.max() > 1
    assert column >= shown.shape[1] // 3
    assert row >= 1
