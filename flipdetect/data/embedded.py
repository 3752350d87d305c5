"""The data set that comes with the program: rendered on first use, noticed when it is old."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

from flipdetect.synth import RENDER_VERSION, SynthConfig, is_current, render_dataset

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddedData:
    """Where the embedded set lies and what it holds.

    Attributes:
        root: its folder. It is rendered only if `data.root` names this very folder, so that a mistyped folder of
            one's own is an error instead of a rendering.
        render: what is rendered.
    """

    root: str = "data/embedded"
    render: SynthConfig = field(default_factory=SynthConfig)

    def ensure(self, root: Path) -> bool:
        """Render the set if `root` is its folder.

        Returns:
            True if `root` is the embedded set's folder.
        """
        if root.resolve() != Path(self.root).resolve():
            return False
        self.render_if_needed()
        return True

    def render_if_needed(self) -> None:
        """Render the set into its folder if it is absent, incomplete or of another version or setting."""
        root = Path(self.root)
        if not is_current(root, self.render):
            logger.info(
                "Rendering the embedded data (version %d: %d books, %d clips each, %d frames a clip) into %s. "
                "This happens once; it can be interrupted and goes on where it stopped.",
                RENDER_VERSION,
                self.render.sources,
                self.render.clips_per_source,
                self.render.frames_per_clip,
                root,
            )
            render_dataset(root, self.render)
