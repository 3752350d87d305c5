"""Measured in a process of its own: how near a configuration's training comes to the model alone, and where time goes.

It trains as `train.py` does. After each epoch the limit is measured, in the same process and minute: the same update of
the same network (loss, gradients, clipping, optimiser) on a batch that lies in memory, with the fastest arithmetic and
memory format. Neither counts validation.

    python -m flipdetect.benchmark.probe_training --config configs/tiny_cnn.yaml --data.root frames/
"""

from __future__ import annotations

import argparse
import copy
import itertools
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from flipdetect.atomic import write_text
from flipdetect.cli.lightning_cli import TrainCLI
from flipdetect.cli.messages import hush_libraries, set_up_logging
from flipdetect.tasks import FrameClassifier

WARM_UP_STEPS = 3
FORMATS = (("float32", "NCHW"), ("float32", "channels_last"), ("bfloat16", "NCHW"), ("bfloat16", "channels_last"))


class InMemory:
    """The training step alone, on a batch that stays where it is.

    Args:
        task: whose network, loss and settings are taken; it is copied.
        shape: of a batch, (B, C, H, W).
        clip: gradient norm, as the trainer clips it; None for none.
    """

    def __init__(self, task: FrameClassifier, shape: tuple[int, ...], clip: float | None) -> None:
        self._task, self._shape, self._clip = task, shape, clip
        self.fastest: tuple[str, str] | None = None

    def frames_per_s(self, arithmetic: str, memory: str, seconds: float) -> float:
        """Frames trained on in a second, measured for about so many seconds."""
        model = copy.deepcopy(self._task.model).train()
        images = torch.randn(self._shape)
        if memory == "channels_last":
            model, images = model.to(memory_format=torch.channels_last), _nhwc(images)
        else:
            model = model.to(memory_format=torch.contiguous_format)
        targets = (torch.arange(len(images)) % 2).float()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
        steps, begun = 0, 0.0
        for step in itertools.count():
            if step == WARM_UP_STEPS:
                begun = time.perf_counter()
            optimizer.zero_grad()
            with _arithmetic(arithmetic):
                loss = self._task.loss(model(images), targets)
            loss.backward()
            if self._clip:
                clip_grad_norm_(model.parameters(), self._clip)
            optimizer.step()
            steps = step + 1 - WARM_UP_STEPS
            if steps > 0 and time.perf_counter() - begun > seconds:
                break
        return steps * len(images) / (time.perf_counter() - begun)


def _nhwc(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _arithmetic(name: str) -> AbstractContextManager[object]:
    return torch.autocast("cpu", torch.bfloat16) if name == "bfloat16" else nullcontext()


class Pace(pl.Callback):
    """Times the training side of every epoch, and the limit after it.

    Args:
        seconds: for which the limit is measured each time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.ours: list[float] = []
        self.limit: list[float] = []
        self.ways: dict[str, float] = {}
        self._frames, self._begun, self._ended = 0, 0.0, 0.0
        self._memory: InMemory | None = None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to count."""
        self._frames, self._begun = 0, time.perf_counter()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Count a batch; validation comes after the last one."""
        self._frames += len(batch["target"])
        self._ended = time.perf_counter()
        if self._memory is None:
            self._memory = InMemory(pl_module, tuple(batch["image"].shape), trainer.gradient_clip_val)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the epoch's pace, and measure the limit."""
        pace = self._frames / (self._ended - self._begun)
        assert self._memory is not None
        if not self.ways:  # the first epoch decodes and warms up: it does not count
            self.ways = {f"{a}, {m}": self._memory.frames_per_s(a, m, self.seconds) for a, m in FORMATS}
            return
        arithmetic, memory = max(self.ways, key=lambda name: self.ways[name]).split(", ")
        self.ours.append(pace)
        self.limit.append(self._memory.frames_per_s(arithmetic, memory, self.seconds))


def stages(cli: TrainCLI, seconds: float) -> dict[str, float]:
    """Milliseconds per frame of what a training step is made of, each measured by itself, on one frame or batch."""
    data, task = cli.datamodule, cli.model
    frame = np.random.default_rng(0).integers(
        0, 256, (data.preprocess.height, data.preprocess.width, data.preprocess.channels), np.uint8
    )
    batch = torch.randn(data.batch_size, data.preprocess.channels, *frame.shape[:2])
    batch = _nhwc(batch) if task.channels_last else batch
    precision = "bfloat16" if str(cli.trainer.precision).startswith("bf16") else "float32"
    targets = (torch.arange(len(batch)) % 2).float()
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-4)
    found: dict[str, float] = {}
    if data.augmentation is not None:
        draws = itertools.count()
        found["augment"] = _each_ms(lambda: data.augmentation(frame, next(draws)), seconds)
    found["normalise"] = _each_ms(lambda: data.preprocess.normalise(frame), seconds)
    task.train()
    spent = {"forward": 0.0, "backward": 0.0, "optimiser": 0.0}
    count, begun = 0, time.perf_counter()
    while count < WARM_UP_STEPS or time.perf_counter() - begun < seconds:
        marks = [time.perf_counter()]
        with _arithmetic(precision):
            loss = task.loss(task(batch), targets)
        marks.append(time.perf_counter())
        loss.backward()
        marks.append(time.perf_counter())
        optimizer.step()
        optimizer.zero_grad()
        marks.append(time.perf_counter())
        for name, first, last in zip(spent, marks, marks[1:], strict=False):
            spent[name] += last - first
        count += 1
    return found | {name: value * 1e3 / count / len(batch) for name, value in spent.items()}


def _each_ms(work: Any, seconds: float) -> float:
    work()
    count, begun = 0, time.perf_counter()
    while not count or time.perf_counter() - begun < seconds:
        work()
        count += 1
    return (time.perf_counter() - begun) * 1e3 / count


def main(args: Sequence[str] | None = None) -> int:
    """Measure as the command line says; what is not listed below goes to train.py. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="for which the limit is measured, each time")
    parser.add_argument("--json", type=Path, required=True, help="file for what was found")
    options, rest = parser.parse_known_args(args)
    set_up_logging()
    hush_libraries()
    cli = TrainCLI(rest)
    pace = Pace(options.seconds)
    cli.trainer.callbacks.append(pace)  # type: ignore[attr-defined]
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    shares = [ours / limit for ours, limit in zip(pace.ours, pace.limit, strict=True)]
    found = {
        "ours": pace.ours,
        "limit": pace.limit,
        "share": shares,
        "ways": pace.ways,
        "precision": str(cli.trainer.precision),
        "batch_size": cli.datamodule.batch_size,
        "size": [cli.datamodule.preprocess.height, cli.datamodule.preprocess.width],
        "stages_ms": stages(cli, options.seconds / 2),
    }
    write_text(options.json, json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
