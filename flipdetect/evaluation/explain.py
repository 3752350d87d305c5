"""What raises a model's logit, and where: Grad-CAM, and the model's own maps if it has them.

Grad-CAM (Selvaraju et al., 2017, arXiv:1610.02391) by the library pytorch-grad-cam.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from flipdetect.errors import ModelError, require_extra
from flipdetect.inference.torch_model import TorchModel
from flipdetect.models.base import FrameModel

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Explanation:
    """One frame, explained.

    Attributes:
        frame: (H, W, 3) uint8 RGB, as the model gets it.
        heat: (H, W) float32, 0 to 1: what raises the logit of the positive class, scaled to its own maximum.
        maps: (3, h, w) float32, 0 to 1: sheet, edge and hands; None if the model has none.
    """

    frame: Picture
    heat: npt.NDArray[np.float32]
    maps: npt.NDArray[np.float32] | None


def explain(bundle: TorchModel, paths: list[Path]) -> list[Explanation]:
    """Explain what a model says of frames; of one that averages over mirror images, the frame alone.

    Raises:
        MissingExtraError: if the library is not installed.
        ModelError: if the model has no feature map to look at.
    """
    require_extra("explain", "pytorch_grad_cam")
    from pytorch_grad_cam import GradCAM

    model, spec = bundle.task.model, bundle.preprocess
    found = []
    mirrored, model.mirrored = model.mirrored, False
    learning = {name: each.requires_grad for name, each in model.named_parameters()}
    model.requires_grad_(False)  # gradients of the input are enough for those of activations
    try:
        with GradCAM(model=model, target_layers=[layer_to_look_at(model)]) as cam:
            for path in paths:
                frame = spec.read(path)
                image = torch.from_numpy(spec.normalise(frame)[np.newaxis]).to(bundle.task.device)
                heat: Any = cam(input_tensor=image.requires_grad_(), targets=[lambda logit: logit])
                maps = None
                if model.has_maps:
                    with torch.no_grad():
                        maps = model.forward_maps(image)[1][0].sigmoid().cpu().numpy()
                colour = frame if frame.shape[2] == 3 else np.repeat(frame, 3, axis=2)
                found.append(Explanation(colour, np.asarray(heat[0], np.float32), maps))
    finally:
        model.mirrored = mirrored
        for name, each in model.named_parameters():
            each.requires_grad_(learning[name])
    return found


def layer_to_look_at(model: FrameModel) -> nn.Module:
    """The last layer whose output still has places: of fused features if there are maps, else of the backbone."""
    if model.evidence is not None:
        return model.evidence.norm
    convolutions = [
        module
        for name, module in model.backbone.named_modules()
        # An attention over channels (squeeze and excitation) has convolutions of one position.
        if isinstance(module, nn.Conv2d) and ".se." not in f".{name}." and ".attn." not in f".{name}."
    ]
    if not convolutions:
        raise ModelError(f"{type(model).__name__} has no convolution, which Grad-CAM looks at; leave it out")
    return convolutions[-1]
