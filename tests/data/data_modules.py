"""Data modules of small frames, ready to give batches."""

from pathlib import Path
from typing import Any

import torch

from flipdetect.data.datamodule import FrameDataModule
from flipdetect.data.preprocess import PreprocessSpec

SPEC = PreprocessSpec(height=64, width=36)


def data_module(root: Path, **settings: Any) -> FrameDataModule:
    """A data module after `setup`; in one process and without a cache unless told otherwise."""
    settings = {"preprocess": SPEC, "batch_size": 4, "num_workers": 0, "cache_dir": None, **settings}
    data = FrameDataModule(root=str(root), **settings)
    data.prepare_data()
    data.setup("fit")
    return data


def train_batches(data: FrameDataModule, epoch: int = 0) -> list[dict[str, torch.Tensor]]:
    """The training batches of an epoch."""
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    return list(loader)  # type: ignore[arg-type]


def train_epoch(data: FrameDataModule, epoch: int = 0) -> dict[str, torch.Tensor]:
    """All training samples of an epoch as one batch."""
    found = train_batches(data, epoch)
    return {key: torch.cat([torch.as_tensor(batch[key]) for batch in found]) for key in found[0]}
