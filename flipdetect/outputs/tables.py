"""Text for a terminal: times, a table of flips per video, a table of turns and spreads per film."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tabulate import tabulate

from flipdetect.errors import printable
from flipdetect.records import ClassNames, FrameScore, VideoResult

MOST_ROWS = 40
MOST_FLAWS = 12


def clock(seconds: float, decimals: int = 0) -> str:
    """`m:ss`, or `h:mm:ss` from an hour on, with as many decimals of the second; `0:07`, `12:05.25`, `1:02:03`."""
    unit = 10**decimals
    ticks = round(abs(seconds) * unit)
    whole, part = divmod(ticks, unit)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    sign = "-" if seconds < 0 and ticks else ""
    return sign + text + (f".{part:0{decimals}d}" if decimals else "")


def read_clock(text: str) -> float:
    """Seconds of a time as people write it: `12.5`, `12,5`, `0:12.5`, `1:02:03`.

    Raises:
        ValueError: if it is none.
    """
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:[.,]\d*)?|[.,]\d+)", text.strip())
    if match is None or (match[2] and (float(match[3].replace(",", ".")) >= 60 or (match[1] and int(match[2]) >= 60))):
        raise ValueError(f"{text!r} is no time; give seconds (12.5) or minutes and seconds (0:12.5)")
    return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + float(match[3].replace(",", "."))


@dataclass(frozen=True, slots=True)
class VideoSummary:
    """What the predictions say of one video's frames: how many are flips, and how many could not be scored."""

    video: str
    frames: int
    flips: int
    errors: int
    mean_probability: float | None
    max_probability: float | None


def flips_per_video(scores: Iterable[FrameScore], positive: str = ClassNames().positive) -> list[VideoSummary]:
    """Summarise frames by video, in the order in which the videos first appear."""
    frames: Counter[str] = Counter()
    flips: Counter[str] = Counter()
    probabilities: dict[str, list[float]] = {}
    for score in scores:
        frames[score.video] += 1
        flips[score.video] += score.label == positive
        found = probabilities.setdefault(score.video, [])
        if score.probability is not None:
            found.append(score.probability)
    return [
        VideoSummary(
            video, frames[video], flips[video], frames[video] - len(found),
            sum(found) / len(found) if found else None, max(found, default=None),
        )
        for video, found in probabilities.items()
    ]  # fmt: skip


def format_video_table(
    summaries: Iterable[VideoSummary], positive: str = ClassNames().positive, clip_threshold: float | None = None
) -> str:
    """Plain text for a terminal: one aligned row per video, `MOST_ROWS` at most, and a row of totals.

    Args:
        clip_threshold: a video counts as positive as a whole if its highest probability is at least this. Without,
            there is no such column.
    """
    summaries = list(summaries)
    rows: list[tuple[object, ...]] = [
        (printable(each.video), each.frames, each.flips, each.errors, each.mean_probability, each.max_probability)
        for each in summaries[:MOST_ROWS]
    ]
    total = tuple(sum(getattr(each, name) for each in summaries) for name in ("frames", "flips", "errors"))
    rows.append((f"all {len(summaries)}", *total, None, None))
    headers = ["video", "frames", positive, "errors", "mean p", "max p"]
    if clip_threshold is not None:
        highest = [each.max_probability for each in summaries]
        decided = ["-" if value is None else "yes" if value >= clip_threshold else "no" for value in highest]
        rows = [(*row, word) for row, word in zip(rows, [*decided[:MOST_ROWS], decided.count("yes")], strict=True)]
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
    hidden = len(summaries) - MOST_ROWS
    return text + (f"\n({hidden} more videos not shown)" if hidden > 0 else "")


def format_turn_table(results: Sequence[VideoResult]) -> str:
    """Plain text: a row per film, then the spreads to look at: first those where pages may be missing or doubled."""
    rows = [
        (
            printable(result.video),
            clock(result.duration_s),
            result.frames,
            result.turned,
            len(result.stills),
            sum(still.same_as is not None for still in result.stills),
            sum(bool(still.doubt or still.flaw) and still.same_as is None for still in result.stills),
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
    chosen = [(result, still) for result in results for still in result.stills if still.same_as is None]
    flaws = [
        f"{printable(result.video)}, spread {still.spread}"
        + ("" if still.time_s is None else f" at {clock(still.time_s, 1)}")
        + f": {'; '.join(filter(None, (still.doubt, still.flaw)))}"
        for result, still in sorted(chosen, key=lambda pair: not pair[1].doubt)
        if still.doubt or still.flaw
    ]
    doubtful = sum(result.doubtful for result in results)
    more = len(flaws) - MOST_FLAWS
    lines = [text]
    lines += [f"({hidden} more films not shown)"] if hidden > 0 else []
    lines += [f"Spreads that may be missing or doubled: {doubtful}"] if doubtful else []
    numbering = [f"  {printable(result.video)}: {text}" for result in results for text in result.numbering]
    lines += ["By the printed page numbers:", *numbering[:MOST_FLAWS]] if numbering else []
    lines += [f"  ({len(numbering) - MOST_FLAWS} more; flips.json lists all)"] if len(numbering) > MOST_FLAWS else []
    lines += [f"  {flaw}" for flaw in flaws[:MOST_FLAWS]]
    lines += [f"  ({more} more spreads to look at; flips.json lists all)"] if more > 0 else []
    return "\n".join(lines)
