from pathlib import Path

import pytest

from tests.sources.films import B_FRAMES, numbered, write


@pytest.fixture(scope="session")
def film(tmp_path_factory) -> Path:
    """100 frames at 25 a second, key frames every 30, with B-frames."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return write(path, map(numbered, range(100)), options=B_FRAMES)
