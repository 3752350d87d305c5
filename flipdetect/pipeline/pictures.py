"""Frame files that belong to no film: scored, and their rows written. Nothing that films need is imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flipdetect.inference.score import Predictor
from flipdetect.outputs.predictions import PredictionWriter
from flipdetect.progress import progress_bar
from flipdetect.records import FrameScore
from flipdetect.sources.folder import name_below


def score_frames(
    predictor: Predictor, files: Sequence[Path], root: Path, writer: PredictionWriter, scores: list[FrameScore]
) -> None:
    """Score frame files, writing their rows; files that the writer resumes are not scored again.

    Args:
        predictor: to score with.
        files: in the order of the rows.
        root: rows name files relative to this folder.
        writer: for the rows.
        scores: all scores are appended to this list, so that they are known after Ctrl-C as well.
    """
    known = {score.path for score in writer.resumed}
    scores += [score for score in writer.resumed if score.time_s is None]
    left = [file for file in files if name_below(file, root) not in known]
    with progress_bar(total=len(left), desc="scoring", unit="frame", delay=1) as bar:
        for batch in predictor.predict(left, root):
            writer.write(batch)
            scores += batch
            bar.update(len(batch))
