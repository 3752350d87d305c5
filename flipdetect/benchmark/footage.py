"""Frames to measure on: as a phone films, 1080x1920, rendered; and a small labelled set of books that none has seen."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from PIL import Image

from flipdetect.benchmark.running import Workplace

logger = logging.getLogger(__name__)

SEED = 2000
"""Books of this seed are in no training set."""
QUALITY = 90
"""Of the JPEGs that are encoded anew: files of about 300 kB, as phones write them."""
_MIRRORED = (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180)


def phone_frames(work: Workplace) -> Path:
    """A folder `flip|notflip/VideoID_FrameNumber.jpg` of 1080x1920 JPEGs; made once.

    A quarter are rendered at that size; the others are their mirror images, encoded anew, as clips of their own.
    """
    height, sources, frames = work.choose((1920, 8, 2), (320, 3, 1))
    folder = work.folder / f"frames-{height}"
    if (folder / "done").is_file():
        return folder
    logger.info("Rendering %d frames of %d rows, once", sources * 4 * frames, height)
    rendered = work.folder / f"rendered-{height}"
    _render(work, rendered, sources, frames, height)
    shutil.rmtree(folder, ignore_errors=True)
    for path in sorted(rendered.glob("*flip/*.jpg")):
        _copies(path, folder / path.parent.name)
    (folder / "done").touch()
    return folder


def labelled_frames(work: Workplace) -> Path:
    """A rendered set of 640 frames with labels, of books that no model was trained on; made once."""
    sources, frames, height = work.choose((40, 4, 384), (6, 1, 160))
    folder = work.folder / f"labelled-{sources}"
    if not (folder / "labels.csv").is_file():
        logger.info("Rendering %d labelled frames, once", sources * 4 * frames)
        _render(work, folder, sources, frames, height)
    return folder


def one_frame(work: Workplace) -> Path:
    """A folder with a single frame of `phone_frames`."""
    folder = work.folder / "one"
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob("*.jpg")):
        shutil.copy(min(phone_frames(work).glob("flip/*.jpg")), folder)
    return folder


def _render(work: Workplace, folder: Path, sources: int, frames: int, height: int) -> None:
    size = ("--sources", sources, "--clips-per-source", 4, "--frames-per-clip", frames, "--height", height)
    work.run(work.module("synth"), "--output", folder, *size, "--seed", SEED)


def _copies(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    video, frame = path.stem.split("_")
    shutil.copy(path, folder)
    with Image.open(path) as image:
        for number, how in enumerate(_MIRRORED, start=1):
            image.transpose(how).save(folder / f"{int(video) + 1000 * number:04d}_{frame}.jpg", quality=QUALITY)
