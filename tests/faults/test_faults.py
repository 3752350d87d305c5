"""A sample of the faults."""

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.skipif(sys.platform != "linux", reason="reads limits and leftovers in /proc")
def test_nothing_is_lost_in_a_sample_of_the_faults() -> None:
    command = [sys.executable, "-m", "tests.faults", "--quick"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
