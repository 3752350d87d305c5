"""Metrics of single frames over a whole epoch, and which direction of each is better."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from flipdetect.errors import ConfigError
from flipdetect.metrics.bootstrap import METRICS, frame_metrics

HIGHER_IS_BETTER = {**dict.fromkeys((*METRICS, "map", "map_50", "map_75"), True), "loss": False}
STAGE_PREFIXES = ("train_", "val_", "test_")


class FrameMetrics(Metric):
    """Collects the probabilities of an epoch, then computes its metrics at once.

    A mean of batch values would depend on how the frames fell into batches; these do not. Under a distributed
    strategy `compute` gathers the frames of all processes first. The positive class is the one that F1,
    precision, recall and average precision speak of.

    State: one float32 and one int64 per frame, on the device of the module that holds it.
    """

    full_state_update = False
    is_differentiable = False
    higher_is_better = None

    probabilities: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        # The cache of torchmetrics ignores arguments: a second threshold would get the first one's values.
        super().__init__(compute_with_cache=False)
        self.add_state("probabilities", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, probabilities: Tensor, targets: Tensor) -> None:
        """Add a batch: probabilities (B,) of the positive class, in [0, 1], and targets (B,) 0 or 1, of any type.

        Raises:
            ValueError: if the two do not have one shape (B,).
        """
        if probabilities.ndim != 1 or probabilities.shape != targets.shape:
            raise ValueError(
                "probabilities and targets must be two (B,) tensors, "
                f"got {tuple(probabilities.shape)} and {tuple(targets.shape)}"
            )
        self.probabilities.append(probabilities.detach().float())
        self.targets.append(targets.detach().long())

    def compute(self, threshold: float = 0.5) -> dict[str, float]:
        """Metrics over all frames since the last reset, as `frame_metrics`; a frame is positive from the threshold on.

        If the model has diverged and a probability is NaN, so are all metrics.

        Raises:
            ValueError: if there was no frame, or a probability is outside [0, 1] (a logit, perhaps).
        """
        probabilities, targets = (values.cpu().numpy() for values in self._frames())
        if np.isnan(probabilities).any():
            return dict.fromkeys(METRICS, float("nan"))
        # In float64, as at inference: a threshold rounded to float32 can fall onto the lower of its two neighbours.
        return frame_metrics(probabilities, targets, threshold)

    def collected(self) -> tuple[Tensor, Tensor]:
        """All frames since the last reset, of all processes: (N,) float32 probabilities and (N,) int64 targets.

        Under a distributed strategy every process has to call it.

        Raises:
            ValueError: if there was no frame.
        """
        with self.sync_context():
            return self._frames()

    def _frames(self) -> tuple[Tensor, Tensor]:
        # Gathering across processes has concatenated the lists already.
        if isinstance(self.probabilities, list) and not self.probabilities:
            raise ValueError("no frame was scored since the last reset: there is nothing to compute")
        return dim_zero_cat(self.probabilities), dim_zero_cat(self.targets)


def check_monitor(monitor: str, mode: str) -> None:
    """Raise a `ConfigError` if a `mode` would keep the worst checkpoint."""
    if mode not in ("min", "max"):
        raise ConfigError(f"mode must be 'min' or 'max', got {mode!r}")
    prefix = next((prefix for prefix in STAGE_PREFIXES if monitor.startswith(prefix)), "")
    name = monitor.removeprefix(prefix)
    higher = HIGHER_IS_BETTER.get(name)
    if higher is None or (mode == "max") == higher:
        return
    raise ConfigError(
        f"monitor {monitor!r} with mode {mode!r} would keep the worst model: "
        f"a {'higher' if higher else 'lower'} {name} is better; set mode: {'max' if higher else 'min'}"
    )
