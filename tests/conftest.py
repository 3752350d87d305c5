"""Fixtures that several rooms' tests share."""

import os
from pathlib import Path

import pytest

# Set before torch is imported: two workers of the test runner share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

REALDEV = Path(__file__).resolve().parents[2] / "shared" / "realdev"


@pytest.fixture
def realdev() -> Path:
    """The folder of real frames; the test is skipped where it is absent."""
    if not REALDEV.is_dir():
        pytest.skip("the real frames are not beside this checkout")
    return REALDEV
