"""Predictions that are ended at a random moment: each file is whole or absent, and the next run makes all of them."""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from flipdetect.cli.main import main
from flipdetect.sources.image import decode_frame
from flipdetect.sources.video import open_video
from tests.faults.runner import SURVIVED, Fault
from tests.inference.exported import write_exported
from tests.sources.films import numbered, write

OUTPUTS = ("--stills", "pages", "--pdf", "book.pdf", "--preview", "preview.mp4", "--output", "predictions.csv")
_whole: dict[str, bytes] = {}
_seconds: list[float] = []


def start(*more: str) -> int:
    """A prediction of two films in a process of its own."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            status = main(
                ["predict", "in", "--model", "model.onnx", "--device", "cpu", "--stride", "1", *OUTPUTS, *more]
            )
        finally:
            os._exit(status)
    return child


def finished(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def inputs(place: Path) -> None:
    write_exported(place / "model.onnx")
    (place / "in").mkdir()
    for name, first in (("a", 0), ("b", 100)):
        write(place / "in" / f"{name}.mp4", [numbered(first + number // 10, (240, 320)) for number in range(80)])


def outputs(place: Path) -> dict[str, bytes]:
    """What the command wrote, temporary files and locks included; not what it found in the folder and set aside."""
    files = [path for path in place.rglob("*") if path.is_file() and "in" not in path.relative_to(place).parts]
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in files
        if path.name != "model.onnx" and "earlier" not in str(path.relative_to(place))
    }


def ended(rng: Random, number: int, place: Path) -> str:
    inputs(place)
    if not _whole:
        begin = time.monotonic()
        assert finished(start()) == 0
        _seconds.append(time.monotonic() - begin)
        _whole.update(outputs(place))
        for path in _whole:
            (place / path).unlink()
    sent = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP)[number % 4]
    child = start()
    time.sleep(rng.uniform(0, rng.choice((0.3, 1.1)) * _seconds[0]))  # its start is as long as the rest
    os.kill(child, sent)
    status = finished(child)
    if sent == signal.SIGKILL:
        shutil.rmtree(tempfile.gettempdir())
        Path(tempfile.gettempdir()).mkdir()
    else:
        # A signal may come before the command has begun to listen.
        assert status in (0, 130, -sent), status
    found = outputs(place)
    for name, data in found.items():
        path = place / name
        if path.name.startswith(".") or path.suffix == ".part":
            assert sent == signal.SIGKILL or path.suffix == ".part", f"{name} is left after {sent.name}"
        elif path.suffix == ".jpg":
            decode_frame(path)
        elif path.suffix == ".mp4":
            with open_video(path) as film:
                assert sum(1 for _ in film) > 0
            assert not film.lost, film.lost
        elif path.suffix == ".pdf":
            assert data.rstrip().endswith(b"%%EOF"), name
        elif path.suffix == ".json":
            json.loads(data)
        elif path.name == "predictions.csv" or status == 0:
            assert data == _whole[name], f"{name} after {sent.name}"
    again = start(*rng.choice(((), ("--resume",))))
    assert finished(again) == 0, "the next run fails"
    found = {name: data for name, data in outputs(place).items() if not Path(name).name.startswith(".")}
    assert found.keys() == _whole.keys(), (sorted(found), sorted(_whole))
    different = [name for name in _whole if found[name] != _whole[name]]
    assert not different, f"{different} differ after {sent.name}"
    return SURVIVED


FAULTS = [Fault("predictions ended by a signal", ended, 80, 4)]
