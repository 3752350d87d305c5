"""The service as a process: pictures, films, limits, ends of every kind."""

import base64
import io
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import requests
from PIL import Image

import flipdetect
from flipdetect.cli.main import main
from tests.apps.serving import Served
from tests.conftest import REPOSITORY
from tests.frame_sets import page_frame
from tests.inference.looking import RATE
from tests.inference.looking import film as pages
from tests.scripts.loading import load_script
from tests.sources.films import write

pytestmark = pytest.mark.skipif(find_spec("fastapi") is None, reason="needs the extra [serve]")

KEY = "a-key-of-tests"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


PAGE = Image.fromarray(page_frame(True, 1, 512))
JPEG = encoded(PAGE, "JPEG", quality=95)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("service") / "jobs") as served:
        yield served


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of three spreads."""
    return write(tmp_path_factory.mktemp("films") / "my book.mp4", pages((1, 2, 3), rest_s=1.0), rate=RATE)


@pytest.fixture(scope="module")
def long_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that takes some seconds."""
    many = pages(range(1, 11), rest_s=1.2)
    return write(tmp_path_factory.mktemp("films") / "long.mp4", many, rate=RATE)


def test_pictures_of_all_kinds_in_one_request(service: Served) -> None:
    lying = PAGE.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = encoded(lying, "JPEG", quality=95, exif=exif)
    huge = encoded(Image.new("1", (20_000, 10_000)), "PNG")
    sent = {
        "page.jpg": JPEG, "page.png": encoded(PAGE, "PNG"), "rotated.jpg": rotated, "cut.jpg": JPEG[: len(JPEG) // 2],
        "huge.png": huge, "empty.jpg": b"", "text.jpg": b"no picture",
    }  # fmt: skip
    answer = service.predict(*sent.items())
    assert answer.status_code == 200
    scores = answer.json()
    model = flipdetect.load("tiny_cnn")
    assert (scores["model"], scores["threshold"]) == ("tiny_cnn", model.threshold)
    assert [picture["name"] for picture in scores["pictures"]] == list(sent)
    good, bad = scores["pictures"][:3], scores["pictures"][3:]
    for picture in good:
        expected = model.probabilities(model.preprocess.load(sent[picture["name"]])[np.newaxis])[0]
        assert picture["probability"] == pytest.approx(expected, abs=1e-5)
        assert picture["label"] == ("flip" if expected >= model.threshold else "notflip")
        assert picture["error"] == ""
    for picture, reason in zip(bad, ("cut short", "too many pixels", "no JPEG", "no JPEG"), strict=True):
        assert (picture["probability"], picture["label"]) == (None, None)
        assert reason in picture["error"]


def test_base64_gives_the_same_as_a_form(service: Served) -> None:
    body = {"pictures": [base64.b64encode(JPEG).decode()] * 2}
    answer = service.client.post(f"{service.url}/predict", json=body).json()
    form = service.predict(("a.jpg", JPEG)).json()
    assert [picture["name"] for picture in answer["pictures"]] == ["picture 1", "picture 2"]
    assert answer["pictures"][0]["probability"] == pytest.approx(form["pictures"][0]["probability"], abs=1e-6)


def test_requests_at_the_same_time(service: Served) -> None:
    alone = service.predict(("a.jpg", JPEG)).json()["pictures"][0]["probability"]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: service.predict(("a.jpg", JPEG)), range(48)))
    assert {answer.status_code for answer in answers} == {200}
    for answer in answers:
        assert answer.json()["pictures"][0]["probability"] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{", 422),
        ("application/json", b'{"pictures": []}', 422),
        ("application/json", b'{"pictures": ["%"]}', 422),
        ("application/json", b'{"pictures": [1], "more": 2}', 422),
        ("application/json", b'{"pictures": ["bm8gcGljdHVyZQ=="]}', 422),
        ("application/json", b"\xff\xfe", 422),
        ("application/json", b"[" * 100_000, 422),
        ("multipart/form-data", b"no boundary", 400),
        ("multipart/form-data; boundary=x", b"--x\r\nwrong", 422),
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422),
        ("text/plain", JPEG, 415),
        ("", JPEG, 415),
    ],
)
def test_wrong_bodies_are_refused(service: Served, kind: str, body: bytes, status: int) -> None:
    answer = service.client.post(f"{service.url}/predict", data=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text


def test_a_film_is_a_job(service: Served, book: Path) -> None:
    added = service.add(book)
    assert added.status_code == 202
    job = added.json()["id"]
    assert added.headers["Location"] == f"/jobs/{job}"
    status = service.wait(job, "done")
    assert (status["name"], status["progress"], status["notes"]) == ("my book.mp4", 1.0, [])
    result = status["result"]
    assert (result["video"], result["source"], result["complete"]) == ("my book", "my book.mp4", True)
    assert len(result["spreads"]) == len(result["events"]) + 1
    files = status["files"]
    assert len(files["stills"]) == sum(spread["same_as"] is None for spread in result["spreads"])
    for link, start in (
        (files["book"], b"%PDF"), (files["report"], b"<!"), (files["stills"][0], b"\xff\xd8"), (files["flips"], b"{"),
    ):  # fmt: skip
        answer = service.get(link)
        assert answer.status_code == 200
        assert answer.content.startswith(start)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in service.get(files["report"]).headers["Content-Security-Policy"]
    assert service.get(files["flips"]).json()["videos"] == [result]
    assert sorted(path.name for path in (service.folder / "jobs" / job).iterdir()) == ["results"]
    for wrong in ("none.jpg", "..%2F..%2F..%2Fjobs.sqlite", "%2Fetc%2Fpasswd"):
        assert service.get(f"/jobs/{job}/files/{wrong}").status_code == 404
    assert service.client.delete(f"{service.url}/jobs/{job}").status_code == 204
    assert service.get(f"/jobs/{job}").status_code == 404
    assert not (service.folder / "jobs" / job).exists()


def test_what_is_no_film_fails_with_a_reason(service: Served, tmp_path: Path) -> None:
    wrong = tmp_path / "film.mp4"
    wrong.write_bytes(b"no film at all")
    status = service.wait(service.add(wrong).json()["id"], "failed")
    assert len(status["notes"]) == 1
    assert str(service.folder) not in status["notes"][0]
    wrong.write_bytes(b"")
    assert service.add(wrong).status_code == 422
    assert service.client.post(f"{service.url}/videos", files={"other": b"x"}).status_code == 422


def test_a_running_job_is_cancelled(service: Served, long_book: Path) -> None:
    job = service.add(long_book).json()["id"]
    service.wait(job, "running")
    assert service.client.delete(f"{service.url}/jobs/{job}").status_code == 204
    assert service.get(f"/jobs/{job}").status_code == 404
    done = threading.Event()
    while (service.folder / "jobs" / job).exists():
        done.wait(0.1)


def test_what_operators_ask(service: Served) -> None:
    assert service.get("/health").json() == service.get("/ready").json() == {"status": "ok"}
    assert "/predict" in service.get("/openapi.json").json()["paths"]
    assert "swagger" in service.get("/docs").text
    assert service.predict(("a.jpg", b"no picture")).status_code == 422
    text = service.get("/metrics").text
    for name in ("flipdetect_request_seconds_count", "flipdetect_batch_size_sum", 'flipdetect_jobs{state="done"}',
                 'flipdetect_pictures_total{outcome="error"}', "process_resident_memory_bytes"):  # fmt: skip
        assert name in text


def test_pages_of_other_sites_are_refused(service: Served) -> None:
    assert service.client.get(f"{service.url}/health", headers={"Origin": "http://evil.example"}).status_code == 403
    assert service.client.get(f"{service.url}/health", headers={"Origin": service.url}).status_code == 200
    assert service.client.get(f"{service.url}/health", headers={"Host": "evil.example"}).status_code == 400


def test_the_openapi_description_holds(service: Served) -> None:
    """By schemathesis, but for two of its checks: no schema says what a picture is; OPTIONS is not offered."""
    left_out = "positive_data_acceptance,allow_header_conformance"
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json", "--seed", "1"]
    options = ["--max-examples", "5", "--phases", "coverage,fuzzing", "--exclude-checks", left_out]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_broken_bodies_are_answered(service: Served, book: Path) -> None:
    statuses = load_script("load_test").send_broken(service.url, JPEG, book.read_bytes()[:2000], 60)
    assert statuses.total() == 60
    assert max(statuses) < 500, statuses
    assert service.get("/health").status_code == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_examples_of_the_guide(service: Served, book: Path, tmp_path: Path) -> None:
    text = (REPOSITORY / "docs" / "guides" / "service.md").read_text("utf-8")
    examples = re.findall(r"<!-- tested with a service -->\n```bash\n(.*?)```", text, re.S)
    assert len(examples) == 3
    (tmp_path / "page.jpg").write_bytes(JPEG)
    (tmp_path / "other.jpg").write_bytes(JPEG)
    shutil.copy(book, tmp_path / "book.mp4")
    for example in examples:
        local = example.replace("localhost:8000", service.url)
        done = subprocess.run(["bash", "-ec", local], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "book.pdf").read_bytes().startswith(b"%PDF")


def test_the_container_starts_what_is_tested(tmp_path: Path) -> None:
    """The commands of the Dockerfile, with another port and folder."""
    text = (REPOSITORY / "Dockerfile").read_text("utf-8")
    health, command = (json.loads(found) for found in re.findall(r"^ *CMD (\[.*\])$", text, re.M))
    assert command[:1] == ["serve"]
    options = [word for word in command[1:] if word not in ("--port", "8000", "--jobs", "/jobs")]
    with Served(tmp_path / "jobs", *options) as service:
        port = service.url.split(":")[-1]
        check = [word.replace("8000", port) for word in [sys.executable, *health[1:]]]
        assert subprocess.run(check, check=False).returncode == 0
        service.process.kill()
        service.process.wait()
        assert subprocess.run(check, check=False, capture_output=True).returncode == 1


def half_a_request(url: str, key: str) -> socket.socket:
    """A connection that has sent the head of a request with a picture, but not the body."""
    host, port = url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = f"POST /predict HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
    connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(HALF)}\r\n\r\n".encode())
    return connection


HALF = b'{"pictures": ["' + base64.b64encode(JPEG) + b'"]}'


def test_limits_and_the_key(tmp_path: Path, book: Path, long_book: Path) -> None:
    options = ("--max-request-mb", "1", "--max-film-mb", "20", "--max-pictures", "2", "--queue", "2", "--max-jobs", "1")
    with Served(tmp_path / "jobs", *options, "--timeout", "20", key=KEY) as service:
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}):
            for path in ("/predict", "/videos"):
                answer = post_without_key(service, path, header)
                assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert service.get("/metrics").status_code == 200
        assert service.predict(("a.jpg", JPEG)).status_code == 200
        assert service.predict(("a.jpg", JPEG + bytes(1_000_000))).status_code == 413
        assert service.predict(*[("a.jpg", JPEG)] * 3).status_code == 422

        with half_a_request(service.url, KEY) as one, half_a_request(service.url, KEY):
            while service.get("/ready").status_code == 200:
                pass
            answer = service.predict(("a.jpg", JPEG))
            assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
            one.sendall(HALF)
            assert b"200 OK" in one.recv(1000)

        job = service.add(long_book).json()["id"]
        answer = service.add(book)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "30")
        assert service.client.delete(f"{service.url}/jobs/{job}").status_code == 204
        assert service.add(book).status_code == 202


def post_without_key(service: Served, path: str, headers: dict[str, str]) -> requests.Response:
    return requests.post(service.url + path, headers=headers, files={"film": b"x"}, timeout=60)


def test_a_request_that_was_accepted_is_answered_after_sigterm(tmp_path: Path) -> None:
    with Served(tmp_path / "jobs") as service:
        with half_a_request(service.url, "") as half:
            while "flipdetect_pictures_waiting 1.0" not in service.get("/metrics").text:
                pass
            service.process.send_signal(signal.SIGTERM)
            half.sendall(HALF)
            assert b"200 OK" in half.recv(1000)
        assert service.end() == 0


def test_accepted_films_survive_sigterm_and_kill(tmp_path: Path, book: Path, long_book: Path) -> None:
    folder = tmp_path / "jobs"
    with Served(folder, "--grace", "0") as service:
        jobs = [service.add(long_book).json()["id"], service.add(book).json()["id"]]
        service.wait(jobs[0], "running")
        assert service.end() == 0
    with Served(folder) as service:
        while not (status := service.wait(jobs[0], "running"))["progress"]:
            pass
        assert status["phase"] == "reading long"
        assert service.end(signal.SIGKILL) == -signal.SIGKILL
    (folder / "temporary" / "upload").touch()
    (folder / "jobs" / "half").mkdir()
    assert (folder / "jobs" / jobs[0] / "results").is_dir()
    with Served(folder) as service:
        for job in jobs:
            assert service.wait(job, "done")["result"]["complete"]
            assert [path.name for path in (folder / "jobs" / job).iterdir()] == ["results"]
        assert sorted(path.name for path in (folder / "jobs").iterdir()) == sorted(jobs)
        assert not list((folder / "temporary").iterdir())


def test_wrong_starts(service: Served, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    port = service.url.split(":")[-1]
    assert main(["serve", "--jobs", str(tmp_path), "--port", port]) == 2
    assert main(["serve", "--jobs", str(tmp_path), "--queue", "2"]) == 2
    assert main(["serve", "--jobs", str(tmp_path), "--api-key", "short"]) == 2
    assert main(["serve", "--jobs", str(service.folder), "--port", "0", "--model", "tiny_cnn"]) == 1
