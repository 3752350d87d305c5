"""What all frame classifiers have in common: a backbone, a head, and optional evidence maps."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import get_args

import torch
from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.models.evidence_maps import Evidence, EvidenceBranch
from flipdetect.models.folding import with_folded_norms

Stage = tuple[nn.Module, ...]
"""Modules of a backbone that are applied one after another."""


class FrameModel(nn.Module):
    """A binary classifier of single frames.

    Attributes:
        backbone: (B, in_channels, H, W) float32 -> (B, num_features) pooled embedding; may be frozen.
        head: (B, num_features) -> (B, 1). None if the maps alone make the logit.
        evidence: maps of sheet, edge and hands and their part of the logit. None without maps.
        mirrored: outside training, average logit and maps over a frame and its mirror image. False at first.
        trained_statistics: mean and standard deviation per channel (RGB) of the frames that the backbone was pretrained
            on with ImageNet; None if it was not.

    Args:
        num_features: length of the embedding.
        in_channels: colour channels of the input, 3 for RGB or 1 for grey.
        min_size: smallest height and width, in pixels, that the backbone accepts.
        evidence: "none": the logit is made from the embedding; "maps": from the maps; "both": the sum of both.
        level_channels: channels of the feature maps from which the maps are made, from fine to coarse.
        level_stages: for each of them, the number in `backbone_stages` of the stage that outputs it. Empty if
            `_pyramid` finds them in another way.
        map_width, refine_maps: see `EvidenceBranch`.

    Raises:
        ModelError: if `dropout` or `evidence` is impossible.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_features: int,
        *,
        in_channels: int,
        dropout: float,
        min_size: int = 1,
        evidence: Evidence = "none",
        level_channels: Sequence[int] = (),
        level_stages: Sequence[int] = (),
        map_width: int = 1,
        refine_maps: bool = False,
    ) -> None:
        super().__init__()
        if evidence not in get_args(Evidence):
            raise ModelError(f"evidence must be one of {', '.join(get_args(Evidence))}, got {evidence!r}")
        if not 0.0 <= dropout < 1.0:
            raise ModelError(f"dropout must be in [0, 1), got {dropout}")
        self.in_channels = in_channels
        self.num_features = num_features
        self.min_size = min_size
        self.level_channels = tuple(level_channels)
        self.level_stages = tuple(level_stages)
        self.mirrored = False
        self.trained_statistics: tuple[Sequence[float], Sequence[float]] | None = None
        self.backbone = backbone
        self.head = None if evidence == "maps" else nn.Sequential(nn.Dropout(dropout), nn.Linear(num_features, 1))
        self.evidence = None if evidence == "none" else EvidenceBranch(level_channels, map_width, refine=refine_maps)

    @property
    def has_maps(self) -> bool:
        """Whether `forward_maps` can be called."""
        return self.evidence is not None

    def forward_features(self, x: Tensor) -> Tensor:
        """Normalised frames (B, in_channels, H, W) float32 -> embeddings (B, num_features) float32.

        Raises:
            ModelError: if the shape does not fit this model, or the model has no embedding.
        """
        if self.head is None:
            raise ModelError("with evidence: maps a model has no embedding; set evidence: both or none")
        self._check_input(x)
        features: Tensor = self.backbone(x)
        return features.float()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) float32 -> (B,) float32 logits of the positive class; a `ModelError` if unfit."""
        if self.evidence is not None:
            return self.forward_maps(x)[0]
        mirrors = self.mirrored and not self.training
        logits = self._logits(self.forward_features(_with_mirror_images(x) if mirrors else x))
        return _halves_mean(logits) if mirrors else logits

    def forward_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and evidence maps of frames (B, in_channels, H, W) float32.

        Returns:
            (B,) float32 logits of the positive class, and (B, 3, ceil(H/8), ceil(W/8)) float32 logits of what covers
            each position: a moving sheet, its free edge, hands. Float32 under autocast, too.

        Raises:
            ModelError: if the shape does not fit this model, or it has no maps.
        """
        if self.evidence is None:
            raise ModelError("with evidence: none a model has no maps; set evidence: both or maps")
        self._check_input(x)
        if not (self.mirrored and not self.training):
            return self._score_levels(*self._pyramid(x))
        logits, maps = self._score_levels(*self._pyramid(_with_mirror_images(x)))
        own, mirror = maps.unflatten(0, (2, -1))
        return _halves_mean(logits), (own + mirror.flip(-1)) / 2

    def _score_levels(self, embedding: Tensor | None, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Embedding (None without a head) and feature maps -> logits (B,) and maps (B, 3, Hm, Wm)."""
        assert self.evidence is not None
        fused = self.evidence.fuse(levels)
        with _own_precision(fused.device.type):
            logits, maps = self.evidence(fused.float())
        return logits if embedding is None else logits + self._logits(embedding), maps

    def _pyramid(self, x: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """The embedding (None without a head) and the backbone's feature maps, from fine (stride 8) to coarse."""
        features, levels = self.run_stages(x)
        return None if self.head is None else self.pool_features(features), levels

    def backbone_stages(self) -> list[Stage]:
        """The backbone from input to output, in stages; one of unknown structure is a single stage.

        `pool_features` of the last stage's output is what the backbone computes. Layers after the pooling are in no
        stage.
        """
        return [(self.backbone,)]

    def run_stages(self, x: Tensor, start: int = 0, stop: int | None = None) -> tuple[Tensor, list[Tensor]]:
        """Run the stages of the backbone from `start` up to, but not including, `stop`.

        Returns:
            The output of the last stage run (`x` itself if there is none), (B, C, H, W); and the feature maps
            (B, C_i, H_i, W_i) of `level_stages` among the outputs, from fine to coarse. Under autocast they have its
            precision.
        """
        levels = []
        for number, stage in enumerate(self.backbone_stages()[start:stop], start):
            for module in stage:
                x = module(x)
            if number in self.level_stages:
                levels.append(x)
        return x, levels

    def pool_features(self, features: Tensor) -> Tensor:
        """The last stage's output (B, C, H, W) -> the embedding (B, num_features); only for models with a `head`."""
        return features

    def encode(self, x: Tensor, stages: int) -> list[Tensor]:
        """The outputs of the first stages that the rest of the model needs; `forward_encoded` continues from them.

        Returns:
            The feature maps of `level_stages` among them, (B, C_i, H_i, W_i), from fine to coarse; then the output of
            the last stage run (B, C, H, W), unless it is the last of them, or, of all stages, the embedding
            (B, num_features). What the rest does not need is left out.
        """
        self._check_input(x)
        last, levels = self.run_stages(x, stop=stages)
        levels = levels if self.has_maps else []
        if stages < len(self.backbone_stages()):
            return levels if levels and levels[-1] is last else [*levels, last]
        return levels if self.head is None else [*levels, self.pool_features(last)]

    def for_encoding(self, stages: int, example: Tensor) -> FrameModel:
        """A copy in evaluation mode to `encode` with: batch norms are folded into convolutions if results stay equal.

        Args:
            example: (B, C, H, W) float32 frames on which results are compared.
        """
        with torch.inference_mode():
            plain, folded = copy.deepcopy(self).eval(), with_folded_norms(self)
            pairs = zip(plain.encode(example, stages), folded.encode(example, stages), strict=True)
            return folded if all(torch.allclose(one, other, rtol=1e-3, atol=1e-3) for one, other in pairs) else plain

    def forward_encoded(self, encoded: Sequence[Tensor], stages: int) -> tuple[Tensor, Tensor | None]:
        """Continue from what `encode` returned for the same number of stages, without mirror images.

        Returns:
            (B,) float32 logits of the positive class, and (B, 3, Hm, Wm) float32 logits of the maps, None without maps.
        """
        known = sum(stage < stages for stage in self.level_stages) if self.has_maps else 0
        levels, rest = list(encoded[:known]), list(encoded[known:])
        embedding = rest[0] if rest else None
        if stages < len(self.backbone_stages()):
            last, more = self.run_stages(rest[0] if rest else levels[-1], start=stages)
            levels += more if self.has_maps else []
            embedding = None if self.head is None else self.pool_features(last)
        if self.has_maps:
            return self._score_levels(embedding, levels)
        assert embedding is not None
        return self._logits(embedding), None

    def _logits(self, embedding: Tensor) -> Tensor:
        assert self.head is not None
        with _own_precision(embedding.device.type):
            logits: Tensor = self.head(embedding.float().to(next(self.head.parameters()).dtype))
        return logits.squeeze(1).float()

    def _check_input(self, x: Tensor) -> None:
        # Under export the shape is symbolic: a check would bake one size into the graph.
        if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():
            return
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ModelError(
                f"{type(self).__name__} takes frames of shape (B, {self.in_channels}, H, W), "
                f"got {tuple(x.shape)}; the model's in_channels and the preprocessing must agree"
            )
        if min(x.shape[2:]) < self.min_size:
            raise ModelError(
                f"{type(self).__name__} needs frames of at least {self.min_size}x{self.min_size} pixels, "
                f"got {x.shape[2]}x{x.shape[3]} (height x width); raise the input size of the preprocessing"
            )


def _with_mirror_images(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (2B, C, H, W): frames, then their mirror images."""
    return torch.cat([x, x.flip(-1)])


def _halves_mean(logits: Tensor) -> Tensor:
    """(2B,) -> (B,): the mean of the first half and the second."""
    halves: Tensor = logits.unflatten(0, (2, -1))
    return halves.mean(dim=0)


def _own_precision(device_type: str) -> AbstractContextManager[object]:
    """Switch autocast off, if it is on.

    bfloat16 has 8 significant bits: logits rounded to them would tie. Small layers therefore run in their own precision
    even where the backbone uses autocast.
    """
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()  # an export would put the other into the graph


def check_in_channels(in_channels: int) -> int:
    """Return `in_channels`; raise a `ModelError` if it is neither 1 nor 3."""
    if in_channels not in (1, 3):
        raise ModelError(f"in_channels must be 3 (RGB) or 1 (grey), got {in_channels}")
    return in_channels
