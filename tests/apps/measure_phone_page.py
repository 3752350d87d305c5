"""Measure the phone page in Chromium: `python -m tests.apps.measure_phone_page RECORDING`.

RECORDING: a folder of `flipdetect render --recording`. Printed are the size of the download, the frames scored per
second, the turns counted and the spreads captured while the camera shows the recording. `--slow 4` shows the recording
four times as slowly to a page whose clock runs as slowly: for a machine that does much else.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import json
import tempfile
import threading
import urllib.request
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from flipdetect.apps.phone_page import DIST, page_server
from flipdetect.sources.image import decode_frame
from tests.apps.test_phone_page import SLOW_CLOCK, browser, open_page, write_y4m

PICTURES = """async () => {
    const request = indexedDB.open("flipdetect");
    const database = await new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const all = database.transaction("spreads").objectStore("spreads").getAll();
    const spreads = await new Promise((resolve) => (all.onsuccess = () => resolve(all.result)));
    const text = (blob) => new Promise((resolve) => {
        const reader = new FileReader();
        reader.onload = () => resolve(reader.result.split(",")[1]);
        reader.readAsDataURL(blob);
    });
    return Promise.all(spreads.map(({ blob }) => text(blob)));
}"""
CLEAR_OF_HANDS, AS_SHARP = 0.02, 0.9
"""Share of the pages under hands up to which a picture is clear of them; sharpness relative to the median at rest."""


def small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (54, 96), interpolation=cv2.INTER_AREA).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("recording", type=Path)
    parser.add_argument("--slow", type=int, default=1)
    parser.add_argument("--model", default="tiny_cnn")
    arguments = parser.parse_args()
    rows = list(csv.DictReader((arguments.recording / "truth.csv").open(encoding="utf-8")))
    events = list(csv.DictReader((arguments.recording / "events.csv").open(encoding="utf-8")))
    config = json.loads((arguments.recording / "recording.json").read_text(encoding="utf-8"))["config"]
    frames = [decode_frame(arguments.recording / row["path"]) for row in rows]
    server = page_server("127.0.0.1", 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    with tempfile.TemporaryDirectory() as folder:
        film = write_y4m(Path(folder) / "film.y4m", frames, f"{config['fps']:g}:{arguments.slow}")
        with browser(film) as chromium:
            page = open_page(chromium, address, arguments.model, script=SLOW_CLOCK.format(slow=arguments.slow))
            page.click("#begin")
            page.wait_for_selector("#scan:not([hidden])")
            page.wait_for_timeout(1000 * config["seconds"] * arguments.slow)
            scan = page.evaluate("flipdetect.scan")
            pictures = page.evaluate(PICTURES)
    usual = np.median([float(row["sharpness"]) for row in rows if row["label"] == "notflip"])
    known = np.stack([small(frame) for frame in frames])
    found = []
    for picture in pictures:
        seen = small(np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))))
        found.append(rows[int(np.abs(known - seen).mean(axis=(1, 2, 3)).argmin())])
    good = [
        row
        for row in found
        if float(row["occlusion"]) <= CLEAR_OF_HANDS and float(row["sharpness"]) >= AS_SHARP * usual
        and row["label"] == "notflip"
    ]  # fmt: skip
    completed = sum(event["completed"] == "true" for event in events)
    print(f"download: {download(address) / 1e6:.1f} MB compressed")
    print(
        f"model {scan['model']}, {scan['threads']} threads; {scan['frames']} frames scored, {scan['rate']:.1f} a second"
    )
    print(
        f"turns: {scan['turns']} counted; {completed} pages turned, {len(events) - completed} lifted and dropped again"
    )
    print(f"spreads: {len(found)} captured, {len(good)} of them sharp, at rest and clear of hands")
    print(f"shown, in order of capture: {' '.join(row['spread'] for row in found)}")
    server.shutdown()


def download(address: str) -> int:
    """Bytes that the first visit loads, as sent, with every model."""
    sizes = []
    for path in DIST.iterdir():
        request = urllib.request.Request(address + path.name, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as answer:
            sizes.append(len(answer.read()))
    return sum(sizes)


if __name__ == "__main__":
    main()
