"""Fixtures that several rooms' tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

# Set before torch is imported: two workers of the test runner share the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from tests.frame_sets import make_monreader_set

REPOSITORY = Path(__file__).resolve().parents[1]
REALDEV = REPOSITORY.parent / "shared" / "realdev"

# Overrides that make any configuration small enough for a test.
SMALL = [
    "--trainer.max_epochs=1",
    "--data.preprocess.height=64",
    "--data.preprocess.width=36",
    "--data.batch_size=4",
    "--data.num_workers=0",
    "--data.cache_dir=null",
]


@pytest.fixture
def realdev() -> Path:
    """The folder of real frames; the test is skipped where it is absent."""
    if not REALDEV.is_dir():
        pytest.skip("there is no folder of real frames next to this checkout")
    return REALDEV


@pytest.fixture(scope="session")
def monreader_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small set in MonReader's layout, 32 frames of 16 videos; not to be written to."""
    return make_monreader_set(tmp_path_factory.mktemp("monreader"), videos=8, frames=2)


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, monreader_set: Path) -> Callable[..., int]:
    """Run `train.py` in an empty folder, on the small set unless told otherwise; returns the exit status."""
    from flipdetect.cli.train import main

    monkeypatch.chdir(tmp_path)

    def run(config: str, *overrides: str, root: Path = monreader_set) -> int:
        path = REPOSITORY / "configs" / config
        return main(["--config", str(path), f"--data.root={root}", *SMALL, *overrides])

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, monreader_set: Path) -> Path:
    """The best checkpoint of a TinyCNN trained for two epochs on the small set."""
    from flipdetect.cli.train import main

    folder = tmp_path_factory.mktemp("trained")
    config = REPOSITORY / "configs" / "tiny_cnn.yaml"
    before = Path.cwd()
    os.chdir(folder)
    try:
        status = main(["--config", str(config), f"--data.root={monreader_set}", *SMALL, "--trainer.max_epochs=2"])
    finally:
        os.chdir(before)
    assert status == 0
    return folder / "logs" / "tiny_cnn" / "version_0" / "best.ckpt"
