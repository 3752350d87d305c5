"""Long runs: 50,000 frames, a film of an hour, 200 trainings in one process. A run ten times as long may hold no more.

`make faults ARGS="--long"` prints a table: the most memory, and the median numbers of open files and threads, that the
process of a run had, watched from outside, in a tenth of the run and in the whole of it. No process and no temporary
file may be left.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tabulate import tabulate

from tests.conftest import REPOSITORY, SMALL
from tests.frame_sets import make_monreader_set, page_frame, write_frame
from tests.inference.exported import brightness_model, write_exported
from tests.inference.looking import film
from tests.sources.films import write

FRAMES, FILM_S, TRAININGS = 50_000, 3600, 200
RATE = 8
SPREAD_S = 10
EVERY_S = 0.1
TRAIN = """
import sys
from flipdetect.cli.train import main
for _ in range(int(sys.argv[1])):
    assert main(sys.argv[2:]) == 0
"""


class Held(NamedTuple):
    """What a process holds."""

    megabytes: float
    files: int
    threads: int


MORE = Held(60, 2, 2)
"""What a whole run may hold beyond a tenth of it: rows of a table, which are kept until the end; chance."""
FILM_MB = 300
"""The same of a film: scores, fingerprints, and the pictures of 360 spreads in the report."""


def held(command: list[str], folder: Path) -> Held:
    """Run a command; returns the most memory that its process held, and the usual numbers of the rest."""
    temporary = folder / "temporary"
    temporary.mkdir()
    samples = []
    with (folder / "log.txt").open("w") as log:
        environment = {**os.environ, "TMPDIR": str(temporary)}
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment, start_new_session=True)
        while process.poll() is None:
            samples += held_by(process.pid)
            time.sleep(EVERY_S)
    assert process.returncode == 0, (folder / "log.txt").read_text()[-3000:]
    left = {path.name.split("_")[0] for path in temporary.iterdir()}
    assert left <= {"torchinductor"}, left  # torch's own cache
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        megabytes, files, threads = zip(*samples, strict=True)
        return Held(max(megabytes), round(median(files)), round(median(threads)))
    raise AssertionError("a process is left")


def held_by(pid: int) -> Iterator[Held]:
    """One sample, or none if the process has just ended."""
    folder = Path("/proc", str(pid))
    try:
        pages = int((folder / "statm").read_text().split()[1])
        files, threads = (len(list((folder / name).iterdir())) for name in ("fd", "task"))
    except OSError:
        return
    yield Held(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, files, threads)


def many_frames(count: int, folder: Path) -> list[str]:
    """A folder of frames."""
    for number in range(100):
        write_frame(folder / "made" / f"{number}.jpg", page_frame(number % 2 == 1, number, 64))
    (folder / "frames").mkdir()
    for number in range(count):
        made = folder / "made" / f"{number % 100}.jpg"
        (folder / "frames" / f"{number // 1000:04d}_{number % 1000:09d}.jpg").hardlink_to(made)
    return predict("frames", "--model", "tiny_cnn")


def long_film(seconds: int, folder: Path) -> list[str]:
    """A film with a turn every ten seconds, and all that can be made of it."""
    write_exported(folder / "model.onnx", brightness_model(hands=False))
    spreads = range(seconds // SPREAD_S)
    write(folder / "book.mp4", film(spreads, rest_s=SPREAD_S - 1, turn_s=1, rate=RATE), rate=RATE)
    outputs = ["--stills", "stills", "--pdf", "book.pdf", "--report", "book.html", "--preview", "preview.mp4"]
    return predict("book.mp4", "--model", "model.onnx", "--threshold", "0.7", *outputs)


def many_trainings(count: int, folder: Path) -> list[str]:
    """Trainings of one epoch, one after the other in a process."""
    make_monreader_set(folder / "data", videos=8, frames=2)
    config = str(REPOSITORY / "configs" / "tiny_cnn.yaml")
    return [sys.executable, "-c", TRAIN, str(count), "--config", config, "--data.root=data", *SMALL]


def predict(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flipdetect", "predict", *arguments, "--output", "predictions.csv"]


Make = Callable[[int, Path], list[str]]
RUNS: dict[str, tuple[Make, int, Held]] = {
    "frames": (many_frames, FRAMES, MORE),
    "seconds of a film": (long_film, FILM_S, MORE._replace(megabytes=FILM_MB)),
    "trainings in a process": (many_trainings, TRAININGS, MORE),
}


def compare(make: Make, count: int, folder: Path) -> tuple[Held, Held]:
    """What a tenth of a run holds, and the whole of it."""
    found = []
    for share in (10, 1):
        place = folder / f"{make.__name__}-{share}"
        place.mkdir()
        found.append(held(make(count // share, place), place))
    return found[0], found[1]


def grows(tenth: Held, whole: Held, more: Held = MORE) -> list[str]:
    """What a whole run holds too much of."""
    return [name for name, limit in more._asdict().items() if getattr(whole, name) - getattr(tenth, name) > limit]


def main(folder: Path, only: str = "") -> int:
    """Make the runs, and print a table; returns 1 if something grows."""
    rows, faults = [], []
    for name, (make, count, more) in RUNS.items():
        if only in name:
            tenth, whole = compare(make, count, folder)
            rows.append((f"{count:,} {name}", *(number for pair in zip(tenth, whole, strict=True) for number in pair)))
            faults += [f"{name}: {what} grow" for what in grows(tenth, whole, more)]
            print(rows[-1], file=sys.stderr)
    heads = ("run", "MB, a tenth of it", "MB", "files, a tenth", "files", "threads, a tenth", "threads")
    print(tabulate(rows, heads, "github", floatfmt=".0f"))
    print("\n".join(faults))
    return int(bool(faults))
