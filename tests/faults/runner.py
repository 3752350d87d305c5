"""Tries faults in a forked process, with limits on time, memory and what is left behind, and counts how they end."""

import faulthandler
import gc
import json
import os
import resource
import select
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import NamedTuple

SURVIVED, REFUSED = "survived", "refused"
CPU_S = 30
HANG_S = 600
MEGABYTES = 600
"""Limits of one try: processor time, time without a word, and memory on top of what there was."""


class Fault(NamedTuple):
    """A kind of damage.

    Attributes:
        name: in the table.
        attempt: (random numbers of this try, its number, an empty folder) -> `SURVIVED` if there was a right result,
            `REFUSED` if there was the error that a user can act on; raises whatever else happens.
        total: tries of a round; each number is another one.
        quick: how many of them `make test` makes.
        warm: whether libraries start threads that stay: one try goes before, and is not counted.
    """

    name: str
    attempt: Callable[[Random, int, Path], str]
    total: int
    quick: int
    warm: bool = False


@dataclass
class Counts:
    """How the tries of a fault ended; `lost`: number of the try -> what happened."""

    survived: int = 0
    refused: int = 0
    lost: dict[str, str] = field(default_factory=dict)


def check_words(error: Exception, path: Path) -> None:
    """An error names the file, and a remedy."""
    assert str(error).startswith(f"{path}: "), error
    assert "; " in str(error), error


def run(fault: Fault, seed: int, numbers: Sequence[int], folder: Path, counts: Counts) -> None:
    """Make tries; a process that dies or hangs is replaced."""
    left = list(numbers)
    while left:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _work(fault, seed, left, folder, writer)
        os.close(writer)
        for number, outcome, words in _reports(reader):
            left.remove(number)
            if outcome == "lost":
                counts.lost[f"{seed}:{number}"] = words
            else:
                setattr(counts, outcome, getattr(counts, outcome) + 1)
        hung = left and not select.select([reader], [], [], 0)[0]  # at its end a pipe is readable
        if hung:
            os.kill(child, signal.SIGKILL)
        os.close(reader)
        os.waitpid(child, 0)
        if left:
            log = (folder / "native.txt").read_text(errors="replace").strip().splitlines()
            ended = f"no word for {HANG_S} s" if hung else f"the process died: {' | '.join(log[:8])}"
            counts.lost[f"{seed}:{left.pop(0)}"] = ended
        _end_group(child, counts, seed)


def _end_group(child: int, counts: Counts, seed: int) -> None:
    if living(child):
        os.killpg(child, signal.SIGKILL)
        counts.lost[f"{seed}:-"] = "a process was left behind"


def living(group: int) -> list[int]:
    """Processes of a group; not those that have ended, and that nobody has waited for yet."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its_group = (process / "stat").read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(process.name))
    return found


def _reports(reader: int) -> Iterator[tuple[int, str, str]]:
    rest = b""
    while select.select([reader], [], [], HANG_S)[0] and (got := os.read(reader, 65536)):
        *lines, rest = (rest + got).split(b"\n")
        for line in lines:
            yield tuple(json.loads(line))


def _work(fault: Fault, seed: int, numbers: Sequence[int], folder: Path, writer: int) -> None:
    os.setsid()
    log = (folder / "native.txt").open("a")
    log.truncate(0)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    faulthandler.enable(log)
    tempfile.tempdir = str(folder / "temporary")
    Path(tempfile.tempdir).mkdir(exist_ok=True)
    for turn, number in enumerate([*numbers[: int(fault.warm)], *numbers]):
        with tempfile.TemporaryDirectory(dir=folder, prefix="try-", ignore_cleanup_errors=True) as place:
            used = resource.getrusage(resource.RUSAGE_SELF)
            resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 4 * CPU_S, -1))
            said = (folder / "native.txt").stat().st_size
            outcome, words = _try(fault, Random(f"{seed} {fault.name} {number}"), number, Path(place))
            if outcome == "lost":
                words += f" | {(folder / 'native.txt').read_bytes()[said:][-1500:].decode(errors='replace')}"
        if turn >= fault.warm:
            os.write(writer, json.dumps([number, outcome, words]).encode() + b"\n")
    os._exit(0)


def _try(fault: Fault, rng: Random, number: int, place: Path) -> tuple[str, str]:
    os.chdir(place)
    before, cpu = _held(), time.process_time()
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory counts from here
    memory = _kilobytes("VmHWM")
    try:
        outcome, words = fault.attempt(rng, number, place), ""
    except BaseException as error:
        where = [f"{Path(at.filename).name}:{at.lineno}" for at in traceback.extract_tb(error.__traceback__)[-4:]]
        outcome, words = "lost", f"{type(error).__name__}: {error} ({' > '.join(where)})"[:600]
    peak, cpu = (_kilobytes("VmHWM") - memory) // 1000, time.process_time() - cpu
    end = time.monotonic() + 5
    while (after := _held()) != before and time.monotonic() < end:
        gc.collect()
        time.sleep(0.05)
    if outcome == "lost":
        return outcome, words
    for what, now in after.items():
        if now > before[what]:
            return "lost", f"{what}: {before[what]} before, {now} after"
    if cpu > CPU_S or peak > MEGABYTES:
        return "lost", f"{cpu:.1f} s of processor time, {peak} MB more memory at the peak"
    return outcome, ""


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _held() -> dict[str, int]:
    return {
        "open files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "processes": len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
        "temporary files": len(list(Path(tempfile.gettempdir()).iterdir())),
    }
