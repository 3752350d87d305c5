"""What every frame classifier has in common: a backbone, and what makes one logit of its features."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from flipdetect.errors import ModelError
from flipdetect.models.evidence_maps import Evidence, EvidenceBranch, check_evidence
from flipdetect.models.stages import Stage


def logit_head(in_features: int, dropout: float) -> nn.Sequential:
    """Dropout and one linear unit: (B, in_features) -> (B, 1).

    Raises:
        ModelError: if `dropout` is not in [0, 1).
    """
    if not 0.0 <= dropout < 1.0:
        raise ModelError(f"dropout must be in [0, 1), got {dropout}")
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(in_features, 1))


class FrameModel(nn.Module):
    """A binary classifier of single frames.

    Attributes:
        backbone: (B, in_channels, H, W) float32 -> (B, num_features) pooled embedding; what a freezing
            callback holds still.
        head: (B, num_features) -> (B, 1); always trained. None if the maps alone make the logit.
        evidence: maps of sheet, edge and hands and their part in the logit; always trained. None without maps.
        in_channels: colour channels of the input, 3 for RGB or 1 for grey.
        num_features: length of the embedding.
        min_size: smallest height and width, in pixels, that the backbone can reduce.
        level_channels, level_stages: as below.
        mirrored: outside training, logit and maps are the mean of a frame's own and its mirror image's. Off at first.
        trained_statistics: mean and standard deviation per channel (RGB) that frames were normalised with when the
            backbone was pretrained on ImageNet; None if it was not.

    Args:
        evidence: "none": the logit is made of the embedding; "maps": of the maps; "both": of both, as a sum.
        level_channels: of the feature maps that `_pyramid` returns, from fine to coarse; needed for maps.
        level_stages: of each of them, the position in `backbone_stages` of the stage whose output it is. Empty where
            `_pyramid` finds them in another way.
        map_width: channels into which they are fused.
        refine_maps: whether a convolution follows the fusion; see `EvidenceBranch`.

    Raises:
        ModelError: if `dropout` or `evidence` has a value that cannot work.
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
        check_evidence(evidence)
        self.in_channels = in_channels
        self.num_features = num_features
        self.min_size = min_size
        self.level_channels = tuple(level_channels)
        self.level_stages = tuple(level_stages)
        self.mirrored = False
        self.trained_statistics: tuple[Sequence[float], Sequence[float]] | None = None
        self.backbone = backbone
        self.head = None if evidence == "maps" else logit_head(num_features, dropout)
        self.evidence = None if evidence == "none" else EvidenceBranch(level_channels, map_width, refine=refine_maps)

    @property
    def has_maps(self) -> bool:
        """Whether `forward_maps` can be called."""
        return self.evidence is not None

    def forward_features(self, x: Tensor) -> Tensor:
        """Embed frames.

        Args:
            x: (B, in_channels, H, W) float32, normalised as the preprocessing says.

        Returns:
            (B, num_features) float32, also under autocast.

        Raises:
            ModelError: if the shape does not fit this model, or the model has no embedding.
        """
        if self.head is None:
            raise ModelError("with evidence: maps a model has no embedding; set evidence: both or none")
        self._check_input(x)
        features: Tensor = self.backbone(x)
        return features.float()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) float32 -> (B,) float32 logits of the positive class.

        Raises:
            ModelError: if the shape does not fit this model.
        """
        if self.evidence is not None:
            return self.forward_maps(x)[0]
        if self._mirrors:
            return _halves_mean(self._embedded_logits(_with_mirror_images(x)))
        return self._embedded_logits(x)

    def _embedded_logits(self, x: Tensor) -> Tensor:
        features = self.forward_features(x)
        with _own_precision(x.device.type):
            return self._logits(features)

    def forward_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and where the evidence for them lies.

        Args:
            x: (B, in_channels, H, W) float32.

        Returns:
            (B,) float32 logits of the positive class, and (B, 3, ceil(H/8), ceil(W/8)) float32 logits of what covers
            each position: a sheet in the air, its free edge, hands. Float32 under autocast, too.

        Raises:
            ModelError: if the shape does not fit this model, or it has no maps.
        """
        if not self._mirrors:
            return self.forward_levels(x)[:2]
        logits, maps, _ = self.forward_levels(_with_mirror_images(x))
        own, mirror = maps.unflatten(0, (2, -1))
        return _halves_mean(logits), (own + mirror.flip(-1)) / 2

    @property
    def _mirrors(self) -> bool:
        return self.mirrored and not self.training

    def forward_levels(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """What `forward_maps` returns, mirror images left aside, and the feature maps that it is made of.

        Returns:
            Logits (B,), maps (B, 3, Hm, Wm), and feature maps (B, C_i, H_i, W_i) with C_i of `level_channels`, from
            fine to coarse; under autocast the latter have its precision.

        Raises:
            ModelError: as `forward_maps`.
        """
        if self.evidence is None:
            raise ModelError("with evidence: none a model has no maps; set evidence: both or maps")
        self._check_input(x)
        embedding, levels = self._pyramid(x)
        logits, maps = self._judge_levels(embedding, levels)
        return logits, maps, levels

    def _judge_levels(self, embedding: Tensor | None, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        assert self.evidence is not None
        fused = self.evidence.fuse(levels)
        with _own_precision(fused.device.type):
            logits, maps = self.evidence(fused.float())
            if embedding is not None:
                logits = logits + self._logits(embedding.float())
        return logits, maps

    def _pyramid(self, x: Tensor) -> tuple[Tensor | None, list[Tensor]]:
        """The embedding (None if there is no head to read it) and the backbone's feature maps, from fine to coarse.

        The first has a stride of 8 pixels.
        """
        features, levels = self.run_stages(x)
        return None if self.head is None else self.pool_features(features), levels

    def backbone_stages(self) -> list[Stage]:
        """The backbone from input to output, in stages of modules that are applied one after another.

        `pool_features` of the last one's output is what the backbone computes. Layers that only come to effect behind
        the pooling are in none. A backbone whose structure is not known is a single stage.
        """
        return [(self.backbone,)]

    def run_stages(self, x: Tensor, start: int = 0, stop: int | None = None) -> tuple[Tensor, list[Tensor]]:
        """Run the stages of the backbone, or a part of them.

        Args:
            x: what stage `start` takes: for stage 0 frames (B, in_channels, H, W) float32, normalised, else the output
                of the stage before it.
            start: the first stage to run.
            stop: the first one not to run any more; None to run all.

        Returns:
            The output of the last stage run (`x` itself if there is none to run), (B, C, H, W); and those feature maps
            (B, C_i, H_i, W_i) of `level_stages` that are outputs of the stages run, from fine to coarse. Under autocast
            they have its precision.
        """
        levels = []
        for number, stage in enumerate(self.backbone_stages()[start:stop], start):
            for module in stage:
                x = module(x)
            if number in self.level_stages:
                levels.append(x)
        return x, levels

    def pool_features(self, features: Tensor) -> Tensor:
        """The last stage's output (B, C, H, W) -> the embedding (B, num_features), in the precision of the features.

        A backbone of a single stage has pooled them already. Only to be called if there is a `head` to read it.
        """
        return features

    def encode(self, x: Tensor, stages: int) -> list[Tensor]:
        """What the first stages of the backbone hand on to the rest of the model; `forward_encoded` goes on from it.

        Args:
            x: frames (B, in_channels, H, W) float32, normalised.
            stages: how many to run, from 1 to all of `backbone_stages`.

        Returns:
            The feature maps of `level_stages` among them, (B, C_i, H_i, W_i), from fine to coarse; then the output of
            the last stage run (B, C, H, W), unless it is the last of them, or, of all stages, the embedding
            (B, num_features). What the rest does not read is left out.

        Raises:
            ModelError: if the shape does not fit this model.
        """
        self._check_input(x)
        last, levels = self.run_stages(x, stop=stages)
        levels = levels if self.has_maps else []
        if stages < len(self.backbone_stages()):
            return levels if levels and levels[-1] is last else [*levels, last]
        return levels if self.head is None else [*levels, self.pool_features(last)]

    def forward_encoded(self, encoded: Sequence[Tensor], stages: int) -> tuple[Tensor, Tensor | None]:
        """Go on from what `encode` returned for the same number of stages; without the mean with mirror images.

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
            return self._judge_levels(embedding, levels)
        assert embedding is not None
        with _own_precision(embedding.device.type):
            return self._logits(embedding.float()), None

    def _logits(self, features: Tensor) -> Tensor:
        assert self.head is not None
        logits: Tensor = self.head(features.to(next(self.head.parameters()).dtype))
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
    """(B, C, H, W) -> (2B, C, H, W): frames, and after them their mirror images."""
    return torch.cat([x, x.flip(-1)])


def _halves_mean(logits: Tensor) -> Tensor:
    """(2B,) -> (B,): the mean of the first half and the second."""
    halves: Tensor = logits.unflatten(0, (2, -1))
    return halves.mean(dim=0)


def _own_precision(device_type: str) -> AbstractContextManager[object]:
    """Autocast switched off where it is on.

    bfloat16 has 8 significant bits: logits rounded to them tie by the dozen and blur the threshold. What is small
    therefore runs in its own precision even where the backbone is autocast.
    """
    if torch.is_autocast_enabled(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()  # an export would keep the other as a part of the graph


def check_in_channels(in_channels: int) -> int:
    """`in_channels` itself, if frames can have that many.

    Raises:
        ModelError: if it is neither 1 nor 3.
    """
    if in_channels not in (1, 3):
        raise ModelError(f"in_channels must be 3 (RGB) or 1 (grey), got {in_channels}")
    return in_channels
