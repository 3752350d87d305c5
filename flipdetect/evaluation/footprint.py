"""What a model costs: parameters, file size, memory, time per frame."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flipdetect.data.preprocess import PreprocessSpec
from flipdetect.inference.model import Model
from flipdetect.inference.onnx_model import load_onnx
from flipdetect.inference.torch_model import TorchModel

REPEATS, WARM_UP = 50, 5


@dataclass(frozen=True)
class Footprint:
    """Costs of a model, for one frame at a time on the CPU.

    Attributes:
        parameters: number of learnt parameters.
        file_bytes: of the exported file, or, without one, of all tensors.
        memory_bytes: estimated: all tensors, and input and output of the layer where they are largest.
        latency_ms, latency_p95_ms: median and 95th percentile of scoring a preprocessed frame.
        engine: what it was timed with.
    """

    parameters: int
    file_bytes: int
    memory_bytes: int
    latency_ms: float
    latency_p95_ms: float
    engine: str


def measure_footprint(
    model: TorchModel, exported: Path | None = None, threads: int | None = None, repeats: int = REPEATS
) -> Footprint:
    """Measure a model.

    Args:
        model: on the CPU.
        exported: the same as ONNX, which is then timed and weighed; None: PyTorch.
        threads: of ONNX Runtime; None: one per core.
        repeats: frames that are timed, after some to warm up.

    Raises:
        ModelError: if the exported file cannot be used.
    """
    network = model.task.model
    tensors = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    runner: Model = model if exported is None else load_onnx(exported, threads)
    frame = np.random.default_rng(0).normal(size=_shape(runner.preprocess)).astype(np.float32)
    times = []
    for _ in range(WARM_UP + repeats):
        start = time.perf_counter()
        runner.probabilities(frame)
        times.append(1000 * (time.perf_counter() - start))
    return Footprint(
        sum(parameter.numel() for parameter in network.parameters()),
        tensors if exported is None else exported.stat().st_size,
        tensors + largest_layer(network, torch.zeros(_shape(model.preprocess))),
        float(np.median(times[WARM_UP:])),
        float(np.quantile(times[WARM_UP:], 0.95)),
        runner.runs_on,
    )


def _shape(spec: PreprocessSpec) -> tuple[int, int, int, int]:
    return 1, spec.channels, spec.height, spec.width


def largest_layer(model: nn.Module, frame: Tensor) -> int:
    """Bytes of input and output of the layer where they are largest.

    Args:
        model: in evaluation mode.
        frame: (1, C, H, W) float32.
    """
    most = 0

    def measure(_: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal most
        held = [each for each in (*inputs, output) if isinstance(each, Tensor)]
        most = max(most, sum(each.numel() * each.element_size() for each in held))

    leaves = [module for module in model.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(measure) for module in leaves]
    try:
        with torch.inference_mode():
            model(frame)
    finally:
        for hook in hooks:
            hook.remove()
    return most
