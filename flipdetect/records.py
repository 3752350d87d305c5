"""The nouns of the program: a labelled frame, a scored frame, a page turn, a still, the names of the two classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

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
        """1 for the positive class, 0 for the negative one; raises ConfigError if `label` is neither."""
        if label not in self.names:
            raise ConfigError(f"label {label!r} is none of the two classes {self.negative!r}, {self.positive!r}")
        return self.names.index(label)


_NO_COLUMNS: Mapping[str, str] = {}  # one for all records: an empty dictionary of each one's own would take 64 bytes


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One labelled frame of a data set.

    A set has hundreds of thousands of these, so they are kept small: `path` is made when it is asked for, of text.

    Attributes:
        path: the file. A new object each time; `file` is quicker as a key.
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
    extra: Mapping[str, str] = field(default_factory=lambda: _NO_COLUMNS, compare=False)

    @property
    def file(self) -> str:
        """`path` as text."""
        return _file_slot.__get__(self)  # type: ignore[no-any-return]


class _PathAsText:
    """Keeps the field `path` as text in its slot: a `Path` that was used takes 500 bytes, its text 100."""

    def __get__(self, record: FrameRecord, owner: type | None = None) -> Path:
        return Path(_file_slot.__get__(record))

    def __set__(self, record: FrameRecord, path: Path | str) -> None:
        _file_slot.__set__(record, os.fspath(path))


_file_slot: Any = FrameRecord.__dict__["path"]
FrameRecord.path = _PathAsText()  # type: ignore[assignment, misc]


DECIMALS = 6
"""Of seconds and shares, in all files. What is measured of a frame is rounded when it is measured, so that a table that
is read again gives the same turns and stills."""


@dataclass(frozen=True, slots=True)
class FrameQuality:
    """How good a picture of the pages a frame is, measured at reduced size; see `flipdetect.stills.quality.FrameMeter`.

    Attributes:
        sharpness: of what lies outside the hands, 0 or more; to be compared within one video alone.
        exposure: share of the paper that is neither black nor overexposed, 0 to 1.
        coverage: share of the pages that hands cover, 0 to 1; None if nothing is known of hands.
        motion: mean change of brightness since the frame measured before, 0 to 1; None for the first one.
        fingerprint: perceptual hash of the pages, as hexadecimal digits; frames of one spread differ in few bits.
    """

    sharpness: float
    exposure: float
    coverage: float | None
    motion: float | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class FrameScore:
    """What a model says of one frame; a frame that could not be read has an `error` in place of a probability."""

    path: str
    video: str
    frame: int | None = None
    probability: float | None = None
    label: str | None = None
    error: str = ""
    time_s: float | None = None
    quality: FrameQuality | None = None


@dataclass(frozen=True, slots=True)
class FoundBox:
    """An object that a detector found in a picture.

    Attributes:
        x0, y0, x1, y1: its left, upper, right and lower edge, in pixels of the whole picture as it is shown upright;
            whole numbers are edges of pixels.
    """

    label: str
    score: float
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """What a detector found in a picture file: boxes, the highest score first.

    Attributes:
        path: as it is to be written in a table.
        width, height: of the upright picture in pixels; 0 if it could not be read.
        error: why it could not be read; empty if it could.
    """

    path: str
    width: int = 0
    height: int = 0
    boxes: tuple[FoundBox, ...] = ()
    error: str = ""


StillPaths = Mapping[tuple[str, int], str]
"""(video, spread) -> the still's file, as it is to be written in a table."""

TURN, CONTENT, TAKEN_BACK = "turn", "content change", "taken back"


@dataclass(frozen=True, slots=True)
class FlipEvent:
    """A turn of a page, found in the scores of a video's frames.

    Times are time stamps of frames, in seconds on the clock that the scores came with; the turn may have begun or
    ended up to one frame interval outside of them.

    Attributes:
        number: from 1, in order of time.
        start_frame, peak_frame, end_frame: numbers of these frames, None if frames had none.
        mean_probability: mean over the frames from start to end that could be scored, 0 to 1.
        kind: `TURN`, as seen by the model; `CONTENT`: other pages lie there, though no turn was seen; `TAKEN_BACK`:
            seen, but the same pages lie there again.
    """

    number: int
    start_s: float
    peak_s: float
    end_s: float
    start_frame: int | None
    peak_frame: int | None
    end_frame: int | None
    mean_probability: float
    peak_probability: float
    video: str = ""
    kind: str = TURN

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the last; 0 if there is but one."""
        return self.end_s - self.start_s


WHOLE_FRAME = "whole"


@dataclass(frozen=True, slots=True)
class BookPage:
    """A page of a still.

    Attributes:
        side: "left" or "right" as one reads; `WHOLE_FRAME` where pages are in doubt.
        outline: (x, y) in pixels of the still, around the page; empty for the whole frame.
        confidence: how sure the outline is, 0 to 1.
        in_view: share of the page that is inside the still, 0 to 1; None for the whole frame.
        flaw: why the page is left out, or the whole frame is kept, for the user; empty if it is good.
        file: as it is to be written in a table; None if it was not saved.
    """

    side: str
    outline: tuple[tuple[float, float], ...]
    confidence: float
    in_view: float | None
    flaw: str = ""
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Still:
    """The frame to keep of a spread: of the two pages that lie open between one turn and the next.

    Attributes:
        spread: from 1, in order of time.
        start_s, end_s: seconds between which the spread is in view.
        time_s: second of the chosen frame; None if there is none to choose.
        frame: its number, None if it has none.
        quality: 0 (useless) to 1 (sharp, still, well exposed, free of hands); None without a frame.
        flaw: what is wrong with the best frame there is, for the user; empty if it is good.
        same_as: the earlier spread that shows the same pages; None if this one shows others.
        doubt: why this spread may be missing pages, or may be there twice, for the user; empty if it is sound.
        measured: the chosen frame's measurements; None without a frame.
        rotate: degrees clockwise by which a person turned its picture.
        page_numbers: printed numbers of its pages, as far as they were read.
        pages: where its pages lie, in reading order; empty if they were not looked for.
    """

    spread: int
    video: str
    start_s: float
    end_s: float
    time_s: float | None
    frame: int | None
    quality: float | None
    flaw: str = ""
    same_as: int | None = None
    measured: FrameQuality | None = None
    doubt: str = ""
    rotate: int = 0
    page_numbers: tuple[int, ...] = ()
    pages: tuple[BookPage, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoResult:
    """What was found in one video, or in one folder's sequence of frames.

    Attributes:
        video: its name, as in the tables.
        duration_s: seconds of the film; up to the last frame that was looked at, if its source does not say.
        frames: how many frames were scored or failed.
        stills: one per spread, in order of time; empty if none were looked for.
        threshold: probability from which a frame counts as a flip.
        problems: what went wrong, for the user: lost parts, unreadable frames.
        numbering: gaps, doubles and disorder by printed page numbers, for the user.
        decoding: what was decoded of a video, "key frames" (and what lies between those that differ) or "every frame";
            empty of other sources, and where scores of an earlier run were used.
        scores: of its frames, in order of time; empty if the result was read from flips.json.
    """

    video: str
    source: str
    duration_s: float
    frames: int
    events: tuple[FlipEvent, ...]
    stills: tuple[Still, ...] = ()
    model: str = ""
    threshold: float | None = None
    problems: tuple[str, ...] = ()
    complete: bool = True
    numbering: tuple[str, ...] = ()
    decoding: str = ""
    scores: tuple[FrameScore, ...] = field(default=(), repr=False, compare=False)

    @property
    def turned(self) -> int:
        """Number of turns after which other pages lie there, as far as is known."""
        return sum(event.kind != TAKEN_BACK for event in self.events)

    @property
    def doubtful(self) -> int:
        """Number of spreads that may be there twice, or before or in which pages may be missing."""
        return sum(bool(still.doubt) for still in self.stills)

    def to_dict(self, paths: StillPaths | None = None) -> dict[str, Any]:
        """A video of flips.json, as `json.dumps` takes it: all but the scores. Stills without a path were not saved."""
        spreads = [
            {
                **_rounded(still, _STILL_FIELDS),
                "file": (paths or {}).get((self.video, still.spread)),
                "measured": still.measured
                and {"sharpness": float(f"{still.measured.sharpness:.6g}"), **_rounded(still.measured, _SHARES)},
                "rotate": still.rotate,
                "page_numbers": list(still.page_numbers),
                "pages": [_rounded(page, _PAGE_FIELDS) for page in still.pages],
            }
            for still in self.stills
        ]
        return {
            **_rounded(self, _VIDEO_FIELDS),
            "doubtful": self.doubtful,
            "problems": list(self.problems),
            "numbering": list(self.numbering),
            "events": [{"event": event.number, **_rounded(event, _EVENT_FIELDS)} for event in self.events],
            "spreads": spreads,
        }


_PAGE_FIELDS = ("side", "outline", "confidence", "in_view", "flaw", "file")
_VIDEO_FIELDS = ("video", "source", "duration_s", "frames", "decoding", "model", "threshold", "complete")
_EVENT_FIELDS = (
    "kind", "start_frame", "peak_frame", "end_frame", "start_s", "peak_s", "end_s", "mean_probability",
    "peak_probability",
)  # fmt: skip
_STILL_FIELDS = ("spread", "start_s", "end_s", "time_s", "frame", "quality", "flaw", "same_as", "doubt")
_SHARES = ("exposure", "coverage", "motion", "fingerprint")


def _rounded(source: object, names: Sequence[str]) -> dict[str, Any]:
    values = {name: getattr(source, name) for name in names}
    return {name: round(value, DECIMALS) if isinstance(value, float) else value for name, value in values.items()}


class TimedEvent(Protocol):
    """An event with two times in seconds: found, true, rendered."""

    @property
    def start_s(self) -> float:
        """Second at which it begins."""

    @property
    def end_s(self) -> float:
        """Second at which it ends."""
