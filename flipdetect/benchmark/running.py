"""Run what is measured: each time a process of its own, programs that are compared in turns."""

from __future__ import annotations

import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flipdetect.errors import FlipdetectError

logger = logging.getLogger(__name__)

_SHOWN = 1500
"""Characters of a failed program's messages that are shown."""


class BenchmarkError(FlipdetectError):
    """A program that was to be measured failed."""


@dataclass(frozen=True)
class Run:
    """One run of a program.

    Attributes:
        wall_s: seconds from start to end, imports included.
        peak_mb: most memory that it held at a time, in MB (10^6 bytes).
        report: what it wrote to the file that its `--json` names; empty without one.
    """

    wall_s: float
    peak_mb: float
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Workplace:
    """Where a benchmark works, and how much it does.

    Attributes:
        folder: for data sets, caches and runs; kept between benchmarks.
        repository: holds configs/ and scripts/.
        quick: the smallest work that still runs every line.
    """

    folder: Path
    repository: Path
    quick: bool = False

    def choose(self, full: Any, quick: Any) -> Any:
        """One of two amounts of work."""
        return quick if self.quick else full

    def script(self, name: str) -> list[str]:
        """The command of a script."""
        return [sys.executable, str(self.repository / "scripts" / f"{name}.py")]

    def module(self, name: str) -> list[str]:
        """The command of a module of the package."""
        return [sys.executable, "-m", f"flipdetect.{name}"]

    def run(self, command: Sequence[str], *arguments: object, reports: bool = False, cwd: Path | None = None) -> Run:
        """Run a program to its end.

        Args:
            command: as `script` and `module` give it.
            arguments: of the program.
            reports: whether it takes `--json FILE`, and writes what it found there.
            cwd: in which folder it runs; default: `folder`.

        Raises:
            BenchmarkError: if it fails; the message holds the end of what it said.
        """
        place = cwd or self.folder
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            said, found = Path(scratch) / "said.txt", Path(scratch) / "found.json"
            whole = [*command, *map(str, arguments), *(("--json", str(found)) if reports else ())]
            wall, peak, status = _timed(whole, place, said, self._environment())
            if status:
                raise BenchmarkError(f"{' '.join(whole)} failed with status {status}:\n{said.read_text()[-_SHOWN:]}")
            report = json.loads(found.read_text("utf-8")) if reports else {}
        return Run(wall, peak, report)

    def _environment(self) -> dict[str, str]:
        paths = [str(self.repository), *filter(None, [os.environ.get("PYTHONPATH")])]
        return os.environ | {"PYTHONPATH": os.pathsep.join(paths), "NO_ALBUMENTATIONS_UPDATE": "1"}


_LAUNCHER = """
import json, os, subprocess, sys, time
found, said, *command = sys.argv[1:]
started = time.perf_counter()
with open(said, "wb") as file:
    process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.terminate()
        raise
seconds = time.perf_counter() - started
with open(found, "w") as file:
    json.dump([seconds, usage.ru_maxrss, os.waitstatus_to_exitcode(status)], file)
"""
"""Linux counts what a process held before it became another program: this one holds next to nothing."""


def _timed(command: Sequence[str], cwd: Path, said: Path, environment: Mapping[str, str]) -> tuple[float, float, int]:
    """Seconds, peak memory in MB, exit status."""
    found = said.with_name("found.txt")
    launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(found), str(said), *command]
    subprocess.run(launcher, cwd=cwd, env=dict(environment), check=True)
    seconds, peak, status = json.loads(found.read_text("utf-8"))
    # Linux counts in KiB, macOS in bytes.
    return float(seconds), peak * (1 if sys.platform == "darwin" else 1024) / 1e6, int(status)


def in_turns(work: Mapping[str, Callable[[], Run]], repeats: int) -> dict[str, list[Run]]:
    """Run programs in turns, forwards and backwards, so that a machine that slows down slows all of them.

    Args:
        work: by name.
        repeats: runs of each.
    """
    found: dict[str, list[Run]] = {name: [] for name in work}
    for turn in range(repeats):
        for name in list(work)[:: -1 if turn % 2 else 1]:
            found[name].append(work[name]())
            logger.info("  %s, run %d of %d: %.1f s", name, turn + 1, repeats, found[name][-1].wall_s)
    return found


def median(values: Sequence[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    return float(statistics.median(values))


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median, and from where to where the values reach."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"
