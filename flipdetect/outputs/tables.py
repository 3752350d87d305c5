"""Tables for a terminal: flips per video, turns and spreads per film."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from flipdetect.outputs.text import clock
from flipdetect.records import ClassNames, FrameScore, VideoResult

MOST_ROWS = 40
MOST_FLAWS = 12


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """What the predictions say of one video.

    Attributes:
        video: the clip.
        frames: its frames, unreadable ones included.
        flips: frames predicted as the positive class.
        errors: frames that could not be scored.
        mean_probability: over the scored frames; None if there is none.
        max_probability: over the scored frames; None if there is none.
    """

    video: str
    frames: int
    flips: int
    errors: int
    mean_probability: float | None
    max_probability: float | None


def flips_per_video(scores: Iterable[FrameScore], positive: str = ClassNames().positive) -> list[VideoSummary]:
    """Summarise frames by video, in the order in which the videos first appear.

    Args:
        scores: in any order; read once and not kept, so that a generator over any number of frames will do.
        positive: name of the positive class.
    """
    tallies: dict[str, _Tally] = {}
    for score in scores:
        tallies.setdefault(score.video, _Tally()).add(score, positive)
    return [tally.summary(video) for video, tally in tallies.items()]


@dataclass(slots=True)
class _Tally:
    frames: int = 0
    flips: int = 0
    scored: int = 0
    total: float = 0.0
    highest: float = 0.0

    def add(self, score: FrameScore, positive: str) -> None:
        self.frames += 1
        self.flips += score.label == positive
        if score.probability is not None:
            self.scored += 1
            self.total += score.probability
            self.highest = max(self.highest, score.probability)

    def summary(self, video: str) -> VideoSummary:
        return VideoSummary(
            video=video,
            frames=self.frames,
            flips=self.flips,
            errors=self.frames - self.scored,
            mean_probability=self.total / self.scored if self.scored else None,
            max_probability=self.highest if self.scored else None,
        )


def format_video_table(
    summaries: Iterable[VideoSummary],
    max_rows: int | None = 40,
    positive: str = ClassNames().positive,
    clip_threshold: float | None = None,
) -> str:
    """Plain text for a terminal: one aligned row per video and a row of totals.

    Args:
        summaries: one per video.
        max_rows: videos shown; a last line counts the others. None shows all.
        positive: name of the positive class, the heading of its column.
        clip_threshold: a video counts as positive as a whole if its highest probability is at least this. Without,
            there is no such column.
    """
    summaries = list(summaries)
    shown = summaries if max_rows is None else summaries[:max_rows]
    rows: list[tuple[object, ...]] = [
        (each.video, each.frames, each.flips, each.errors, each.mean_probability, each.max_probability)
        for each in shown
    ]
    total = tuple(sum(getattr(each, name) for each in summaries) for name in ("frames", "flips", "errors"))
    rows.append((f"all {len(summaries)}", *total, None, None))
    headers = ["video", "frames", positive, "errors", "mean p", "max p"]
    if clip_threshold is not None:
        decided = [_decision(each, clip_threshold) for each in summaries]
        rows = [(*row, word) for row, word in zip(rows, [*decided[: len(shown)], decided.count("yes")], strict=True)]
        headers.append(f"contains_{positive}")
    text = tabulate(
        rows,
        headers=headers,
        colalign=["left"] + ["right"] * (len(headers) - 1),
        floatfmt=".3f",
        missingval="-",
        # A video named 0001 is a name, not the number 1.
        disable_numparse=[0],
    )
    hidden = len(summaries) - len(shown)
    return text + (f"\n({hidden} more videos not shown)" if hidden else "")


def _decision(summary: VideoSummary, threshold: float) -> str:
    if summary.max_probability is None:
        return "-"
    return "yes" if summary.max_probability >= threshold else "no"


def format_turn_table(results: Sequence[VideoResult]) -> str:
    """Plain text: a row per film, then the spreads that should be looked at."""
    rows = [
        (
            result.video,
            clock(result.duration_s),
            result.frames,
            len(result.events),
            len(result.stills),
            sum(still.same_as is not None for still in result.stills),
            sum(bool(still.flaw) and still.same_as is None for still in result.stills),
        )
        for result in results
    ]
    text = tabulate(
        rows[:MOST_ROWS],
        headers=("video", "length", "frames scored", "turns", "spreads", "seen before", "to look at"),
        colalign=("left", *["right"] * 6),
        disable_numparse=[0, 1],
    )
    hidden = len(rows) - MOST_ROWS
    flaws = [
        f"{result.video}, spread {still.spread}{_at(still.time_s)}: {still.flaw}"
        for result in results
        for still in result.stills
        if still.flaw and still.same_as is None
    ]
    more = len(flaws) - MOST_FLAWS
    lines = [text]
    lines += [f"({hidden} more films not shown)"] if hidden > 0 else []
    lines += [f"  {flaw}" for flaw in flaws[:MOST_FLAWS]]
    lines += [f"  ({more} more spreads to look at; flips.json lists all)"] if more > 0 else []
    return "\n".join(lines)


def _at(time_s: float | None) -> str:
    return "" if time_s is None else f" at {clock(time_s, 1)}"
