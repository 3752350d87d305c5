"""Export a trained model for phones, with the levels of a picture in and a probability out: ExecuTorch or LiteRT."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from flipdetect.atomic import replacing
from flipdetect.errors import ModelError
from flipdetect.export.onnx_files import ModelDifference
from flipdetect.inference.model import Inputs
from flipdetect.inference.torch_model import TorchModel

LIMIT = 1e-3
"""Largest accepted difference of probability: other kernels sum in another order, a mistake causes far more."""

Picture = npt.NDArray[np.uint8]


class _OnPhone(nn.Module):
    """A picture (1, height, width, channels) float32, levels 0 to 255, of the input's size -> its probability (1,)."""

    def __init__(self, model: TorchModel) -> None:
        super().__init__()
        self.model = copy.deepcopy(model.task.model).cpu().to(memory_format=torch.contiguous_format).eval()
        self.temperature = model.temperature
        spec = model.preprocess
        self.register_buffer("mean", 255 * torch.tensor(spec.mean).reshape(1, -1, 1, 1))
        self.register_buffer("deviation", 255 * torch.tensor(spec.std).reshape(1, -1, 1, 1))

    def forward(self, picture: Tensor) -> Tensor:
        frames = (picture.permute(0, 3, 1, 2) - self.get_buffer("mean")) / self.get_buffer("deviation")
        probability: Tensor = (self.model(frames) / self.temperature).sigmoid()
        return probability


def to_executorch(network: nn.Module, example: Tensor, path: Path) -> Callable[[Picture], float]:
    """Write a network for ExecuTorch; returns what runs the file on a picture."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from executorch.runtime import Runtime

    program = torch.export.export(network, (example,))
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
    path.write_bytes(lowered.buffer)
    method = Runtime.get().load_program(path).load_method("forward")

    def run(picture: Picture) -> float:
        return float(method.execute([torch.from_numpy(picture[np.newaxis]).float().contiguous()])[0][0])

    return run


def to_litert(network: nn.Module, example: Tensor, path: Path) -> Callable[[Picture], float]:
    """Write a network for LiteRT; returns what runs the file on a picture."""
    import litert_torch
    from ai_edge_litert.interpreter import Interpreter

    def nearest(maps: Tensor, size: tuple[int, int], mode: str) -> Tensor:
        # By indices: LiteRT's operator takes other pixels, and probabilities differed by up to 0.05.
        assert mode == "nearest"
        rows, columns = (torch.arange(new) * old // new for new, old in zip(size, maps.shape[-2:], strict=True))
        return maps.index_select(2, rows).index_select(3, columns)

    with patch.object(torch.nn.functional, "interpolate", nearest):
        litert_torch.convert(network, (example,)).export(str(path))
    signature = Interpreter(str(path), num_threads=1).get_signature_runner()
    (name,) = signature.get_input_details()

    def run(picture: Picture) -> float:
        (found,) = signature(**{name: picture[np.newaxis].astype(np.float32)}).values()
        return float(found[0])

    return run


ENGINES = {"executorch": to_executorch, "litert": to_litert}


def export_mobile(model: TorchModel, path: Path, frames: Inputs, engine: str) -> ModelDifference:
    """Write a trained model for phones, and keep the file only if its probabilities equal the model's.

    Input: a picture (1, height, width, channels) float32, levels 0 to 255, fitted to the model's size as
    `PreprocessSpec.resize` does. Output: the probability (1,) float32. One picture at a time.

    Args:
        frames: to compare on, preprocessed, (N, C, H, W) float32, N at least 1.
        engine: one of `ENGINES`, whose packages are installed.

    Raises:
        ModelError: if probabilities differ by more than `LIMIT`. An existing file is kept then.
        OSError: if the file cannot be written.
    """
    spec = model.preprocess
    with replacing(path) as part:
        run = ENGINES[engine](_OnPhone(model).eval(), torch.zeros(1, spec.height, spec.width, spec.channels), part)
        probabilities = np.array([run(spec.to_uint8(frame)) for frame in frames])
        expected = np.concatenate([model.probabilities(frame[np.newaxis]) for frame in frames])
        difference = np.abs(probabilities - expected)
        if not difference.max() <= LIMIT:
            raise ModelError(
                f"the probabilities of {model.path} as {engine} differ by up to {difference.max():.2g} on "
                f"{len(frames)} frames; {LIMIT:g} is allowed. Nothing was written"
            )
    flipped = int(((probabilities >= model.threshold) != (expected >= model.threshold)).sum())
    return ModelDifference(len(frames), float(difference.mean()), float(difference.max()), None, flipped)
