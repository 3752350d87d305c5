"""Prediction opens no socket."""

import subprocess
import sys
from pathlib import Path

from tests.frame_sets import page_frame, write_frame
from tests.sources.films import numbered, write

BLOCKED = """
import sys

def refuse(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(f"a socket was opened: {event} {arguments}")

sys.addaudithook(refuse)
"""
PREDICT = "from flipdetect.cli.main import main; sys.exit(main(['predict', 'in', '--preview', 'preview.mp4']))"
CONNECT = "import socket; socket.create_connection(('127.0.0.1', 9))"


def test_prediction_opens_no_socket(tmp_path: Path) -> None:
    write_frame(tmp_path / "in" / "1.jpg", page_frame(True, 1))
    write(tmp_path / "in" / "film.mp4", [numbered(number) for number in range(8)])

    def run(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", BLOCKED + code], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    done = run(PREDICT)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "preview.mp4").is_file()
    assert "a socket was opened" in run(CONNECT).stderr  # they are blocked indeed
