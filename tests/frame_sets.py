"""Small generated data sets for the tests: real image files, learnable in a few steps."""

from pathlib import Path

import cv2
import numpy as np


def page_frame(flip: bool, seed: int, height: int = 128) -> np.ndarray:
    """A crude page (H, W, 3) uint8 RGB; a bright slanted band stands for the moving sheet."""
    rng = np.random.default_rng(seed)
    width = height * 9 // 16
    frame = np.full((height, width, 3), rng.integers(60, 120, 3), np.uint8)
    cv2.rectangle(frame, (width // 8, height // 8), (width * 7 // 8, height * 7 // 8), (200, 195, 185), -1)
    if flip:
        x = int(rng.integers(width // 4, width * 3 // 4))
        cv2.line(frame, (x, height // 8), (x + width // 8, height * 7 // 8), (255, 255, 255), width // 6)
        cv2.line(frame, (x + width // 10, height // 8), (x + width // 5, height * 7 // 8), (40, 40, 40), width // 20)
    noise = rng.normal(0, 6, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def write_frame(path: Path, frame: np.ndarray) -> None:
    """Write an RGB frame as an image file of the kind its suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ok, data = cv2.imencode(path.suffix, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    assert ok
    path.write_bytes(data.tobytes())


def make_monreader_set(root: Path, videos: int = 8, frames: int = 3, height: int = 128) -> Path:
    """`flip|notflip/VideoID_FrameNumber.jpg` with the same numbers under both labels, as in the real set."""
    for label, flip in (("flip", True), ("notflip", False)):
        for video in range(1, videos + 1):
            for frame in range(1, frames + 1):
                seed = video * 1000 + frame * 10 + flip
                write_frame(root / label / f"{video:04d}_{frame * 10:09d}.jpg", page_frame(flip, seed, height))
    return root


def make_eye_set(root: Path, people: int = 8, frames: int = 6) -> Path:
    """Grey crops named as in the MRL eye set; a closed eye is a dark line, an open one a dark disc."""
    rng = np.random.default_rng(0)
    for person in range(1, people + 1):
        for number in range(1, frames + 1):
            is_open = number % 2
            eye = np.full((40, 40), rng.integers(120, 200), np.uint8)
            if is_open:
                cv2.circle(eye, (20, 20), 9, 30, -1)
            else:
                cv2.line(eye, (6, 22), (34, 22), 30, 3)
            eye = np.clip(eye + rng.normal(0, 5, eye.shape), 0, 255).astype(np.uint8)
            path = root / f"s{person:04d}" / f"s{person:04d}_{number:05d}_0_0_{is_open}_0_0_01.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(cv2.imencode(".png", eye)[1].tobytes())
    return root
