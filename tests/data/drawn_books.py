"""A set of drawn books, each on a desk of its own, with a sheet that moves: quick stand-ins for rendered ones."""

from pathlib import Path

import cv2
import numpy as np

from tests.frame_sets import write_frame

HEADER = "path,label,source,video,frame"


def drawn_frame(book: int, flip: bool, moment: int) -> np.ndarray:
    """(384, 216, 3) uint8 RGB: one desk and print for a book, one hand for a moment, a sheet if it is a flip."""
    height, width = 256, 144
    rng = np.random.default_rng(book)
    frame = np.full((height, width, 3), rng.integers(60, 200, 3), np.uint8)
    for _ in range(12):  # what lies on the desk
        x, y = rng.integers(0, width), rng.integers(0, height)
        corner = (int(x + rng.integers(15, 60)), int(y + rng.integers(15, 60)))
        cv2.rectangle(frame, (int(x), int(y)), corner, rng.integers(20, 240, 3).tolist(), -1)
    left, top = int(rng.integers(8, 40)), int(rng.integers(20, 90))
    right, bottom = left + int(rng.integers(60, 95)), top + int(rng.integers(80, 150))
    cv2.rectangle(frame, (left, top), (right, bottom), (225, 220, 205), -1)
    for line in range(top + 6, min(bottom, height) - 4, 7):
        cv2.line(frame, (left + 5, line), (left + int(rng.integers(25, right - left)), line), (60, 60, 60), 2)
    moments = np.random.default_rng(1000 + 50 * book + moment)
    hand = (int(moments.integers(left, right)), int(moments.integers(top, bottom)))
    cv2.circle(frame, hand, 14, (170, 110, 80), -1)
    if flip:
        edge = left + int((right - left) * moments.uniform(0.2, 0.8))
        sheet = np.array([[left, top], [edge, top - 14], [edge + 6, bottom - 10], [left, bottom]], np.int32)
        cv2.fillPoly(frame, [sheet], (245, 243, 238))
        cv2.polylines(frame, [sheet], True, (120, 115, 110), 2)
    frame = cv2.GaussianBlur(cv2.resize(frame, (216, 384), interpolation=cv2.INTER_CUBIC), (0, 0), 0.8)
    noise = moments.normal(0, 3, frame.shape)
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def make_drawn_books(root: Path, books: int = 12, frames: int = 4) -> Path:
    """`flip|notflip/VideoID_FrameNumber.jpg`, a clip of each per book, the two of one book at the same moments."""
    rows = [HEADER]
    for book in range(books):
        for label in ("flip", "notflip"):
            for moment in range(frames):
                name = f"{label}/{book:04d}_{moment * 10:09d}.jpg"
                write_frame(root / name, drawn_frame(book, label == "flip", moment))
                rows.append(f"{name},{label},book-{book:03d},{label}/{book:04d},{moment * 10}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root
