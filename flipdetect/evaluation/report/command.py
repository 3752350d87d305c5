"""`evaluate.py --report`: from evaluations to reports, one per model and set."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flipdetect.evaluation.options import set_name, short_model_name

if TYPE_CHECKING:
    from flipdetect.evaluation.clips import ClipRow
    from flipdetect.evaluation.evaluate import Evaluation
    from flipdetect.inference.torch_model import TorchModel

DEFAULT_FRAMES = 300

logger = logging.getLogger(__name__)


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """Add `--report` and `--robustness`; `write_reports` reads them."""
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FOLDER",
        help="a page (index.html), the same as Markdown, and what they are made of; several models or sets get a "
        "folder each below it. scripts/report.py makes the page anew",
    )
    parser.add_argument(
        "--robustness",
        type=int,
        nargs="?",
        const=DEFAULT_FRAMES,
        default=0,
        metavar="FRAMES",
        help="in the report, curves of what changed frames cost, on that many frames (%(const)s if no number is given; "
        "each is scored some fifty times)",
    )


def write_reports(
    results: Sequence[tuple[str, str, Evaluation]],
    clips: Iterable[ClipRow],
    bundles: Mapping[str, TorchModel],
    options: argparse.Namespace,
) -> list[Path]:
    """Save what was found, and make the reports; returns the pages.

    Args:
        results: name of the model, of the set, and what was found.
        clips: thresholds of videos from a validation side are taken from these.
        bundles: by name of the model.
        options: as parsed: `report`, `robustness`, `by` and `split`.

    Raises:
        DataError: if a folder holds other things than a report.
        OSError: if a file cannot be written.
    """
    from flipdetect.evaluation.report import make_report
    from flipdetect.evaluation.report.collect import Extras, collect

    rows = [row for row in clips if row.origin != "frames"]
    folders = _folders(options.report, [(model, name) for model, name, _ in results], options.split)
    pages = []
    for folder, (model, name, evaluation) in zip(folders, results, strict=True):
        extras = Extras(
            robustness_frames=options.robustness,
            slices=tuple(dict.fromkeys(key for keys in options.by for key in keys)),
            clip_thresholds=next(
                ({"max": (r.threshold, r.origin)} for r in rows if (r.model, r.folder) == (model, name)), None
            ),
        )
        collect(
            folder, short_model_name(model), set_name(Path(name), None), evaluation, bundles.get(model),
            side=options.split, extras=extras,
        )  # fmt: skip
        pages.append(make_report(folder))
        logger.info("The report is %s", pages[-1])
    return pages


def _folders(report: Path, pairs: Sequence[tuple[str, str]], side: str | None) -> list[Path]:
    """One per model and set; the folder itself if there is but one."""
    if len(pairs) == 1:
        return [report]
    found: list[Path] = []
    for model, name in pairs:
        words = f"{short_model_name(model)}-{set_name(Path(name), side)}"
        own = report / re.sub(r"[^\w.]+", "-", words).strip("-.")
        found.append(own if own not in found else own.with_name(f"{own.name}-{len(found) + 1}"))
    return found
