"""What all LightningModules share: steps, loss, metrics, decision threshold, temperature and optimiser."""

from __future__ import annotations

import logging
from typing import Any, TypedDict, cast

import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.nn import functional as F

from flipdetect.metrics.frame import FrameMetrics
from flipdetect.metrics.threshold import DEFAULT_THRESHOLD
from flipdetect.models.base import FrameModel
from flipdetect.models.weights import NO_WEIGHTS
from flipdetect.runs import NO_TEMPERATURE
from flipdetect.tasks.decision import Decision, choose_decision, read_costs, starting_decision
from flipdetect.tasks.trainable import Trainable, map_loss, rank_loss, twin_margins

logger = logging.getLogger(__name__)


class StepOutput(TypedDict):
    """What a validation or test step returns, for callbacks.

    Keys:
        loss: () float32.
        probability, target: (B,) float32; the former at temperature 1.
        index: (B,) int64, positions in the data set's records.
    """

    loss: Tensor
    probability: Tensor
    target: Tensor
    index: Tensor


class FrameClassifier(Trainable):
    """Base of the interchangeable classifiers: one logit per frame, trained with binary cross-entropy.

    A subclass sets `self.model`. The decision threshold is chosen on validation at the end of every epoch (best F1, or
    lowest cost) and stored in the state dict, so that each checkpoint has its own; so is the temperature, by which
    logits are divided to become the probabilities that the threshold refers to. Initial weights may bring both; a
    small validation split does not replace them.

    Args:
        in_channels: channels of a frame; the command line links it to `data.preprocess.channels`.
        positive_weight: weight of the positive class in the loss; null weighs both alike.
        label_smoothing: moves targets from 0 and 1 towards 0.5 by this share, 0 to below 1.
        threshold_min_videos: with fewer validation videos of either class, the threshold of the initial weights is
            kept, if they have one. With 10, a single video changes recall by at most 0.1; with 2 or 3, the best
            threshold is mostly chance.
        map_weight: of the maps' loss, added to the label's in training, for frames whose maps are known; no effect on a
            model without maps.
        rank_weight: of the twins' loss, in training, where `data.pairs` draws twins: the flip should have the larger
            logit of the two.
        temperature: whether a temperature is fitted on validation, too, for calibrated probabilities (see
            `flipdetect.metrics.calibration`). Classes are the same without. Off, it is 1.0.
        threshold_costs: cost of mistakes, such as {missed_flip: 5, false_alarm: 1}: the threshold is then the one with
            the lowest cost on validation instead of the best F1. Null for the latter.
        mirrored: outside training, a frame's logit and maps are the mean over the frame and its mirror image: books are
            read in both directions, and a mistake in one is often none in the other. Twice the work.
        kwargs: see `Trainable`.

    Raises:
        ConfigError: if a value is impossible.
    """

    model: FrameModel
    threshold: Tensor
    temperature: Tensor

    def __init__(
        self,
        in_channels: int = 3,
        positive_weight: float | None = None,
        label_smoothing: float = 0.0,
        threshold_min_videos: int = 10,
        map_weight: float = 4.0,
        rank_weight: float = 1.0,
        mirrored: bool = False,
        temperature: bool = False,
        threshold_costs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.in_channels = in_channels
        self.positive_weight = positive_weight
        self.label_smoothing = label_smoothing
        self.threshold_min_videos = threshold_min_videos
        self.map_weight = map_weight
        self.rank_weight = rank_weight
        self._mirrored = mirrored
        self._fits_temperature = temperature
        self.threshold_costs = read_costs(threshold_costs)
        self._start: Decision | None = None
        self._set_up = self._maps_missed = False
        self.encoded_stages = 0  # how many stages produced the `features` of a batch
        self.register_buffer("threshold", torch.tensor(DEFAULT_THRESHOLD, dtype=torch.float64))
        self.register_buffer("temperature", torch.tensor(NO_TEMPERATURE, dtype=torch.float64))
        self.train_metrics, self.val_metrics, self.test_metrics = (FrameMetrics() for _ in range(3))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Also load models from before there were temperatures."""
        state_dict.setdefault(f"{prefix}temperature", torch.tensor(NO_TEMPERATURE, dtype=torch.float64))
        super()._load_from_state_dict(state_dict, prefix, *args)

    @property
    def decision(self) -> Decision:
        """The current threshold and temperature."""
        return Decision(self.threshold.item(), self.temperature.item())

    def _set_decision(self, decision: Decision) -> None:
        self.threshold.fill_(decision.threshold)
        self.temperature.fill_(decision.temperature)

    def setup(self, stage: str) -> None:
        """As the base class; also take the threshold of the initial weights."""
        self.model.mirrored = self._mirrored
        super().setup(stage)
        if not self._set_up:  # later, a threshold may have been chosen or restored
            self._set_up = True
            self._start = starting_decision(str(self.hparams.get("weights", NO_WEIGHTS)), self.model)
            if self._start is not None:
                self._set_decision(self._start)

    def forward(self, images: Tensor) -> Tensor:
        """Frames (B, C, H, W) float32 -> logits (B,) float32."""
        return cast(Tensor, self.model(self.in_format(images))).float()

    def forward_maps(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, C, H, W) float32 -> logits (B,) and maps (B, 3, Hm, Wm) as logits, both float32.

        Raises:
            ModelError: if the model has no maps.
        """
        return self.model.forward_maps(self.in_format(images))

    def batch_logits(self, batch: dict[str, Tensor]) -> Tensor:
        """Logits (B,) of a batch of `Sample`s."""
        return self._outputs(batch, with_maps=False)[0]

    def _outputs(self, batch: dict[str, Any], *, with_maps: bool) -> tuple[Tensor, Tensor | None]:
        """Logits (B,) and, if asked for, maps of a batch of frames or of the outputs of frozen stages."""
        if "features" in batch:
            logits, maps = self.model.forward_encoded(batch["features"], self.encoded_stages)
            return logits, maps if with_maps else None
        if with_maps:
            return self.forward_maps(batch["image"])
        return self(batch["image"]), None

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy of logits (B,) against targets (B,) in [0, 1] -> () float32.

        Label smoothing after Szegedy et al. (2016).
        """
        smoothed = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        weight = None if self.positive_weight is None else logits.new_tensor(self.positive_weight)
        return F.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=weight)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One optimisation step on a batch of `Sample`s -> loss () float32.

        Targets are the labels, or the batch's `soft_target` where `flipdetect.callbacks.Distillation` gives one.

        Logs the targets' loss (`train_loss`, comparable with `val_loss` for labels) and the unweighted losses of the
        maps and twins over the frames or pairs that they apply to; with several processes, those of the first.
        """
        targets = batch["target"]
        logits, maps = self._outputs(batch, with_maps=self._learns_maps(batch))
        loss = self.loss(logits, batch.get("soft_target", targets))
        self.train_metrics.update(logits.detach().sigmoid(), targets.long())
        # Not sync_dist: the progress bar of the first process would wait forever for the mean of all.
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(logits))
        if maps is not None and (known := batch["has_maps"]).any():
            of_maps = map_loss(maps[known], batch["maps"][known])
            self.log("train_map_loss", of_maps, on_step=False, on_epoch=True, batch_size=int(known.sum()))
            loss = loss + self.map_weight * of_maps
        if self.rank_weight > 0 and "pair" in batch and len(margins := twin_margins(logits, targets, batch["pair"])):
            of_twins = rank_loss(margins)
            self.log("train_rank_loss", of_twins, on_step=False, on_epoch=True, batch_size=len(margins))
            loss = loss + self.rank_weight * of_twins
        # A GPU would wait for each answer: it is asked as often as it is logged from.
        if self.device.type == "cpu" or batch_idx % (getattr(self.trainer, "log_every_n_steps", 0) or 1) == 0:
            self.check_finite(loss, batch, "the training loss")
        return loss

    def _learns_maps(self, batch: dict[str, Tensor]) -> bool:
        """Whether the maps of a batch are used; logs once if the model has none to learn them with."""
        if "maps" not in batch or self.map_weight == 0:
            return False
        if not self.model.has_maps and not self._maps_missed:
            self._maps_missed = True
            logger.info(
                "The frames' maps are not learnt: %s has evidence: none. Set evidence: both to learn them, or "
                "model.map_weight: 0.",
                type(self.model).__name__,
            )
        return self.model.has_maps

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training F1 (on augmented frames, at threshold 0.5)."""
        if self.train_metrics.update_called:  # not in an epoch that was resumed after its last step
            self.log("train_f1", self.train_metrics.compute(DEFAULT_THRESHOLD)["f1"], sync_dist=True)
            self.train_metrics.reset()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> StepOutput:
        """Score a batch of the validation split."""
        return self._evaluate(batch, self.val_metrics, "val")

    def on_validation_epoch_end(self) -> None:
        """Choose the threshold (while training) and log the epoch's metrics at it."""
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self._choose_decision()
        self._log_metrics(self.val_metrics, "val")

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> StepOutput:
        """Score a batch of the test split."""
        return self._evaluate(batch, self.test_metrics, "test")

    def on_test_epoch_end(self) -> None:
        """Log the test metrics at the threshold that validation chose."""
        self._log_metrics(self.test_metrics, "test")

    def _evaluate(self, batch: dict[str, Tensor], metrics: FrameMetrics, stage: str) -> StepOutput:
        targets = batch["target"]
        # As in inference, in full precision: the threshold must be chosen on the probabilities it is used for.
        with torch.autocast(self.device.type, enabled=False):
            logits = self.batch_logits(batch)
        self.check_finite(logits, batch, f"the output on {'validation' if stage == 'val' else 'test'} frames")
        loss, probability = self.loss(logits, targets), logits.sigmoid()
        metrics.update(probability, targets.long())
        self.log(f"{stage}_loss", loss, on_epoch=True, sync_dist=True, batch_size=len(logits))
        return StepOutput(loss=loss, probability=probability, target=targets, index=batch["index"])

    def _choose_decision(self) -> None:
        data: Any = getattr(self.trainer, "datamodule", None)
        videos = data.val_videos() if self._start is not None and data is not None else self.threshold_min_videos
        if videos < self.threshold_min_videos:
            if self.current_epoch == 0:
                logger.info(
                    "The threshold stays at %.3f, that of the initial weights: the class with fewer validation videos "
                    "has %d, and model.threshold_min_videos is %d.",
                    *(self.threshold.item(), videos, self.threshold_min_videos),
                )
            return
        values, targets = (each.cpu().numpy() for each in self.val_metrics.collected())
        try:
            chosen = choose_decision(values, targets, self.threshold_costs, fits_temperature=self._fits_temperature)
        except ValueError as error:
            logger.warning("The threshold stays at %.3f: %s", self.threshold.item(), error)
            return
        self._set_decision(chosen)

    def _log_metrics(self, metrics: FrameMetrics, stage: str) -> None:
        decision = self.decision
        # The metrics have the probabilities at temperature 1: it was not known when they were collected.
        values = {f"{stage}_{name}": value for name, value in metrics.compute(decision.own_threshold).items()}
        metrics.reset()
        headline = f"{stage}_f1"
        # Every process has computed them over all frames; the mean of equal values is the value.
        self.log(headline, values.pop(headline), prog_bar=True, sync_dist=True)
        self.log_dict(values, sync_dist=True)
        self.log(f"{stage}_threshold", decision.threshold, sync_dist=True)
        if self._fits_temperature:
            self.log(f"{stage}_temperature", decision.temperature, sync_dist=True)
