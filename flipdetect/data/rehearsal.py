"""Rendered frames among one's own in training, so that what was learnt from them is not forgotten (rehearsal)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from torch.utils.data import Dataset

from flipdetect.data.dataset import Draw, Sample
from flipdetect.data.embedded import EmbeddedData
from flipdetect.errors import ConfigError
from flipdetect.records import ClassNames
from flipdetect.synth import RENDER_VERSION

RENDERED_CLASSES = ClassNames()
"""What the renderer calls its two classes; they stand for one's own negative and positive one, whatever their names."""


@dataclass(frozen=True)
class MixIn:
    """Which rendered frames are mixed into training, and how many.

    Training on a few frames alone makes a model forget the many that it has seen before; seeing some of those again
    prevents it (rehearsal: Robins, 1995).

    Attributes:
        embedded: the rendered set, its folder and settings; rendered on first use.
        share: of the frames drawn in an epoch, 0 to below 1; 0 mixes nothing in.

    Raises:
        ConfigError: if the share cannot work.
    """

    embedded: EmbeddedData = field(default_factory=EmbeddedData)
    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ConfigError(
                f"data.mix_in.share must lie in [0, 1), got {self.share}; 0.5 mixes in as many rendered frames as "
                "there are of your own"
            )

    def describe(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, in plain JSON types: the same frames can be rendered from that again."""
        return {"share": self.share, "render": asdict(self.embedded.render), "render_version": RENDER_VERSION}


class MixedFrames(Dataset[Sample]):
    """Two data sets behind one another: one's own training frames first, then the rendered ones."""

    def __init__(self, own: Dataset[Sample], rendered: Dataset[Sample]) -> None:
        self._own: Any = own
        self._rendered: Any = rendered

    def __len__(self) -> int:
        return len(self._own) + len(self._rendered)

    def __getitem__(self, draw: Draw) -> Sample:
        """The sample of a draw; its `index` counts through both sets.

        Raises:
            FrameError: if the frame has become unreadable since it was checked.
        """
        first = len(self._own)
        if draw.index < first:
            sample: Sample = self._own[draw]
            return sample
        sample = self._rendered[Draw(draw.epoch, draw.index - first, draw.repeat)]
        sample["index"] = draw.index
        return sample
