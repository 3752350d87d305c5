"""The nouns of the program: a labelled frame, a scored frame, the names of the two classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flipdetect.errors import ConfigError


@dataclass(frozen=True)
class ClassNames:
    """The two classes of a task; the positive one is what F1, precision and recall speak of.

    Raises:
        ConfigError: if both classes have one name, or a name is empty.
    """

    negative: str = "notflip"
    positive: str = "flip"

    def __post_init__(self) -> None:
        if not self.negative or not self.positive or self.negative == self.positive:
            raise ConfigError(
                f"two different, non-empty class names are needed, got negative={self.negative!r} "
                f"and positive={self.positive!r}; set data.classes.negative and data.classes.positive"
            )

    @property
    def names(self) -> tuple[str, str]:
        """(negative, positive): the position of a name is its target, 0 or 1."""
        return (self.negative, self.positive)

    def target(self, label: str) -> int:
        """1 for the positive class, 0 for the negative one.

        Raises:
            ConfigError: if `label` is neither.
        """
        if label not in self.names:
            raise ConfigError(f"label {label!r} is none of the two classes {self.negative!r}, {self.positive!r}")
        return self.names.index(label)


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One labelled frame of a data set.

    Attributes:
        path: the file.
        label: name of its class.
        video: the clip it belongs to, unique in the data set; no video may stand on two sides of a split.
        frame: its number within the video (a count of frames, not a time), None if the name has none.
        source: the book and desk (or the person) filmed; several videos may share one. None if unknown.
        supplied_split: "train" or "test" if the data set came split in two folders, else None.
        extra: further columns of the manifest by lower-case name, as written there (a rendered set's `phase`);
            two records that differ in them alone are equal.
    """

    path: Path
    label: str
    video: str
    frame: int | None = None
    source: str | None = None
    supplied_split: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class FrameScore:
    """What a model says of one frame; a frame that could not be read has a reason instead of a probability.

    Attributes:
        path: the file, as it is to be written in a table.
        video: the clip it belongs to.
        frame: its number within the video, None if unknown.
        probability: of the positive class, 0 to 1; None if the frame could not be scored.
        label: the predicted class, None if the frame could not be scored.
        error: why there is no probability; empty if there is one.
    """

    path: str
    video: str
    frame: int | None = None
    probability: float | None = None
    label: str | None = None
    error: str = ""
