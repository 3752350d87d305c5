"""Turns and spreads as flips.csv, a row per turn, and as flips.json, all there is; docs/outputs.md describes both."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from flipdetect.atomic import explaining, write_csv, writing
from flipdetect.outputs.predictions import formula_safe
from flipdetect.records import DECIMALS, StillPaths, VideoResult

SCHEMA = "flipdetect.flips"
VERSION = 3
COLUMNS = (
    "video", "event", "kind", "start_frame", "peak_frame", "end_frame", "start_s", "peak_s", "end_s", "duration_s",
    "mean_probability", "peak_probability", "still", "still_time_s", "still_quality", "still_flaw", "still_doubt",
    "rotate",
)  # fmt: skip


def write_flips_csv(path: Path, results: Sequence[VideoResult], paths: StillPaths | None = None) -> None:
    """Write one row per turn, with the still of the spread that it reveals: turn n reveals spread n + 1.

    Args:
        paths: files of the stills that were saved; a missing one leaves its cell empty.

    Raises:
        DataError: if the file cannot be written.
    """
    rows = []
    for result in results:
        stills = {still.spread: still for still in result.stills}
        for event in result.events:
            still = stills.get(event.number + 1)
            rows.append((
                formula_safe(result.video), event.number, event.kind,
                event.start_frame, event.peak_frame, event.end_frame,
                *(_cell(getattr(event, name)) for name in COLUMNS[6:12]),
                formula_safe((paths or {}).get((result.video, event.number + 1), "")),
                *((_cell(still.time_s), _cell(still.quality), still.flaw, still.doubt) if still else ("",) * 4),
                (still and still.rotate) or "",
            ))  # fmt: skip
    with explaining(path):
        write_csv(path, COLUMNS, rows)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.{DECIMALS}f}"


def write_flips_json(path: Path, results: Sequence[VideoResult], paths: StillPaths | None = None) -> None:
    """Write all results, in the format of `flips.schema.json` in this folder.

    Args:
        paths: files of the stills that were saved; the others have null.

    Raises:
        DataError: if the file cannot be written.
        ValueError: if a number is not finite.
    """
    videos = [result.to_dict(paths) for result in results]
    document = {"schema": SCHEMA, "version": VERSION, "videos": videos}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    # Bytes of a file name that are no UTF-8: JSON can hold them escaped only.
    text = re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
    with writing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")
