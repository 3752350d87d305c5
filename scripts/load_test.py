"""Load and broken bodies for `flipdetect serve`, next to the engine alone; results stand in docs/guides/service.md.

python scripts/load_test.py load --frames FOLDER [--model NAME] [--seconds 20] [--rounds 2]     needs npx autocannon
python scripts/load_test.py broken --frames FOLDER [--count 2000]
python scripts/load_test.py memory --frames FOLDER [--model NAME] [--count 20000]
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count as count_from
from itertools import cycle
from pathlib import Path
from statistics import linear_regression
from typing import Annotated

import requests
from tabulate import tabulate
from typer import Option, Typer

from flipdetect.apps.batch import PartScorer
from flipdetect.apps.batch_parts import Part
from flipdetect.inference.resolve import resolve_model

CLIENTS = (1, 8, 64)
SIDE_BY_SIDE = 8
"""Clients at which the service is compared with the engine alone."""
BOUNDARY = "load"
POINTS, PER_REQUEST, PER_PART = 5, 20, 1000
"""Measurements of memory, and pictures of a request and of a part of `flipdetect batch` meanwhile."""

app = Typer()
Folder = Annotated[Path, Option(help="folder with JPEG files")]


@contextmanager
def serving(model: str, *options: str) -> Iterator[str]:
    """The address of a service of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "flipdetect", "serve", "--port", "0", "--model", model, "--jobs", folder]
        log = Path(folder) / "log"
        with log.open("w") as file:
            process = subprocess.Popen([*command, *options], stderr=file)
        try:
            while not (found := re.search(r"Listening on (\S+)", log.read_text())):
                if process.poll() is not None:
                    raise SystemExit(f"the service did not start: {log.read_text()}")
                time.sleep(0.1)
            yield found[1]
        finally:
            process.terminate()
            process.wait()


def form(field: str, name: str, content: bytes) -> bytes:
    """A multipart body with one file."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


def resident_mb(url: str) -> float:
    """Resident memory of the service, megabytes."""
    found = re.search(r"^process_resident_memory_bytes (\S+)", requests.get(f"{url}/metrics", timeout=60).text, re.M)
    assert found
    return float(found[1]) / 1e6


def engine_alone(model: str, files: list[Path], seconds: float) -> float:
    """Pictures per second of `flipdetect predict`'s own loop, which decodes and scores on all cores."""
    from flipdetect.inference.load import load_model
    from flipdetect.inference.score import Predictor

    loaded = load_model(model, threads=1)
    predictor = Predictor(loaded, loaded.threshold)
    list(predictor.predict(files[:8], Path()))
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        count += sum(len(batch) for batch in predictor.predict(files, Path()))
    return count / (time.perf_counter() - start)


def hammer(url: str, body: Path, clients: int, seconds: float) -> dict[str, float]:
    """What autocannon says of one picture per request."""
    command = [
        "npx", "--yes", "autocannon", "--json", "-c", clients, "-d", seconds, "-t", 120, "-m", "POST", "-i", body,
        "-H", "content-type=application/json", f"{url}/predict",
    ]  # fmt: skip
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    latency = said["latency"]
    bad = said["non2xx"] + said["errors"]
    return {"rate": said["2xx"] / said["duration"], "p50": latency["p50"], "p99": latency["p99"], "bad": bad}


@app.command()
def load(frames: Folder, model: str = "ensemble", seconds: float = 20, rounds: int = 2) -> None:
    """Print throughput and latency at 1, 8 and 64 clients, the ratio to the engine alone, and memory."""
    files = sorted(frames.rglob("*.jpg"))[:64]
    rows, ratios, memory = [], [], []
    with serving(model, "--queue", "256") as url, tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body"
        picture = base64.b64encode(files[0].read_bytes()).decode()  # autocannon sends text only
        body.write_text(json.dumps({"pictures": [picture]}))
        same = [files[0]] * 64
        hammer(url, body, SIDE_BY_SIDE, 3)
        total = 0.0
        for number in range(rounds):
            for clients in CLIENTS:
                alone = engine_alone(model, same, seconds) if clients == SIDE_BY_SIDE else None
                found = hammer(url, body, clients, seconds)
                total += found["rate"] * seconds
                memory.append((total, resident_mb(url)))
                if alone is not None:
                    ratios.append(found["rate"] / alone)
                rows.append((number + 1, clients, found["rate"], found["p50"], found["p99"], found["bad"], alone))
    print(tabulate(rows, ("round", "clients", "pictures/s", "p50 ms", "p99 ms", "not 2xx", "engine alone/s"), "github"))
    print(f"service to engine alone at {SIDE_BY_SIDE} clients: {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
    print("resident MB after pictures:", ", ".join(f"{mb:.0f} ({count:.0f})" for count, mb in memory))


@app.command()
def memory(frames: Folder, model: str = "ensemble", count: int = 20_000) -> None:
    """Print the resident memory of the service, and of a worker of `flipdetect batch`, while they score pictures."""
    files = sorted(frames.glob("*.jpg"))
    sent = [
        ("pictures", (file.name, file.read_bytes())) for file, _ in zip(cycle(files), range(PER_REQUEST), strict=False)
    ]
    with serving(model) as url, requests.Session() as client:

        def request() -> float:
            client.post(f"{url}/predict", files=sent, timeout=600).raise_for_status()
            return resident_mb(url)

        print("service:", _five_points(request, count, PER_REQUEST))
    names = b"\0".join(os.fsencode(file.name) for file, _ in zip(cycle(files), range(PER_PART), strict=False))
    with tempfile.TemporaryDirectory() as folder:
        scorer = PartScorer(resolve_model(model), 0.5, "cpu", 1, folder, ".parquet")
        numbers = count_from()

        def part() -> float:
            done = scorer(vars(Part(next(numbers), str(files[0].parent), "", "", names)))
            assert not done["problem"], done
            return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6

        print("worker of batch:", _five_points(part, count, PER_PART))


def _five_points(score: Callable[[], float], count: int, at_a_time: int) -> str:
    """Score so many pictures; megabytes at five points, and the slope from the second on."""
    points: list[tuple[int, float]] = []
    for done in range(at_a_time, count + 1, at_a_time):
        now = score()
        if done * POINTS >= count * (len(points) + 1):
            points.append((done, now))
    x, y = zip(*points[1:], strict=True)
    said = ", ".join(f"{mb:.1f} MB after {done:,}" for done, mb in points)
    return f"{said}; slope {1e4 * linear_regression(x, y).slope:+.2f} MB per 10,000 pictures"


def break_body(body: bytes, rng: random.Random) -> bytes:
    """A body with one to four damages: cut, changed, doubled, removed or inserted bytes."""
    data = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        place, length = rng.randrange(len(data) + 1), rng.randint(1, 64)
        match rng.randrange(5):
            case 0:
                del data[place:]
            case 1:
                data[place : place + length] = rng.randbytes(length)
            case 2:
                data[place:place] = data[place : place + length]
            case 3:
                del data[place : place + length]
            case 4:
                data[place:place] = rng.choice([b"\x00", b"\r\n", b"--" + BOUNDARY.encode(), b'"', b"\xff" * 8])
    return bytes(data)


def send_broken(url: str, jpeg: bytes, film: bytes, count: int) -> Counter[int]:
    """Send broken bodies; returns the number of answers by status."""
    rng = random.Random(0)  # noise  # nosec B311
    statuses: Counter[int] = Counter()
    multipart = f"multipart/form-data; boundary={BOUNDARY}"
    valid = [
        ("/predict", multipart, form("pictures", "a.jpg", jpeg)),
        ("/predict", "application/json", b'{"pictures": ["/9j/4AAQSkZJRgABAQ=="]}'),
        ("/predict", multipart, form("pictures", "a.jpg", b"")),
        ("/videos", multipart, form("film", "a.mp4", film)),
    ]
    client = requests.Session()
    for _ in range(count):
        path, kind, body = rng.choice(valid)
        kind = kind if rng.random() < 0.9 else break_body(kind.encode(), rng).decode("latin-1").strip()
        kind = re.sub(r"[\r\n\x00]", "", kind)
        answer = client.post(url + path, data=break_body(body, rng), headers={"Content-Type": kind}, timeout=120)
        statuses[answer.status_code] += 1
    return statuses


@app.command()
def broken(frames: Folder, model: str = "ensemble", count: int = 2000) -> None:
    """Print how broken bodies are answered, and the health after them."""
    jpeg = next(frames.rglob("*.jpg")).read_bytes()
    with serving(model) as url:
        statuses = send_broken(url, jpeg, jpeg, count)
        print(dict(sorted(statuses.items())), requests.get(f"{url}/health", timeout=60).json())


if __name__ == "__main__":
    app()
