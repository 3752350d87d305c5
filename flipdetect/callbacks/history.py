"""Curves that survive without TensorBoard, and survive a resumed run."""

from __future__ import annotations

import csv
from pathlib import Path

from lightning_fabric.loggers.csv_logs import _ExperimentWriter
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter


class ResumableCSVLogger(CSVLogger):
    """`CSVLogger` that goes on writing an existing `metrics.csv`, where Lightning's own deletes it."""

    @property
    def experiment(self) -> _ExperimentWriter:
        """The writer; when it is made in a folder with a history, the history is kept."""
        if self._experiment is not None:
            return self._experiment
        path = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        history = path.read_text(encoding="utf-8") if path.is_file() else ""
        writer: _ExperimentWriter = super().experiment
        if history:
            path.write_text(history, encoding="utf-8")
            # The writer rewrites the header when keys are added; it must know those that are there.
            writer.metrics_keys = next(csv.reader(history.splitlines()))
        return writer
