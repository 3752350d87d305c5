"""What large data sets cost before training starts: the table in docs/research/benchmarks.md.

The sets are simulated: hard links to one tiny JPEG, named as real frames are, with 20 frames to a clip.

    python scripts/research/measure_scale.py 1000 10000 200000
"""

import gc
import os
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from tabulate import tabulate

from flipdetect.data.audit.findings import audit_split
from flipdetect.data.grouped_splits import split_records
from flipdetect.data.index import index_frames
from flipdetect.data.loading import DrawSampler, EpochSampler, PairSampler, Pool
from flipdetect.records import ClassNames

CLASSES = ClassNames()
LINKS_PER_FILE = 30_000
"""File systems allow some tens of thousands of names for one file."""


def simulate(root, frames):
    """Make `flip|notflip/VideoID_FrameNumber.jpg` below a folder."""
    picture = cv2.imencode(".jpg", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    for label in CLASSES.names:
        (root / label).mkdir(parents=True)
    for number in range(frames):
        clip, frame = divmod(number, 20)
        path = f"{root}/{CLASSES.names[clip % 2]}/{clip:05d}_{frame:09d}.jpg"
        if number % LINKS_PER_FILE == 0:
            Path(path).write_bytes(picture)
            first = path
        else:
            os.link(first, path)


def measure(root, frames):
    """Seconds of the processor for each step, and bytes a frame of index and split."""
    row = {"frames": frames}

    def timed(step, work):
        gc.collect()
        begun = time.process_time()
        result = work()
        row[f"{step}, s"] = time.process_time() - begun
        return result

    index = timed("index", lambda: index_frames(root, classes=CLASSES, check=False))
    split = timed("split", lambda: split_records(index.records, classes=CLASSES))
    timed("audit", lambda: audit_split(split))
    places, alone = range(len(split.train)), {"num_replicas": 1, "rank": 0, "seed": 0}
    timed("plain epoch", lambda: list(EpochSampler(places, **alone)))
    pools = [(Pool(split.train, "video"), len(split.train))]
    timed("balanced epoch", lambda: list(DrawSampler(places, pools, **alone)))
    timed("paired epoch", lambda: list(PairSampler(places, split.train, epoch_frames=None, **alone)))
    gc.collect()
    tracemalloc.start()
    kept = index_frames(root, classes=CLASSES, check=False)
    kept = kept, split_records(kept.records, classes=CLASSES)
    gc.collect()
    row["bytes a frame"] = tracemalloc.get_traced_memory()[0] / frames
    tracemalloc.stop()
    return row


def main(frames: Annotated[list[int], typer.Argument(help="sizes, from 160")], folder: Path | None = None):
    """Print the table; the sets are simulated in a folder (default: the system's)."""
    rows = []
    for size in frames:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            simulate(Path(place) / "set", size)
            rows.append(measure(Path(place) / "set", size))
    print(tabulate(rows, headers="keys", floatfmt=".3g"))


if __name__ == "__main__":
    typer.run(main)
