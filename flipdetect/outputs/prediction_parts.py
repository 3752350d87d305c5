"""The rows of predictions.csv as one file of many, Parquet or CSV, in a folder or below a URL."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.atomic import writing
from flipdetect.outputs.predictions import COLUMNS, PredictionWriter, formula_read, prediction_cells
from flipdetect.records import FrameScore
from flipdetect.sources.remote import is_url, open_place

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS = ("path", "video", "label", "error")


def write_part(scores: Sequence[FrameScore], place: str, name: str) -> None:
    """Write one file, which appears when it is complete.

    Args:
        scores: its rows.
        place: folder or URL.
        name: of the file; ends in .parquet or .csv. With .csv there are the fingerprints next to it, as with
            predictions.csv.

    Raises:
        DataError: if it cannot be written.
        OSError: if it cannot be copied to a URL.
    """
    with tempfile.TemporaryDirectory() if is_url(place) else nullcontext(place) as folder:
        path = Path(folder, name)
        if path.suffix == ".csv":
            with PredictionWriter(path) as writer:
                writer.write(scores)
        else:
            from pyarrow import parquet

            with writing(path) as unfinished:
                parquet.write_table(prediction_table(scores), unfinished)
        if is_url(place):
            files, root = open_place(place)
            for file in sorted(Path(folder).iterdir(), key=path.__eq__):  # the fingerprints before the rows
                files.put_file(str(file), f"{root}/{file.name}")


def prediction_table(scores: Sequence[FrameScore]) -> pa.Table:
    """Scores as an Arrow table with the columns and decimals of predictions.csv.

    Bytes of file names that are not UTF-8 become question marks.
    """
    import pyarrow as pa

    columns: list[pa.Array] = []
    for name, cells in zip(COLUMNS, zip(*map(prediction_cells, scores), strict=True), strict=True):
        if name in TEXTS:
            texts = (formula_read(cell).encode("utf-8", "replace").decode() for cell in cells)
            columns.append(pa.array(texts, pa.string()))
        else:
            numbers = pa.array([cell or None for cell in cells], pa.string())
            columns.append(numbers.cast(pa.int64() if name == "frame" else pa.float64()))
    return pa.table(columns, names=list(COLUMNS))
