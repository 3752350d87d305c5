"""A tiny sequence model's checkpoint, untrained."""

from __future__ import annotations

from pathlib import Path

import torch

from flipdetect.runs import CHECKPOINT_KEY
from flipdetect.tasks import SequenceClassifier


def write_clip_checkpoint(path: Path, like: Path) -> Path:
    """Write one whose preprocessing and classes are those of a frame model's checkpoint."""
    content = torch.load(like, weights_only=True)
    arguments = {"weights": "none", "width": 4, "hidden": 8}
    content[CHECKPOINT_KEY] |= {"task": "flipdetect.tasks.sequence.SequenceClassifier", "arguments": arguments}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content | {"state_dict": SequenceClassifier(**arguments).state_dict()}, path)
    return path
