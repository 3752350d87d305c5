"""What large sets cost before training starts: indexing, splitting, audit, an epoch's order; per frame, and in memory.

The sets are simulated: folders of hard links to one tiny JPEG, named as real frames are, with 20 frames to a clip. File
contents play no part in what is measured, but for the last column: the start with a warm cache, which looks at every
file.

    python scripts/measure_scale.py --frames 1000 10000 200000
    python scripts/measure_scale.py --frames 1000 200000 --json scale.json
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from tabulate import tabulate

from flipdetect.atomic import write_text
from flipdetect.data.audit.split_table import audit_split
from flipdetect.data.cache import ChunkCache, decode_frames
from flipdetect.data.index import index_frames
from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.data.samplers import DrawSampler, EpochSampler, PairSampler, Pool
from flipdetect.data.splits import split_records
from flipdetect.progress import progress_bar
from flipdetect.records import ClassNames, FrameRecord

FRAMES_PER_CLIP = 20
# File systems allow some tens of thousands of names for one file.
LINKS_PER_FILE = 30_000
SPEC = PreprocessSpec(height=16, width=9)
CLASSES = ClassNames()
STEPS = ("index", "split", "audit", "plain epoch", "balanced epoch", "paired epoch", "warm cache")

Result = TypeVar("Result")


def simulate(root: Path, frames: int) -> None:
    """Make `flip|notflip/VideoID_FrameNumber.jpg` below `root`, clips of either class in turn."""
    picture = cv2.imencode(".jpg", np.zeros((1, 1, 3), np.uint8))[1].tobytes()
    for label in CLASSES.names:
        (root / label).mkdir(parents=True)
    first = ""
    for number in progress_bar(range(frames), desc="simulating", unit="file", delay=2, leave=False):
        clip, frame = divmod(number, FRAMES_PER_CLIP)
        path = f"{root}/{CLASSES.names[clip % 2]}/{clip:05d}_{frame:09d}.jpg"
        if number % LINKS_PER_FILE == 0:
            Path(path).write_bytes(picture)
            first = path
        else:
            os.link(first, path)


def measure(root: Path, cache: Path, frames: int) -> dict[str, Any]:
    """Seconds (of the clock, and of the processor) of each step, and bytes of memory per frame of the index."""
    clock: dict[str, float] = {}
    processor: dict[str, float] = {}

    def timed(step: str, work: Callable[[], Result]) -> Result:
        gc.collect()
        before = time.perf_counter(), time.process_time()
        result = work()
        clock[step], processor[step] = time.perf_counter() - before[0], time.process_time() - before[1]
        return result

    index = timed("index", lambda: index_frames(root, classes=CLASSES, check=False))
    split = timed("split", lambda: split_records(index.records, classes=CLASSES))
    timed("audit", lambda: audit_split(split))
    for step, sampler in samplers(split.train).items():
        drawn = timed(step, lambda sampler=sampler: sum(1 for _ in sampler))  # type: ignore[misc]
        assert drawn >= len(split.train) - 1
    files = [record.file for record in index.records]
    decode_frames(files, SPEC, ChunkCache(cache))
    warm = timed("warm cache", lambda: decode_frames(files, SPEC, ChunkCache(cache)))
    assert warm.rows is not None
    assert len(index.records) == frames
    return {"frames": frames, "clock_s": clock, "processor_s": processor, "index_bytes": memory(root) / frames}


def samplers(train: Sequence[FrameRecord]) -> dict[str, EpochSampler]:
    """The ways to draw an epoch."""
    places: Any = range(len(train))  # of a data set, samplers ask the length alone
    alone = {"num_replicas": 1, "rank": 0, "seed": 0}
    return {
        "plain epoch": EpochSampler(places, **alone),
        "balanced epoch": DrawSampler(places, [(Pool(train, "video"), len(train))], **alone),
        "paired epoch": PairSampler(places, train, epoch_frames=None, **alone),
    }


def memory(root: Path) -> int:
    """Bytes that an index and its split take."""
    gc.collect()
    tracemalloc.start()
    index = index_frames(root, classes=CLASSES, check=False)
    split = split_records(index.records, classes=CLASSES)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(split.records) == len(index.records)
    return taken


def table(results: Sequence[dict[str, Any]]) -> str:
    """A Markdown table of processor time, which does not depend on what else the machine is doing."""
    rows = []
    for found in results:
        steps, frames = found["processor_s"], found["frames"]
        start = steps["index"] + steps["split"]
        per_frame = sum(steps.values()) / frames * 1e6
        clock = found["clock_s"]["index"] + found["clock_s"]["split"]
        times = [f"{steps[step]:.2f}" for step in STEPS]
        rows.append([f"{frames:,}", *times, f"{start:.2f}", f"{clock:.2f}", f"{per_frame:.1f}", found["index_bytes"]])
    headers = ["frames", *STEPS, "index + split", "the same, clock", "µs a frame", "bytes a frame"]
    return tabulate(rows, headers=headers, tablefmt="github", floatfmt=".0f", disable_numparse=range(len(headers) - 1))


@contextmanager
def _folder(where: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="flipdetect-scale-", dir=where) as folder:
        yield Path(folder)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[1000, 10_000, 200_000], help="sizes of the sets")
    parser.add_argument("--folder", type=Path, help="where the sets are simulated (default: the system's)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    args = parser.parse_args(argv)
    if min(args.frames) < 8 * FRAMES_PER_CLIP:
        parser.error(f"--frames must be at least {8 * FRAMES_PER_CLIP}: fewer clips cannot be split")
    results = []
    for frames in args.frames:
        with _folder(args.folder) as folder:
            simulate(folder / "set", frames)
            results.append(measure(folder / "set", folder / "cache", frames))
    print(table(results))
    print("\nSeconds of processor time. An epoch is that of the training side, 70 % of the frames.")
    if args.json:
        write_text(args.json, json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
