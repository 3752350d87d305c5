"""Turns and spreads as flips.csv, a row per turn, and as flips.json, all there is; docs/outputs.md describes both."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flipdetect.errors import DataError
from flipdetect.outputs.flips_reading import as_results
from flipdetect.outputs.writing import writing
from flipdetect.records import FlipEvent, FrameQuality, Still, VideoResult

SCHEMA = "flipdetect.flips"
VERSION = 2
COLUMNS = (
    "video",
    "event",
    "start_frame",
    "peak_frame",
    "end_frame",
    "start_s",
    "peak_s",
    "end_s",
    "duration_s",
    "mean_probability",
    "peak_probability",
    "still",
    "still_time_s",
    "still_quality",
    "still_flaw",
)
DECIMALS = 6  # of seconds and shares, in both files

StillPaths = Mapping[tuple[str, int], str]
"""(video, spread) -> the still's file, as it is to be written in a table."""


def write_flips_csv(path: Path, results: Sequence[VideoResult], paths: StillPaths | None = None) -> None:
    """Write one row per turn, with the still of the spread that it reveals: turn n reveals spread n + 1.

    Args:
        path: the table.
        results: one per video.
        paths: files of the stills that were saved; a missing one leaves its cell empty.

    Raises:
        DataError: if the file cannot be written.
    """
    # File names that are no UTF-8 are written byte for byte, as in predictions.csv.
    with writing(path) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for result in results:
            table.writerows(_rows(result, paths or {}))


def _rows(result: VideoResult, paths: StillPaths) -> Iterator[list[object]]:
    stills = {still.spread: still for still in result.stills}
    for event in result.events:
        still = stills.get(event.number + 1)
        yield [
            result.video,
            event.number,
            *("" if frame is None else frame for frame in (event.start_frame, event.peak_frame, event.end_frame)),
            *(_cell(time) for time in (event.start_s, event.peak_s, event.end_s, event.duration_s)),
            _cell(event.mean_probability),
            _cell(event.peak_probability),
            paths.get((result.video, event.number + 1), ""),
            _cell(still.time_s if still else None),
            _cell(still.quality if still else None),
            still.flaw if still else "",
        ]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.{DECIMALS}f}"


def write_flips_json(path: Path, results: Sequence[VideoResult], paths: StillPaths | None = None) -> None:
    """Write all that was found, as `flips.schema.json` beside this module describes it.

    Args:
        path: the file.
        results: one per video.
        paths: files of the stills that were saved; the others have null.

    Raises:
        DataError: if the file cannot be written.
        ValueError: if a number is not finite.
    """
    videos = [_video(result, paths or {}) for result in results]
    document = {"schema": SCHEMA, "version": VERSION, "videos": videos}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    # Bytes of a file name that are no UTF-8: JSON can hold them escaped only.
    text = re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
    with writing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def read_flips_json(path: Path) -> list[VideoResult]:
    """Read what `write_flips_json` wrote, names of files excepted; fields it does not know are passed over.

    Turns and stills come back with the name of their video, numbers with six decimals.

    Raises:
        DataError: if the file is missing, is no such file, is of another version, or a field is missing or
            cannot be understood; the message names the file and the field.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise DataError(f'{path} is not a table of flips: it has no "schema": "{SCHEMA}"')
    if document.get("version") != VERSION:
        raise DataError(
            f"{path} is of version {document.get('version')!r}, this program reads version {VERSION}; "
            f"read it with the program that wrote it, or make it anew"
        )
    return as_results(document, str(path))


def _video(result: VideoResult, paths: StillPaths) -> dict[str, Any]:
    return {
        "video": result.video,
        "source": result.source,
        "duration_s": _round(result.duration_s),
        "frames": result.frames,
        "model": result.model,
        "threshold": _round(result.threshold),
        "complete": result.complete,
        "problems": list(result.problems),
        "events": [_event(event) for event in result.events],
        "spreads": [_spread(still, paths.get((result.video, still.spread))) for still in result.stills],
    }


def _event(event: FlipEvent) -> dict[str, Any]:
    return {
        "event": event.number,
        "start_frame": event.start_frame,
        "peak_frame": event.peak_frame,
        "end_frame": event.end_frame,
        "start_s": _round(event.start_s),
        "peak_s": _round(event.peak_s),
        "end_s": _round(event.end_s),
        "mean_probability": _round(event.mean_probability),
        "peak_probability": _round(event.peak_probability),
    }


def _spread(still: Still, file: str | None) -> dict[str, Any]:
    return {
        "spread": still.spread,
        "start_s": _round(still.start_s),
        "end_s": _round(still.end_s),
        "time_s": _round(still.time_s),
        "frame": still.frame,
        "quality": _round(still.quality),
        "flaw": still.flaw,
        "same_as": still.same_as,
        "file": file,
        "measured": None if still.measured is None else _measured(still.measured),
    }


def _measured(quality: FrameQuality) -> dict[str, Any]:
    return {
        "sharpness": float(f"{quality.sharpness:.6g}"),
        "exposure": _round(quality.exposure),
        "coverage": _round(quality.coverage),
        "motion": _round(quality.motion),
        "fingerprint": quality.fingerprint,
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), DECIMALS)
