"""Rendered frames: the embedded data set, and rendered frames mixed into the training on other frames (rehearsal)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from flipdetect.data.grouped_splits import split_records
from flipdetect.data.splits import Split
from flipdetect.errors import ConfigError
from flipdetect.records import ClassNames, FrameRecord
from flipdetect.synth import RENDER_VERSION, SynthConfig, is_current, render_dataset

logger = logging.getLogger(__name__)

RENDERED_CLASSES = ClassNames()
"""The renderer's names of the two classes; they map to the negative and positive class of any other data set."""
HELD_OUT = 0.3
"""Share of the rendered books that are not mixed in: their frames measure whether training forgets."""


@dataclass(frozen=True)
class EmbeddedData:
    """The rendered data set that the program can make by itself.

    Attributes:
        root: its folder. It is rendered only if `data.root` names this folder, so that a mistyped folder of your own
            is an error instead of a rendering.
        render: what is rendered.
    """

    root: str = "data/embedded"
    render: SynthConfig = field(default_factory=SynthConfig)

    def ensure(self, root: Path) -> bool:
        """Render the set if `root` is its folder; returns whether it is."""
        if root.resolve() != Path(self.root).resolve():
            return False
        self.render_if_needed()
        return True

    def render_if_needed(self) -> None:
        """Render the set into its folder if it is absent, incomplete, or of another version or setting."""
        root = Path(self.root)
        if not is_current(root, self.render):
            logger.info(
                "Rendering the embedded data (version %d: %d books, %d clips each, %d frames a clip) into %s. "
                "This happens once; an interrupted rendering continues where it stopped.",
                RENDER_VERSION,
                self.render.sources,
                self.render.clips_per_source,
                self.render.frames_per_clip,
                root,
            )
            render_dataset(root, self.render)


@dataclass(frozen=True)
class MixIn:
    """Which rendered frames are mixed into training, and how many.

    Fine-tuning on a few frames makes a model forget the many that it was trained on before; seeing some of those again
    prevents it (rehearsal: Robins, 1995).

    Attributes:
        embedded: the rendered set, its folder and settings; rendered on first use.
        share: of the frames drawn in an epoch, 0 to below 1; 0 mixes nothing in.

    Raises:
        ConfigError: if the share is out of range.
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
        """What a checkpoint stores, in plain JSON types: enough to render the same frames again."""
        return {"share": self.share, "render": asdict(self.embedded.render), "render_version": RENDER_VERSION}


def rehearsal_split(records: Sequence[FrameRecord]) -> Split:
    """The rendered frames that are mixed in (`train`), and those of other books (`val`), which are not."""
    return split_records(records, classes=RENDERED_CLASSES, val_fraction=HELD_OUT, test_fraction=0.0, group_by="source")
