"""A service as a process of its own, as `flipdetect serve` starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

WAIT_S = 120


class Served:
    """A running service on a port of its own; ends with the block."""

    def __init__(self, folder: Path, *options: str, key: str | None = None) -> None:
        self.folder = folder
        command = [sys.executable, "-m", "flipdetect", "serve", "--port", "0", "--model", "tiny_cnn", "--jobs"]
        environment = {name: value for name, value in os.environ.items() if name != "FLIPDETECT_API_KEY"}
        if key:
            environment["FLIPDETECT_API_KEY"] = key
        self.log = folder.parent / f"{folder.name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([*command, str(folder), *options], stderr=log, env=environment)
        while not (found := re.search(r"Listening on \S+:(\d+)", self.log.read_text())):
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.05)
        self.url = f"http://127.0.0.1:{found[1]}"
        self.client = requests.Session()
        if key:
            self.client.headers["Authorization"] = f"Bearer {key}"

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def get(self, path: str) -> requests.Response:
        return self.client.get(self.url + path, timeout=WAIT_S)

    def predict(self, *files: tuple[str, bytes]) -> requests.Response:
        return self.client.post(f"{self.url}/predict", files=[("pictures", file) for file in files], timeout=WAIT_S)

    def add(self, film: Path) -> requests.Response:
        with film.open("rb") as file:
            return self.client.post(f"{self.url}/videos", files={"film": file}, timeout=WAIT_S)

    def wait(self, job: str, *states: str) -> dict:
        """The job, once it is in one of these states."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            status = self.get(f"/jobs/{job}").json()
            if status["state"] in states:
                return status
            assert status["state"] in ("queued", "running"), status
            time.sleep(0.1)
        raise AssertionError(f"{status} after {WAIT_S} s")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; returns the exit status."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)
