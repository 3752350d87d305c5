"""A rendering with workers that is ended from outside."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


def processes_of(group: int) -> list[str]:
    listed = subprocess.run(["ps", "-o", "args=", "-g", str(group)], check=False, capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if "defunct" not in line]


def restore_signals() -> None:
    """What starts the tests, such as nohup, may ignore them."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.skipif(sys.platform != "linux", reason="lists processes with ps")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_f4_f15_a_rendering_that_is_ended_leaves_no_process_and_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flipdetect", "render", "--output", "out", "--height", "64", "--sources", "60"]
    with (tmp_path / "errors.txt").open("w") as errors:
        run = subprocess.Popen(
            [*command, "--workers", "2"], cwd=tmp_path, stderr=errors, start_new_session=True,
            preexec_fn=restore_signals,
        )  # fmt: skip
        while not list(tmp_path.glob("out/*flip/*.jpg")):
            assert run.poll() is None
            time.sleep(0.1)
        (os.killpg if number == signal.SIGINT else os.kill)(run.pid, number)  # Ctrl-C reaches the whole group
        status = run.wait(60)
    end = time.monotonic() + 20
    while processes_of(run.pid) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_of(run.pid) == []
    assert status == (-number if number == signal.SIGKILL else 130)
    assert "Traceback" not in (tmp_path / "errors.txt").read_text()
    assert not (tmp_path / "out" / "dataset.json").exists()  # it can be resumed
