"""Write a CSV file whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from flipdetect.atomic import replacing


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as UTF-8 CSV, atomically: an interruption leaves the old file, or none.

    Creates the folder if need be. File names that are not valid UTF-8 are written byte for byte.

    Raises:
        OSError: if the folder cannot be written to.
    """
    with replacing(path) as part, part.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
