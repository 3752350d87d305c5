"""What a model costs to have and to run: parameters, file, memory, time for a frame."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import load_onnx
from flipdetect.inference.torch_model import TorchModel

REPEATS, WARM_UP = 50, 5


@dataclass(frozen=True)
class Footprint:
    """Costs of a model, for one frame at a time on the CPU.

    Attributes:
        parameters: numbers that were learnt.
        file_bytes: of the file to deploy: the exported one, or, without, of all tensors as they are.
        memory_bytes: estimated: all tensors, and what the layer with the most to hold takes in and gives out.
        latency_ms, latency_p95_ms: median and 95th percentile of scoring a prepared frame.
        engine: what it was timed with.
    """

    parameters: int
    file_bytes: int
    memory_bytes: int
    latency_ms: float
    latency_p95_ms: float
    engine: str

    def as_dict(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)


def measure_footprint(
    bundle: TorchModel, exported: Path | None = None, threads: int | None = None, repeats: int = REPEATS
) -> Footprint:
    """Measure a model.

    Args:
        bundle: the model, on the CPU.
        exported: the same, as ONNX, which is then what is timed and weighed; None: PyTorch.
        threads: that compute with ONNX Runtime; None: one for each core.
        repeats: frames that are timed, after some to warm up.

    Raises:
        ModelError: if the exported file cannot be used.
    """
    tensors = sum(tensor.numel() * tensor.element_size() for tensor in bundle.task.model.state_dict().values())
    runner: Model = bundle if exported is None else load_onnx(exported, threads)
    times = _times(runner, repeats)
    return Footprint(
        sum(parameter.numel() for parameter in bundle.task.model.parameters()),
        tensors if exported is None else exported.stat().st_size,
        tensors + largest_layer(bundle.task.model, _frame(bundle)),
        float(np.median(times)),
        float(np.quantile(times, 0.95)),
        runner.runs_on,
    )


def largest_layer(model: nn.Module, frame: Tensor) -> int:
    """Bytes that go into and come out of the layer where they are most.

    Args:
        model: in evaluation mode.
        frame: (1, C, H, W) float32.
    """
    most = 0

    def look(_: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal most
        held = [each for each in (*inputs, output) if isinstance(each, Tensor)]
        most = max(most, sum(each.numel() * each.element_size() for each in held))

    leaves = [module for module in model.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(look) for module in leaves]
    try:
        with torch.inference_mode():
            model(frame)
    finally:
        for hook in hooks:
            hook.remove()
    return most


def _times(runner: Model, repeats: int) -> list[float]:
    """Milliseconds for each of some frames."""
    spec = runner.preprocess
    frame = np.random.default_rng(0).normal(size=(1, spec.channels, spec.height, spec.width)).astype(np.float32)
    times = []
    for _ in range(WARM_UP + repeats):
        begin = time.perf_counter()
        runner.probabilities(frame)
        times.append(1000 * (time.perf_counter() - begin))
    return times[WARM_UP:]


def _frame(bundle: TorchModel) -> Tensor:
    spec = bundle.preprocess
    return torch.zeros(1, spec.channels, spec.height, spec.width)
