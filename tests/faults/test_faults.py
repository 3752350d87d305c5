"""A sample of the faults, and whether the harness notices what it is there for."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.faults.long_runs import compare, grows

if sys.platform != "linux":
    pytest.skip("reads limits and leftovers in /proc", allow_module_level=True)

CASES = {
    "crash": (lambda: os.abort(), "the process died"),
    "exception": (lambda: 1 // 0, "ZeroDivisionError"),
    "file": (lambda: os.open("/dev/null", os.O_RDONLY), "open files"),
    "temporary file": (lambda: tempfile.mkstemp(), "open files"),
    "process": (lambda: subprocess.Popen(["sleep", "60"]), "processes"),
    "memory": (lambda: bytearray(os.urandom(1)) * 700_000_000, "MB more memory"),
}
REPEAT = """
import sys
from pathlib import Path
from tests.faults.runner import Counts, Fault, run
from tests.faults.test_faults import CASES
for name, (act, words) in CASES.items():
    counts = Counts()
    run(Fault(name, lambda *_: act() and "survived", 2, 2), 1, [0], Path(sys.argv[1]), counts)
    assert words in "".join(counts.lost.values()), (name, counts)
"""


def test_the_harness_notices_what_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-c", REPEAT, str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_that_holds_more_the_longer_it_is_is_noticed(tmp_path: Path) -> None:
    held = "import time; kept = [open('/dev/null') for _ in range({0})]; data = b'1' * {0} * 5_000_000; time.sleep(1)"

    def leaking(count: int, folder: Path) -> list[str]:
        return [sys.executable, "-c", held.format(count)]

    assert grows(*compare(leaking, 20, tmp_path)) == ["megabytes", "files"]


def test_nothing_is_lost_in_a_sample_of_the_faults() -> None:
    command = [sys.executable, "-m", "tests.faults", "--quick"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
