"""Commands that are ended at a random moment: each file is whole or absent, and the next run makes all of them."""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from random import Random

import numpy as np

from flipdetect.cli.main import main
from flipdetect.data import cache
from flipdetect.data.cache import ChunkCache, DecodedFrames, decode_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.sources.image import decode_frame
from flipdetect.sources.video import open_video
from tests.conftest import REPOSITORY, SMALL
from tests.faults.runner import SURVIVED, Fault, living
from tests.frame_sets import make_monreader_set
from tests.inference.exported import write_exported
from tests.killing import CHANGES
from tests.sources.films import numbered, write

SENT = (signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP)
OUTPUTS = ("--stills", "pages", "--pdf", "book.pdf", "--preview", "preview.mp4", "--output", "predictions.csv")
PREDICT = ["predict", "in", "--model", "model.onnx", "--device", "cpu", "--stride", "1", *OUTPUTS]
RUN = Path("logs", "tiny_cnn")
FORMATS = ("onnx-portable", "onnx-int8")
"""Those that need no torch, so that a try takes a second: all are written by one function."""
MOST_CHANGES = 30
RENDER = ["render", "--output", "out", "--height", "64", "--sources", "2", "--workers", "2"]
CACHE = ["cache"]
CACHED = PreprocessSpec(height=64, width=36)
_whole: dict[str, dict[str, bytes]] = {}
_seconds: dict[str, float] = {}


def start(arguments: list[str], *, kill_before: int | None = None) -> int:
    """A command in a process of its own; one to be killed before a change of a file's name has a status of 9."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 70
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if kill_before is not None:
                _end_before(kill_before)
            status = _command(arguments)
        finally:
            os._exit(status)
    return child


def _command(arguments: list[str]) -> int:
    if arguments == CACHE:
        try:
            fill_cache()
        except KeyboardInterrupt:
            return 130
        return 0
    if arguments[0] != "train":
        return main(arguments)
    from flipdetect.cli.train import main as train

    return train(arguments[1:])


def _end_before(number: int) -> None:
    changes = count()

    def counted(change: Callable[..., None]) -> Callable[..., None]:
        def changed(*args: object, **options: object) -> None:
            if next(changes) >= number:
                os._exit(9)
            change(*args, **options)

        return changed

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))


def finished(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def ended(rng: Random, number: int, arguments: list[str], name: str, late: float = 0.0) -> tuple[signal.Signals, int]:
    """Run a command, and end it at a random moment; returns the signal and the status.

    Args:
        name: of the time that it takes in `_seconds`.
        late: the share of that time from which on most signals come.
    """
    sent = SENT[number % 4]
    child = start(arguments)
    time.sleep(rng.uniform(rng.choice((0, late, late)), rng.choice((0.3 + late, 1.1))) * _seconds[name])
    os.kill(child, sent)
    status = finished(child)
    if sent == signal.SIGKILL:
        forget_temporary_files()
    else:
        # A signal may come before the command has begun to listen.
        assert status in (0, 130, -sent), status
    return sent, status


def forget_temporary_files() -> None:
    """What a process that was killed leaves."""
    shutil.rmtree(tempfile.gettempdir())
    Path(tempfile.gettempdir()).mkdir()


def made_whole(name: str, arguments: list[str], kept: Callable[[], dict[str, bytes]]) -> None:
    """Run a command to its end, once for all tries; note its outputs and its time."""
    if name not in _whole:
        begin = time.monotonic()
        assert finished(start(arguments)) == 0
        _seconds[name] = time.monotonic() - begin
        _whole[name] = kept()
        for path in _whole[name]:
            Path(path).unlink()


def inputs() -> None:
    write_exported(Path("model.onnx"))
    Path("in").mkdir()
    for name, first in (("a", 0), ("b", 100)):
        write(Path("in", f"{name}.mp4"), [numbered(first + number // 10, (240, 320)) for number in range(80)])


def outputs() -> dict[str, bytes]:
    """What the command wrote, temporary files and locks included; not what it found in the folder and set aside."""
    files = [path for path in Path().rglob("*") if path.is_file() and "in" not in path.parts]
    return {str(path): path.read_bytes() for path in files if path.name != "model.onnx" and "earlier" not in str(path)}


def check_outputs(*, killed: bool, finished: bool) -> None:
    for name, data in outputs().items():
        path = Path(name)
        if path.name.startswith(".") or path.suffix == ".part":
            assert killed or path.suffix == ".part", f"{name} is left"
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
        elif path.name == "predictions.csv" or finished:
            assert data == _whole["predict"][name], name


def check_next_run(rng: Random) -> None:
    assert finished(start([*PREDICT, *rng.choice(((), ("--resume",)))])) == 0, "the next run fails"
    found = {name: data for name, data in outputs().items() if not Path(name).name.startswith(".")}
    whole = _whole["predict"]
    assert found.keys() == whole.keys(), (sorted(found), sorted(whole))
    different = [name for name in whole if found[name] != whole[name]]
    assert not different, f"{different} differ"


def predicted(rng: Random, number: int, place: Path) -> str:
    inputs()
    made_whole("predict", PREDICT, outputs)
    sent, status = ended(rng, number, PREDICT, "predict")  # its start is as long as the rest
    check_outputs(killed=sent == signal.SIGKILL, finished=status == 0)
    check_next_run(rng)
    return SURVIVED


def killed_between(rng: Random, number: int, place: Path) -> str:
    """Killed before a file gets or loses its name, in an empty folder or over the outputs of an earlier run."""
    inputs()
    made_whole("predict", PREDICT, outputs)
    if number % 2:
        assert finished(start(PREDICT)) == 0
    status = finished(start(PREDICT, kill_before=number // 2))
    assert status in (0, 9), status
    forget_temporary_files()
    check_outputs(killed=True, finished=status == 0)
    check_next_run(rng)
    return SURVIVED


def trained(rng: Random, number: int, place: Path) -> str:
    """Training is resumed, and ends with the weights and metrics of a run that was not interrupted."""
    import torch

    import flipdetect.cli.lightning_cli  # noqa: F401 - once for all tries: it takes longer than the training

    config = str(REPOSITORY / "configs" / "tiny_cnn.yaml")
    command = ["train", "--config", config, "--data.root=data", *SMALL, "--trainer.max_epochs=3"]

    def result() -> dict[str, bytes]:
        """Of the newest run: weights, metrics, and the rows of all epochs."""
        run = max(RUN.iterdir())
        weights = {name: torch.load(run / name, weights_only=True)["state_dict"] for name in ("best.ckpt", "last.ckpt")}
        times = {"fit_seconds"}
        metrics = json.loads((run / "metrics.json").read_text())
        rows = (run / "metrics.csv").read_bytes()
        values = {"metrics": str(sorted((k, v) for k, v in metrics.items() if k not in times)).encode(), "rows": rows}
        return values | {
            f"{name} {key}": value.numpy().tobytes() for name, state in weights.items() for key, value in state.items()
        }

    make_monreader_set(Path("data"), videos=8, frames=2)
    if "train" not in _whole:
        begin = time.monotonic()
        assert finished(start(command)) == 0
        _seconds["train"] = time.monotonic() - begin
        _whole["train"] = result()
        shutil.rmtree("logs")
    sent, _ = ended(rng, number, command, "train", 0.4)
    for path in Path("logs").rglob("*"):
        if path.suffix == ".ckpt" and not path.name.startswith("."):
            torch.load(path, weights_only=True)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        assert sent == signal.SIGKILL or path.suffix != ".part", f"{path} is left after {sent.name}"
    saved = next(RUN.rglob("last.ckpt"), None)
    exact = (
        saved is None or torch.load(saved, weights_only=True)["global_step"] >= 6
    )  # from the end of the first epoch on
    again = [] if saved is None else ["--ckpt_path=last"]
    assert finished(start([*command, *again])) == 0, "the next run fails"
    found = result()
    assert found.keys() == _whole["train"].keys()
    different = [name for name, data in _whole["train"].items() if found.get(name) != data]
    assert not (different and exact), f"{different[:4]} differ after {sent.name}, {again}"
    return SURVIVED


def exported(rng: Random, number: int, place: Path) -> str:
    """The file is the one that an uninterrupted run writes, or absent."""
    name = FORMATS[number // 4 % len(FORMATS)]
    command = ["export", "--model", "tiny_cnn", "--output", "out/model.onnx", "--format", name, "--data", "data"]
    make_monreader_set(Path("data"), videos=8, frames=4, height=96)

    def written() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}

    made_whole(name, command, written)
    sent, _ = ended(rng, number, command, name)
    for path, data in written().items():
        hidden = Path(path).name.startswith(".")
        assert data == _whole[name][path] if not hidden else sent == signal.SIGKILL, f"{path} after {sent.name}"
    assert finished(start(command)) == 0, "the next run fails"
    assert {path: data for path, data in written().items() if not Path(path).name.startswith(".")} == _whole[name]
    return SURVIVED


def written_below(folder: str) -> dict[str, bytes]:
    """All files but hidden ones, which a command that was killed leaves, such as locks."""
    files = [path for path in Path(folder).rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path): path.read_bytes() for path in files}


def rendered(rng: Random, number: int, place: Path) -> str:
    """Each picture is the one that an uninterrupted rendering writes, or absent; rendering again makes the rest."""
    made_whole("render", RENDER, lambda: written_below("out"))
    shutil.rmtree("out", ignore_errors=True)
    sent, _ = ended(rng, number, RENDER, "render")
    wait_for_workers()
    for path, data in written_below("out").items():
        if path.endswith(".jpg"):
            assert data == _whole["render"][path], f"{path} differs after {sent.name}"
    assert finished(start(RENDER)) == 0, "the next run fails"
    assert written_below("out") == _whole["render"]
    return SURVIVED


def wait_for_workers() -> None:
    """Workers notice within a second that their parent was killed."""
    end = time.monotonic() + 20
    while others := set(living(os.getpgrp())) - {os.getpid()}:
        assert time.monotonic() < end, f"processes are left: {others}"
        time.sleep(0.1)


def fill_cache() -> DecodedFrames:
    return decode_frames(sorted(Path("data").rglob("*.jpg")), CACHED, ChunkCache(Path("cache")), workers=2)


def cached(rng: Random, number: int, place: Path) -> str:
    """A cache whose filling was interrupted gives the pictures of the files."""
    make_monreader_set(Path("data"), videos=8, frames=16)
    cache.CHUNK_BYTES = 4 * 64 * 36 * 3
    made_whole("cache", CACHE, lambda: written_below("cache"))
    shutil.rmtree("cache", ignore_errors=True)
    sent, _ = ended(rng, number, CACHE, "cache")
    frames = fill_cache()
    assert not frames.failures
    for index, file in enumerate(sorted(Path("data").rglob("*.jpg"))):
        assert np.array_equal(frames[index], CACHED.read(file)), f"{file} differs after {sent.name}"
    assert len(written_below("cache")) == len(_whole["cache"])  # their names follow the times of the files
    return SURVIVED


FAULTS = [
    Fault("predictions ended by a signal", predicted, 80, 4),
    Fault("predictions killed between two files", killed_between, 2 * MOST_CHANGES, 2),
    Fault("trainings ended by a signal", trained, 24, 1, warm=True),
    Fault("exports ended by a signal", exported, 24, 1, warm=True),
    Fault("renderings ended by a signal", rendered, 40, 1, warm=True),
    Fault("caches whose filling was ended by a signal", cached, 80, 4, warm=True),
]
