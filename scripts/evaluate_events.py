"""How well page turns are found in the scores of recordings: hysteresis against the hidden Markov model.

Predictions are CSV files of `inference.py`, one per recording; the truth of each is the events.csv of a rendered
recording, in the same order. Times of frames are those of the table, of the truth.csv beside the truth, or by --fps.
With --fit-predictions and --fit-truth, the parameters of all detectors are learnt from other recordings first. Saved
as NAME.events.yaml beside a model's file NAME.ckpt, they are used with that model.

A found turn and a true one match if they overlap, or are no more than the tolerance apart, one to one. "F1 both ends"
asks that start and end both lie within the tolerance. Errors and delays are medians in seconds; "count off" sums the
errors in the number of turns, each without its sign.

Examples:
    python scripts/evaluate_events.py --predictions a.csv b.csv --truth a/events.csv b/events.csv --json events.json
    python scripts/evaluate_events.py --predictions a.csv --truth a/events.csv --fit-predictions c.csv d.csv \
        --fit-truth c/events.csv d/events.csv --save-parameters events.yaml
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flipdetect.cli.messages import set_up_logging
from flipdetect.errors import DataError, FlipdetectError

logger = logging.getLogger("flipdetect")


def main(args: Sequence[str] | None = None) -> int:
    """Evaluate as the command line says; returns the exit status."""
    set_up_logging()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=Path, nargs="+", required=True, metavar="CSV", help="one per recording")
    parser.add_argument("--truth", type=Path, nargs="+", required=True, metavar="CSV", help="events.csv of each")
    parser.add_argument("--tolerance", type=float, default=0.3, help="seconds (default: %(default)s)")
    parser.add_argument("--fps", type=float, help="frames per second, where there is no truth.csv with times")
    parser.add_argument("--parameters", type=Path, metavar="YAML", help="of the detectors; default: built in")
    parser.add_argument("--fit-predictions", type=Path, nargs="+", default=[], metavar="CSV", help="to learn from")
    parser.add_argument("--fit-truth", type=Path, nargs="+", default=[], metavar="CSV", help="events.csv of each")
    parser.add_argument("--threshold", type=float, help="of the model that scored, to be kept with what is learnt")
    parser.add_argument("--save-parameters", type=Path, metavar="YAML", help="write those that were used")
    parser.add_argument("--json", type=Path, help="all figures")
    options = parser.parse_args(args)
    if options.parameters and options.fit_predictions:
        parser.error("--parameters and --fit-predictions contradict each other; give one of them")
    if not options.tolerance >= 0:
        parser.error(f"--tolerance is {options.tolerance}; give 0 or more seconds")
    try:
        print(_evaluate(options))
    except FlipdetectError as error:
        logger.error("%s", error)
        return 1
    return 0


def _evaluate(options: argparse.Namespace) -> str:
    import yaml

    from flipdetect.atomic import write_text
    from flipdetect.evaluation.events import evaluate_detectors, event_table

    recordings = _read(options.predictions, options.truth, options.fps)
    settings = _settings(options)
    rows = evaluate_detectors(recordings, settings.hmm, settings.hysteresis, options.tolerance)
    used = settings.to_dict()
    if options.save_parameters:
        write_text(options.save_parameters, yaml.safe_dump(used, sort_keys=False))
    if options.json:
        figures = [row.as_dict() for row in rows]
        content = {"tolerance_s": options.tolerance, "parameters": used, "figures": figures}
        write_text(options.json, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return event_table(rows)


def _read(predictions: Sequence[Path], truths: Sequence[Path], fps: float | None) -> list[Any]:
    from flipdetect.evaluation.events import read_recording

    if len(predictions) != len(truths):
        raise DataError(f"{len(predictions)} predictions have {len(truths)} truths; give one for each, in one order")
    return [read_recording(*pair, fps) for pair in zip(predictions, truths, strict=True)]


def _settings(options: argparse.Namespace) -> Any:
    """How turns are to be found: learnt, read, or built in."""
    from flipdetect.evaluation.events import learn_parameters, tune_hysteresis
    from flipdetect.inference.settings import EventSettings, read_event_settings

    if options.fit_predictions or options.fit_truth:
        lessons = _read(options.fit_predictions, options.fit_truth, options.fps)
        learnt = learn_parameters(lessons), tune_hysteresis(lessons)
        kept = _clip_threshold(options.save_parameters, options.threshold)
        return EventSettings(hmm=learnt[0], hysteresis=learnt[1], threshold=options.threshold, clip_threshold=kept)
    return read_event_settings(options.parameters) if options.parameters else EventSettings()


def _clip_threshold(path: Path | None, threshold: float | None) -> float | None:
    """That of the file which is about to be replaced, if it is of the same model, as its threshold tells."""
    from flipdetect.inference.settings import read_event_settings

    if path is None or not path.is_file():
        return None
    settings = read_event_settings(path)
    return settings.clip_threshold if settings.threshold == threshold else None


if __name__ == "__main__":
    sys.exit(main())
