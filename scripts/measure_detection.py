"""Measure object detection: the figures in docs/guides/detection.md.

shapes       a generated set of two classes, 300 pictures in Pascal VOC's format: trained on from random weights; mAP
             at an IoU of 0.5 on its test split, wall-clock and processor time
latency      size of a detector's weights, and time of one decoded picture, with PyTorch, on --threads threads
picture      COCO's table on the test split, and random pictures of it with true and found boxes

python scripts/measure_detection.py shapes --folder /tmp/shapes
python scripts/measure_detection.py latency --model logs/detect/version_0/best.ckpt --threads 2
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

REPOSITORY = Path(__file__).resolve().parents[1]
PICTURES = 300
SIDE = 128
WARM_UP, CALLS = 10, 100

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def shapes(
    folder: Annotated[Path, Option(help="For the set, its cache and the run.")],
    pictures: Annotated[int, Option(min=20)] = PICTURES,
    config: Annotated[str, Option(help="How to train.")] = "detect_scratch",
    setting: Annotated[list[str] | None, Option(help="Further arguments of train.py.")] = None,
) -> None:
    """Train a detector on a generated set, and print what it achieved and what that took."""
    sys.path.insert(0, str(REPOSITORY))
    from tests.data.boxes_sets import make_voc_set

    root = folder / f"shapes{pictures}"
    if not root.is_dir():
        make_voc_set(root, pictures)
    arguments = [
        "--config", str(REPOSITORY / f"configs/{config}.yaml"), f"--data.root={root}", "--data.format=voc",
        f"--data.preprocess.height={SIDE}", f"--data.preprocess.width={SIDE}", *(setting or []),
    ]  # fmt: skip
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, str(REPOSITORY / "train.py"), *arguments], cwd=folder, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    newest = max((folder / "logs").glob("*/version_*/metrics.json"), key=lambda path: path.stat().st_mtime)
    values = json.loads(newest.read_text(encoding="utf-8"))
    print(
        f"{pictures} pictures of two classes, input {SIDE}x{SIDE}, {config}: test mAP {values['test_map']:.3f}, "
        f"{values['test_map_50']:.3f} at an IoU of 0.5; {values['epochs']} epochs, best {values['best_epoch'] + 1}; "
        f"{time.monotonic() - started:.0f} s, processor time {used:.0f} s"
    )


@app.command()
def latency(
    model: Annotated[Path, Option(help="A detector's best.ckpt.")],
    threads: Annotated[int, Option(min=1)] = 2,
    calls: Annotated[int, Option(min=1)] = CALLS,
) -> None:
    """Print size and time per picture; the time includes preprocessing and the choice among candidates."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import numpy as np
    import torch

    from flipdetect.inference.torch_model import load_checkpoint

    torch.set_num_threads(threads)
    detector = load_checkpoint(model, "cpu")
    weights = sum(tensor.numel() * tensor.element_size() for tensor in detector.task.model.state_dict().values())
    spec = detector.preprocess
    picture = np.random.default_rng(0).integers(0, 256, (2 * spec.height, 2 * spec.width, 3), dtype=np.uint8)
    taken, used = [], []
    for _ in range(WARM_UP + calls):
        began, before = time.perf_counter(), time.process_time()
        detector.find([picture])
        taken.append(time.perf_counter() - began)
        used.append(time.process_time() - before)
    wall, processor = (statistics.median(values[WARM_UP:]) * 1000 for values in (taken, used))
    print(
        f"{model}: weights {weights / 1e6:.1f} MB; one picture, input {spec.height}x{spec.width}, {threads} threads: "
        f"{wall:.1f} ms, processor time {processor:.1f} ms (medians of {calls})"
    )


@app.command()
def picture(
    model: Annotated[Path, Option(help="A detector's best.ckpt, with the splits.csv of its training next to it.")],
    data: Annotated[Path, Option(help="The data set of its training.")],
    output: Annotated[Path, Option(help="PNG to write.")],
    count: Annotated[int, Option(min=1)] = 4,
    seed: Annotated[int, Option(min=0)] = 0,
) -> None:
    """Draw random pictures of the test split, true boxes left of found ones."""
    import numpy as np
    from PIL import Image

    from flipdetect.evaluation.box_evaluation import evaluate_boxes
    from flipdetect.inference.torch_model import load_checkpoint

    found = evaluate_boxes(model.name, load_checkpoint(model, "cpu"), data, split="test")
    pictures = sorted(found.pictures, key=lambda each: each.name)
    chosen = sorted(np.random.default_rng(seed).choice(len(pictures), count, replace=False).tolist())
    rows = [pictures[place].drawn(found.classes) for place in chosen]
    gap = np.full((rows[0].shape[0], 12, 3), 255, np.uint8)  # frames of a rendered set have one size
    Image.fromarray(np.hstack([part for row in rows for part in (row, gap)][:-1])).save(output, optimize=True)
    print(found.table())


if __name__ == "__main__":
    app()
