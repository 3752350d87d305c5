"""A small set as the renderer leaves it: twins, masks, and a table that says what belongs together."""

from pathlib import Path

import cv2
import numpy as np

from tests.frame_sets import page_frame, write_frame

HEADER = "path,label,source,video,frame,mask,twin"


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask (H, W, 3) uint8, channels in the order of the maps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", cv2.cvtColor(mask, cv2.COLOR_RGB2BGR))[1].tobytes())


def make_rendered_set(root: Path, books: int = 8, frames: int = 2, height: int = 128, masks: bool = True) -> Path:
    """`flip|notflip/VideoID_FrameNumber.jpg`, a clip of each per book; sheet left half, hands upper half of a mask."""
    rows = [HEADER]
    for book in range(books):
        for label in ("flip", "notflip"):
            for frame in range(1, frames + 1):
                name = f"{label}/{book:04d}_{frame * 10:09d}"
                write_frame(root / f"{name}.jpg", page_frame(label == "flip", book * 100 + frame, height))
                mask = np.zeros((height // 4, height * 9 // 64, 3), np.uint8)
                mask[: len(mask) // 2, :, 2] = 255
                if label == "flip":
                    mask[:, : mask.shape[1] // 2, 0] = 255
                if masks:
                    write_mask(root / f"masks/{name}.png", mask)
                path = f"masks/{name}.png" if masks else ""
                rows.append(f"{name}.jpg,{label},book-{book:03d},{label}/{book:04d},{frame},{path},{book:04d}-{frame}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root
